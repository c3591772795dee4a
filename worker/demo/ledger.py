"""The demo's books: which alert belongs to which article, and whether it was due."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from worker.demo.newsroom import Publication
from worker.demo.receiver import Alert


@dataclass(frozen=True)
class Arrival:
    """An alert for an article; `latency_seconds` counts from its publication."""

    alert: Alert
    publication: Publication

    @property
    def latency_seconds(self) -> float:
        return (self.alert.received_at - self.publication.at).total_seconds()


class Ledger:
    """One alert is due for each article, whatever was repeated or updated.

    `publications` gives all that was published so far.
    """

    def __init__(self, publications: Callable[[], Iterable[Publication]]) -> None:
        self.arrivals: list[Arrival] = []
        self.problems: list[str] = []
        self._publications = publications

    def add(self, alert: Alert) -> Arrival | None:
        """Enter an alert; None, and a line in `problems`, when it was not due."""
        published = {publication.url: publication for publication in self._publications()}
        url = str(alert.data.get("article", {}).get("url"))
        if url not in published:
            self.problems.append(f"an alert for {url}, which was never published")
            return None
        publication = published[url]
        origin = published[publication.repeats or url]
        if origin.url in self._alerted():
            self.problems.append(f"a second alert for “{origin.article.title}” ({url})")
            return None
        self.arrivals.append(Arrival(alert, origin))
        return self.arrivals[-1]

    @property
    def first_at(self) -> datetime | None:
        """When the first alert came (UTC)."""
        return self.arrivals[0].alert.received_at if self.arrivals else None

    def latency_seconds(self, share: float) -> float | None:
        """The latency that `share` (0 to 1) of the alerts stayed within (nearest rank)."""
        ordered = sorted(arrival.latency_seconds for arrival in self.arrivals)
        return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None

    def _alerted(self) -> set[str]:
        return {arrival.publication.url for arrival in self.arrivals}
