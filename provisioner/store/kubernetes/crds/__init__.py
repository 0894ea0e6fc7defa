"""CustomResourceDefinitions made from the model: `definition(words)` is one of them, `python -m` of this package writes all.

    model class ──> schema.py ──> tables/<kind>.py ──> definition.py ──> documents.py ──> deploy/crds/*.yaml
                    its own form   what users may write, rules           text, drift

The schema of a class says what hikube itself writes. Users may write more than that (provisioner/model/door): older names,
texts in place of mappings, numbers in place of texts. The tables add what the class cannot say and nothing that it does. An
API server stores the user's own shape, so a default is given only where no other field can say the same thing.
"""
