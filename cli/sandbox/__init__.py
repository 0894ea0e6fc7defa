"""`hikube sandbox …`: a simulated fleet for whoever has no GPU host, one module per command."""
