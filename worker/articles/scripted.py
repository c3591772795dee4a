"""The article that a page's scripts hold as data, where the page itself shows none.

Frameworks that draw pages in the browser send what they draw along: Next.js as one JSON document or
in rows of React's flight format, Nuxt as JSON. An article is in there as HTML in one string.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

_LARGEST = 2_000_000  # characters of a page, and of one string
_MOST = 20_000  # values of one document
_MOST_CHUNKS = 1_000
_PARAGRAPHS = 3  # that an article has at least
_DATA = re.compile(r'<script[^<>]{0,300}?type="application/json"[^<>]{0,300}>\s{0,100}')
_P = re.compile(r"<p[\s>]")
_CHUNK = "self.__next_f.push("
_ROW = re.compile(r"[0-9a-f]{1,8}:(?:T([0-9a-f]{1,8}),)?")
_DECODER = json.JSONDecoder(strict=False)


def html(raw: str) -> str | None:
    """The longest string of the page's data that holds paragraphs of HTML."""
    if len(raw) > _LARGEST:
        return None
    found = (one for one in _strings(raw) if len(_P.findall(one)) >= _PARAGRAPHS)
    return max(found, key=len, default=None)


def _strings(raw: str) -> Iterator[str]:
    for match in islice(_DATA.finditer(raw), _MOST_CHUNKS):
        yield from _within(_decoded(raw, match.end()))
    flight = "".join(_chunks(raw))
    if flight:
        yield from _rows(flight)


def _chunks(raw: str) -> Iterator[str]:
    """The pieces of the flight, `[1,"…"]` each."""
    at = raw.find(_CHUNK)
    for _ in range(_MOST_CHUNKS):
        if at < 0:
            return
        chunk = _decoded(raw, at + len(_CHUNK))
        if isinstance(chunk, list) and len(chunk) > 1 and isinstance(chunk[1], str):
            yield chunk[1]
        at = raw.find(_CHUNK, at + 1)


def _rows(flight: str) -> Iterator[str]:
    """The strings of the flight's rows: `1a:{json}`, or `1a:T3f,` and so many bytes of text."""
    data = flight.encode("utf-8", "replace")
    at = 0
    for _ in range(_MOST):
        match = _ROW.match(data[at : at + 20].decode("ascii", "replace"))
        if match and match[1]:
            start, size = at + match.end(), int(match[1], 16)
            yield data[start : start + size].decode("utf-8", "replace")
            at = start + size
            continue
        end = data.find(b"\n", at)
        line = data[at : end if end >= 0 else len(data)].decode("utf-8", "replace")
        yield from _within(_decoded(line, match.end() if match else 0))
        if end < 0:
            return
        at = end + 1


def _decoded(text: str, start: int) -> Any:
    try:
        return _DECODER.raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return None


def _within(value: Any) -> Iterator[str]:
    """The strings of a JSON document, without recursion."""
    waiting = [value]
    for _ in range(_MOST):
        if not waiting:
            return
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(one.values())
