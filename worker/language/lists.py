"""What is to be known of a language to split and to judge its sentences: `data/<language>.toml`."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_COMMON = "common"
_NAME = re.compile(r"[a-z]{2,8}")  # of a language: what comes in is no path
_BETWEEN = 300  # characters of a headline, in what a feed's software says of it


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists that `data/common.toml` explains, of one language and of all."""

    abbreviations: frozenset[str]
    numbered: frozenset[str]
    after_numbers: frozenset[str]
    has_no_stops: bool
    openings: tuple[str, ...]
    promotions: tuple[str, ...]
    tails: tuple[re.Pattern[str], ...]


@cache
def lists(language: str | None) -> Lists:
    """What is known of `language`; of one without a file what holds in every language."""
    parts = [_read(_COMMON), _read(language) if language and _NAME.fullmatch(language) else {}]

    def joined(key: str) -> tuple[Any, ...]:
        return tuple(one for part in parts for one in part.get(key, ()))

    return Lists(
        abbreviations=_forms(joined("abbreviations")),
        numbered=_forms(joined("numbered")),
        after_numbers=frozenset(joined("after_numbers")),
        has_no_stops=any(part.get("has_no_stops") for part in parts),
        openings=joined("openings"),
        promotions=joined("promotions"),
        tails=tuple(map(_tail, joined("tails"))),
    )


def _read(name: str) -> dict[str, Any]:
    file = resources.files("worker.language") / "data" / f"{name}.toml"
    return tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}


def _forms(words: Iterable[str]) -> frozenset[str]:
    """How each word is written; one that is given in lower case may have a capital too."""
    return frozenset(
        form for word in words for form in (word, word[:1].upper() + word[1:], word.upper())
    )


def _tail(phrases: Sequence[str]) -> re.Pattern[str]:
    first, second = map(re.escape, phrases)
    return re.compile(rf"(?<!\w){first}[^\n]{{0,{_BETWEEN}}}?{second}.*", re.IGNORECASE | re.DOTALL)
