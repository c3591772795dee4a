"""Plain text of what attributes, JSON and markup hold."""

import re
from html import unescape

_TAG = re.compile(r"<(?:[a-zA-Z/!][^<>]{0,300})>")
_CONTROLS = dict.fromkeys([*range(9), 11, *range(14, 32), *range(127, 133), *range(134, 160)])
_REPLACED = "\ufffc"  # the one of these that counts as printable
_INVISIBLE = dict.fromkeys([0xAD, 0x200B, 0x2060, 0xFEFF, ord(_REPLACED)])
_DROPPED = _CONTROLS | _INVISIBLE | dict.fromkeys(range(0xD800, 0xE000))


def line(value: object, longest: int = 1_000) -> str:
    """`value` as one line: entities resolved (those escaped twice too), no tags, no control and no
    invisible characters, runs of white space as one blank; "" for what is no text.

    What is longer than `longest` characters is cut there.
    """
    if not isinstance(value, str):
        return ""
    text = value[: longest * 4]
    for _ in range(2):
        if "&" in text:
            text = unescape(text)
    if "<" in text:
        text = _TAG.sub("", text)
    if not text.isprintable() or _REPLACED in text:  # it takes a step for each character
        text = text.translate(_DROPPED)
    return " ".join(text.split())[:longest].rstrip()


def key(text: str) -> str:
    """`text` without case, white space and punctuation, to compare by."""
    return "".join(c for c in text.casefold() if c.isalnum())
