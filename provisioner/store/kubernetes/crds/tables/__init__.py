"""One table per kind: what the class of the model cannot say of the kind's documents."""
