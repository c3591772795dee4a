"""The words that cleaning goes by: `config/cleaning/*.toml` and `config/sites/*.toml`, compiled."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from worker import settings
from worker.articles.body import fold
from worker.articles.segments import Hints
from worker.errors import KabarError

KINDS = (
    "promo", "cta", "cta_in", "related", "furniture", "credit", "figure", "byline", "source",
    "date", "reading", "footer", "bio", "about", "paging",
)  # fmt: skip
_SITE_KEYS = frozenset(("drop", "drop_classes", "keep_classes", "timezone", "dateline"))
_PREFIX = 2  # characters that phrases are found by
_UNSPACED = "\u3040"  # from here on scripts put no blanks between words
_WORD = re.compile(r"\w+")
_OWN = Path(__file__).parents[2] / "config"


class Phrases:
    """Phrases that a line may begin with, found by its first letters in one step.

    Nothing here can go back and try again, whatever the line: each phrase is compared once.
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        self.all = frozenset(filter(None, map(fold, phrases)))
        self._by_start: dict[str, list[str]] = {}
        for phrase in sorted(self.all, key=len, reverse=True):
            self._by_start.setdefault(phrase[:_PREFIX], []).append(phrase)
        self._by_word: dict[str, list[str]] = {}
        for phrase in self.all:
            for word in _WORD.findall(phrase)[:1]:
                self._by_word.setdefault(word, []).append(phrase)

    def begin(self, folded: str) -> int:
        """The length of the longest phrase that the folded line begins with, else 0."""
        for start in (folded[:_PREFIX], folded[:1]):
            for phrase in self._by_start.get(start, ()):
                if folded.startswith(phrase) and _is_end(folded, len(phrase)):
                    return len(phrase)
        return 0

    def within(self, folded: str) -> bool:
        """Whether the folded line holds one of the phrases."""
        if max(folded, default="") >= _UNSPACED:
            return any(phrase in folded for phrase in self.all)
        # Most lines hold no word that any of them begins with.
        words = self._by_word.keys() & _WORD.findall(folded)
        return any(phrase in folded for word in words for phrase in self._by_word[word])


def _is_end(folded: str, at: int) -> bool:
    """Whether a word ends there."""
    before = folded[at - 1]
    return (
        at >= len(folded)
        or not folded[at].isalnum()
        or not before.isalnum()
        or before >= _UNSPACED
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """What is known of one site: lines to drop by how they begin, elements by their class, the
    zone that its times are in; and whether a place before the first sentence is a dateline there.
    """

    drop: Phrases
    hints: Hints
    zone: ZoneInfo | None = None
    has_datelines: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    phrases: Mapping[str, Phrases]
    sites: Mapping[str, Site]
    default: Site

    def site(self, host: str) -> Site:
        """The rules of a host, or of the domain that it is under."""
        labels = host.lower().split(".")
        names = (".".join(labels[start:]) for start in range(len(labels)))
        return next((self.sites[name] for name in names if name in self.sites), self.default)


def load() -> Rules:
    """The rules in force: of the folder that the configuration file stands in; of our own where
    that has no `cleaning`. Raises `KabarError` when a file cannot be used.
    """
    file = settings.config_file()
    folder = file.parent if file else Path("config")
    return compiled(folder if (folder / "cleaning").is_dir() else _OWN)


@cache
def compiled(folder: Path) -> Rules:
    """The rules in `folder`; they are read once. Raises `KabarError`, naming the file."""
    words: dict[str, list[str]] = {kind: [] for kind in KINDS}
    classes: dict[str, list[str]] = {}
    for path in sorted((folder / "cleaning").glob("*.toml")):
        content = _read(path, {"classes", *KINDS})
        classes |= content.pop("classes", {})
        for kind, phrases in content.items():
            words[kind] += phrases
    sites = {path.stem: path for path in sorted((folder / "sites").glob("*.toml"))}
    return Rules(
        phrases={kind: Phrases(phrases) for kind, phrases in words.items()},
        sites={host: _site(_read(path, _SITE_KEYS), classes) for host, path in sites.items()},
        default=_site({}, classes),
    )


def _read(path: Path, known: Iterable[str]) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise KabarError(f"{path}: {error}") from error
    if unknown := content.keys() - set(known):
        raise KabarError(f"{path}: no such key: {', '.join(sorted(unknown))}")
    return content


def _site(content: Mapping[str, Any], classes: Mapping[str, list[str]]) -> Site:
    kept = set(content.get("keep_classes", ()))
    words = {hint: [word for word in all_ if word not in kept] for hint, all_ in classes.items()}
    words["site"] = content.get("drop_classes", [])
    name = content.get("timezone")
    return Site(
        drop=Phrases(content.get("drop", ())),
        hints=Hints(words),
        zone=ZoneInfo(name) if name else None,
        has_datelines=content.get("dateline", False),
    )
