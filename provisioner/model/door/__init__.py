"""The door: how the text of a document becomes a typed resource, or a list of mistakes that each name their line.

    text -> yaml_text (events, limits) -> nodes (text, style, position) -> one reader per kind -> resource in its one form

Everything from outside comes through here once; behind it nobody asks how a document was written. Readers never raise on bad
input: they note a mistake at the place where it is and go on, so that one run names all of them. Nothing here reads a file.
"""
