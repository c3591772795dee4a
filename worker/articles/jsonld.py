"""Read JSON-LD as news sites write it, broken as it often is.

Only what an article's metadata needs: nodes, their types and what refers to them by `@id`. No
context is expanded and none is fetched (JSON-LD 1.1 §5.1 would have it).
"""

import json
import re
from collections.abc import Iterable
from html import unescape
from typing import Any

from worker.articles import plain

Node = dict[str, Any]

_LARGEST = 2_000_000  # characters of one script
_MENDED = 300_000  # characters of a page's broken scripts that are gone over one by one
_NODES = 5_000
_OBJECTS = 50  # of one script, one after another
_DECODER = json.JSONDecoder(strict=False)  # raw line breaks in strings

# Below these a page lists other articles.
_LISTS = frozenset(
    {
        "itemListElement",
        "hasPart",
        "relatedLink",
        "mentions",
        "citation",
        "comment",
        "review",
        "reviews",
    }
)


def nodes(scripts: Iterable[str]) -> list[Node]:
    """Every object of the scripts that has a type or a headline, those of a script in its order,
    outer before inner; without those that stand in lists of other articles.
    """
    found: list[Node] = []
    left = _MENDED
    for script in scripts:
        bare = _bare(script) if len(script) <= _LARGEST else ""
        values = _valid(bare)
        if values is None and len(bare) <= left:
            left -= len(bare)
            values = _objects(_mended(bare))[1]
        _collect(values, found)
    return found


def by_id(found: Iterable[Node]) -> dict[str, Node]:
    """The nodes by their `@id`, the fullest of each."""
    table: dict[str, Node] = {}
    for node in found:
        name = node.get("@id")
        if isinstance(name, str) and len(node) > len(table.get(name, ())):
            table[name] = node
    return table


def types(node: Node) -> tuple[str, ...]:
    """The node's types without their vocabulary: `http://schema.org/NewsArticle` is NewsArticle."""
    return tuple(
        one.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        for one in values(node.get("@type"))
        if isinstance(one, str)
    )


def values(value: Any) -> list[Any]:
    """A property's values, whether it has none, one or several; `@list` and `@value` unwrapped."""
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        value = [value]
    flat: list[Any] = []
    for one in value[:_NODES]:
        inner = one.get("@list", one.get("@value")) if isinstance(one, dict) else None
        flat.extend(inner if isinstance(inner, list) else [one if inner is None else inner])
    return flat


def text(value: Any, longest: int = 1_000) -> str:
    """The first text among the property's values, as one line; an object's is its name."""
    for one in values(value):
        named = (
            (one.get("name") or one.get("url") or one.get("@id")) if isinstance(one, dict) else one
        )
        named = named[0] if isinstance(named, list) and named else named
        if found := plain.line(named, longest):
            return found
    return ""


def _collect(value: Any, found: list[Node]) -> None:
    """Append the nodes of `value` to `found`, without recursion."""
    stack = [value]
    while stack and len(found) < _NODES:
        one = stack.pop()
        if isinstance(one, list):
            stack.extend(reversed(one))
        elif isinstance(one, dict):
            if "@type" in one or "headline" in one:
                found.append(one)
            stack.extend(
                inner
                for name, inner in reversed(one.items())
                if isinstance(inner, dict | list) and name not in _LISTS
            )


def _valid(script: str) -> list[Any] | None:
    """The JSON values of a script, one after another; None when they are broken."""
    try:
        return [json.loads(script, strict=False)] if script else []
    except RecursionError:
        return []
    except ValueError:
        whole, found = _objects(script)
        return found if whole else None


def _bare(script: str) -> str:
    script = script.strip().lstrip("\ufeff")
    for start, end in (("<!--", "-->"), ("//<![CDATA[", "//]]>"), ("<![CDATA[", "]]>")):
        if script.startswith(start):
            script = script[len(start) :].strip().removesuffix(end)
    if '"' not in script and "&quot;" in script:
        script = unescape(script)
    return script.strip().rstrip(";")


def _objects(script: str) -> tuple[bool, list[Any]]:
    """The objects that can be read from `script` from left to right, and whether that is all."""
    found: list[Any] = []
    whole, position = True, 0
    for _ in range(_OBJECTS):
        start = _opening(script, position)
        if start < 0:
            break
        try:
            value, position = _DECODER.raw_decode(script, start)
        except json.JSONDecodeError as error:
            whole, position = False, max(error.pos, start + 1)
        except (ValueError, RecursionError):  # a figure of 5,000 digits; nesting without end
            return False, found
        else:
            found.append(value)
    return whole, found


def _opening(script: str, start: int) -> int:
    brace, bracket = script.find("{", start), script.find("[", start)
    return min(brace, bracket) if min(brace, bracket) >= 0 else max(brace, bracket)


_SIGN = re.compile(r'["{}\[\],]')
_SPACE = re.compile(r"\s*")


def _mended(script: str) -> str:
    """`script` with what often breaks it put right: quotes inside strings, commas before an end,
    wrong escapes, an end that is missing.
    """
    parts: list[str] = []
    open_: list[str] = []
    position = 0
    while match := _SIGN.search(script, position):
        sign, at = match[0], match.start()
        parts.append(script[position:at])
        position = at + 1
        if sign == '"':
            end = _string_end(script, position)
            parts.append('"' + _ESCAPE.sub(_escaped, script[position:end]) + '"')
            position = end + 1
        elif sign == ",":
            if _after(script, position) not in {"}", "]", ",", ""}:
                parts.append(",")
        elif sign in "{[":
            open_.append("}" if sign == "{" else "]")
            parts.append(sign)
        elif open_ and open_[-1] == sign:
            open_.pop()
            parts.append(sign)
    parts.append(script[position:])
    return "".join(parts) + "".join(reversed(open_))


_END = re.compile(r'"|\\.', re.DOTALL)


def _string_end(script: str, start: int) -> int:
    """Where the string ends that begins at `start`: at a quote that a sign of JSON follows."""
    position = start
    while match := _END.search(script, position):
        if match[0] == '"' and _after(script, match.end()) in {",", ":", "}", "]", ""}:
            return match.start()
        position = match.end()
    return len(script)


_ESCAPE = re.compile(r'(\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))|[\\"]')


def _escaped(match: re.Match[str]) -> str:
    return match[1] or "\\" + match[0]


def _after(script: str, position: int) -> str:
    match = _SPACE.match(script, position)
    end = match.end() if match else position
    return script[end : end + 1]
