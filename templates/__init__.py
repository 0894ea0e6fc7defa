"""Every text that hikube generates, as Jinja files; nothing is glued together from strings.

Templates decide nothing: planning hands them a finished plan and they write it down. Only `templates.environment` imports
jinja2.
"""
