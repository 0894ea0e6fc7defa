"""Keeping private text out of what is shown: errors, events, conditions, logs. Pure.

Two kinds of text must never be passed on as they are: whatever holds a private key, wherever it comes from, and what a guest
prints, since it may repeat its user-data, and that holds passwords and tokens. This is the last line: the first one is that
nobody puts such text into a message.
"""

from __future__ import annotations

import re

KEY_REMOVED = "[private key removed]"
REMOVED = "[removed]"
SHORTEST = 6
"""Shorter values are as likely to be words; removing them would make every message unreadable."""
_NEWLINE = r"(?:\\+[rn]|\s)"
"""As it is, or escaped once or more, as in JSON within JSON."""
_END = r"-----END [A-Z0-9 ]*PRIVATE KEY-----"
_PEM = re.compile(rf"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:{_NEWLINE}|[A-Za-z0-9+/=:,\- ])*?(?:{_END}|\Z)")
_PEM_OPEN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*", re.DOTALL)
_ENCODED = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=_-]+(?:\s+[A-Za-z0-9+/=_-]{40,})*")
"""Base64 of `-----BEGIN …`."""
_NAMED = re.compile(
    r"""(?ix) [\w.-]* (?:pass(?:word|wd|phrase)? | token | secret | credential | api[_-]?key | private[_-]?key) [\w.-]*
        ["']? \s* [:=] \s* ["']? (?P<value>[^\s"',}\]]+)"""
)
_ACCOUNT = re.compile(r"(?m)^\s*-?\s*[a-z_][\w.-]*:(?P<value>[^\s:]+)\s*$")
"""A line of chpasswd: `root:password`."""


def without_private_keys(text: str) -> str:
    """The text with every private key taken out: PEM blocks, also cut off or escaped, and base64 of them."""
    if "-----BEGIN" in text:
        text = _PEM_OPEN.sub(KEY_REMOVED, _PEM.sub(KEY_REMOVED, text))
    return _ENCODED.sub(KEY_REMOVED, text)


def guest_words(text: str, *, user_data: str) -> str:
    """What a guest printed, fit for an error: without private keys, and without what its user-data keeps to itself.

    Taken out are whole lines of the user-data and every value in it, or in the text, that stands behind a name such as
    `password` or `token`.
    """
    text = without_private_keys(text)
    private = {match["value"] for pattern in (_NAMED, _ACCOUNT) for match in pattern.finditer(user_data)}
    private |= {match["value"] for match in _NAMED.finditer(text)}
    private |= {line.strip() for line in user_data.splitlines() if " " in line.strip()}
    for value in sorted((one for one in private if len(one) >= SHORTEST), key=len, reverse=True):
        text = text.replace(value, REMOVED)
    return text
