"""What a site puts into each of its articles, learned by seeing it in several of them.

A site's memory is the keys of blocks that its latest articles had, each with the articles that had
it. Nothing here drops a block; see `clean`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from worker.articles import segments

# Keys of blocks with the ids of articles that had them, ENOUGH at most; the one that was not seen
# for longest comes first.
Memory = Mapping[str, Sequence[int]]

ENOUGH = 3  # articles with the same block
MOST_FURNITURE, MOST_OTHERS = 100, 400  # keys of a memory

_MOST_AT_AN_END = 30  # blocks of one article, from its start and from its end: see `learn`
_TWIN = 0.5  # of an article's text


class Block(NamedTuple):
    """A block of an article's body, by its key; `dropped` for one that was furniture already."""

    key: str
    size: int  # in characters
    dropped: bool = False


def key(text: str) -> str:
    """What a block is known by: 12 hex digits, the same however its white space is written."""
    return hashlib.sha256(segments.key(text).encode("utf-8", "replace")).hexdigest()[:12]


def of(memory: Memory, article_id: int | None = None) -> frozenset[str]:
    """The keys of what is furniture in the article with this id: what ENOUGH articles have."""
    return frozenset(
        key
        for key, ids in memory.items()
        if len(ids) + (article_id is not None and article_id not in ids) >= ENOUGH
    )


def learn(memory: Memory, article_id: int, blocks: Iterable[Block]) -> Memory:
    """The memory with an article's blocks; the same article again changes no count.

    Of a long article only the ends count: a ticker of a thousand lines would be all that is
    remembered. An article that is for the most part another one, under another URL, counts nothing,
    or its text would be furniture.
    """
    own = _ends({block.key: block for block in blocks})
    if not own or _is_twin(memory, article_id, own):
        return memory
    learned = {key: ids for key, ids in memory.items() if key not in own}
    for key in own:
        ids = memory.get(key, ())
        is_new = article_id not in ids and len(ids) < ENOUGH
        learned[key] = [*ids, article_id] if is_new else ids
    return _latest(learned)


def _ends(blocks: dict[str, Block]) -> dict[str, Block]:
    if len(blocks) <= 2 * _MOST_AT_AN_END:
        return blocks
    start = islice(blocks.items(), _MOST_AT_AN_END)
    end = islice(reversed(blocks.items()), _MOST_AT_AN_END)
    return dict([*start, *reversed([*end])])


def _is_twin(memory: Memory, article_id: int, own: Mapping[str, Block]) -> bool:
    """Whether more than half of its text is that of one other article."""
    shared: dict[int, int] = {}
    for block in own.values():
        for other in memory.get(block.key, ()):
            if other != article_id:
                shared[other] = shared.get(other, 0) + block.size
    total = sum(block.size for block in own.values())
    return max(shared.values(), default=0) > _TWIN * total


def _latest(memory: Memory) -> Memory:
    furniture = [key for key, ids in memory.items() if len(ids) >= ENOUGH]
    others = [key for key, ids in memory.items() if len(ids) < ENOUGH]
    old = {*furniture[:-MOST_FURNITURE], *others[:-MOST_OTHERS]}
    return {key: ids for key, ids in memory.items() if key not in old} if old else memory
