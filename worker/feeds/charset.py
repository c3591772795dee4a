"""Tell what charset a document is in, as Miniflux does: valid UTF-8 is UTF-8 whatever the label."""

import re

from w3lib.encoding import read_bom, resolve_encoding

_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([\w.:-]{1,40})["']""")
_LABEL = re.compile(r"""charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE)
_WIDE = {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}  # without a byte order mark
_FALLBACK = "cp1252"


def to_utf8(body: bytes, content_type: str) -> bytes:
    """`body` in valid UTF-8 without a byte order mark; `content_type` is the header's value.

    What is not valid in any charset that is likely becomes U+FFFD.
    """
    charset, mark = read_bom(body)
    body = body[len(mark or b"") :]
    charset = charset or _WIDE.get(body[:2], "utf-8")
    if charset != "utf-8":
        return body.decode(charset, "replace").encode()
    labels = _labels(body, content_type)
    if _is_valid(body) and not _is_shifted(body, labels):
        return body
    text = _mended(body) or _decoded(body, [*labels, _FALLBACK])
    return text.encode("utf-8", "replace")


def _labels(body: bytes, content_type: str) -> list[str]:
    """What header and declaration say, in this order, without UTF-8, -16 and -32.

    Those cannot be by now: the first was tried, and the others show in the first bytes.
    """
    header, declared = _LABEL.search(content_type), _DECLARED.match(body.lstrip())
    said = [header[1] if header else "", declared[1].decode() if declared else ""]
    known = [resolve_encoding(label) for label in said if label and "\0" not in label]
    return [label for label in known if label and not label.startswith("utf")]


def _is_valid(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_shifted(body: bytes, labels: list[str]) -> bool:
    # ISO 2022 writes Japanese in bytes that are all ASCII, between escape sequences.
    return b"\x1b" in body and any(label.startswith("iso2022") for label in labels)


def _mended(body: bytes) -> str | None:
    """The text when most of its characters beyond ASCII are UTF-8, and one was cut in two."""
    text = body.decode(errors="replace")
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    return text if beyond > 2 * text.count("\ufffd") else None


def _decoded(body: bytes, charsets: list[str]) -> str:
    for errors in ("strict", "replace"):
        for charset in charsets:
            try:
                return body.decode(charset, errors)
            except (LookupError, UnicodeError):  # also when it is no charset of texts
                continue
    return body.decode(_FALLBACK, "replace")
