"""Tell the entries of a feed apart, in the same way at every poll.

By guid, unless that is what a feed does not keep in order: one guid on all items, or none. Then by
link, and where links are no better, by title and text. The choice is made at the first document and
kept: another one would make all entries new, and alert of each again.
"""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

IdentityBy = Literal["guid", "link", "content"]

_TOLERATED = 0.05  # of a document's items, as in FreshRSS
_LONGEST = 500  # PostgreSQL indexes no more than 2,700 bytes


@dataclass(frozen=True, slots=True)
class Marks:
    """What an item can be told by; `link` is absolute."""

    guid: str | None
    link: str | None
    title: str
    summary: str
    content: str

    @property
    def fingerprint(self) -> str:
        """The hash of title and text."""
        return digest(self.title, self.summary, self.content)


def choose(items: Sequence[Marks]) -> IdentityBy | None:
    """How the items of this document can be told apart; None when there are none."""
    if not items:
        return None
    if _is_reliable({(item.guid, (item.link, item.title)) for item in items}):
        return "guid"
    if _is_reliable({(item.link, item.title) for item in items}):
        return "link"
    return "content"


def identities(items: Sequence[Marks], by: IdentityBy) -> list[str]:
    """The identity of each item, whatever their order; two that are one item have the same."""
    if by == "content":
        return [item.fingerprint for item in items]
    if by == "link":
        return [_short(item.link or item.fingerprint) for item in items]
    named = _links_by_guid(items)
    return [_short(_by_guid(item, named)) for item in items]


def digest(*parts: str) -> str:
    """A hash of texts that stays the same for good."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _is_reliable(distinct: set[tuple[str | None, Hashable]]) -> bool:
    """Whether the names are there and differ, given pairs of a name and whose it is."""
    names = {name for name, _ in distinct if name}
    return len(distinct) - len(names) <= _TOLERATED * len(distinct)


def _links_by_guid(items: Sequence[Marks]) -> dict[str, set[str]]:
    named = defaultdict(set)
    for item in items:
        if item.guid:
            named[item.guid].add(item.link or item.fingerprint)
    return named


def _by_guid(item: Marks, named: dict[str, set[str]]) -> str:
    rest = item.link or item.fingerprint
    if not item.guid:
        return rest
    # All that share a guid, not all but the first: which is the first changes with each new item.
    return item.guid if len(named[item.guid]) == 1 else f"{item.guid}|{rest}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else digest(name)
