"""What the demo publishes, and in which order."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal

from worker.demo import generator
from worker.demo.article import Article, written

_CYCLE = 8  # a repeat and an update in so many stories
_REPEAT_AT = 3
_UPDATE_AT = 4
_LANGUAGES = ("id", "en", "id")  # of the sites that write themselves
_REPEATED_SITE = 0  # whose sister takes its articles word for word


@dataclass(frozen=True)
class Step:
    """One thing that the newsroom does; `article` is already the changed one for an update."""

    act: Literal["publish", "repeat", "update"]
    article: Article


def agenda(seed: int, stories: int | None) -> Iterator[Step]:
    """The hand-written articles, then generated ones: `stories` in all, or without end.

    Now and then one is repeated on another site, and another one updated: once each at
    least, where there are two stories.
    """
    more = generator.articles(seed, sites=len(_LANGUAGES), languages=_LANGUAGES)
    series = chain(written(), more)
    lately: deque[Article] = deque(maxlen=3)
    repeated: Article | None = None
    for number, article in enumerate(islice(series, stories), start=1):
        lately.append(article)
        yield Step("publish", article)
        if _is_due(number, _REPEAT_AT, stories):
            repeated = next(earlier for earlier in lately if earlier.site == _REPEATED_SITE)
            yield Step("repeat", repeated)
        others = [earlier for earlier in lately if earlier is not repeated]
        if others and _is_due(number, _UPDATE_AT, stories):
            yield Step("update", others[0].revised())


def _is_due(number: int, at: int, stories: int | None) -> bool:
    return number % _CYCLE == at or (number == stories and number < at)
