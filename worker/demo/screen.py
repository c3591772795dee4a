"""What the demo shows: each alert as it comes, and a closing table."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from worker.demo.agenda import Step
from worker.demo.ledger import Arrival, Ledger
from worker.demo.newsroom import Publication
from worker.demo.receiver import Receiver

_ACTS = {"publish": "published", "repeat": "repeated on another site", "update": "updated"}


class Screen:
    """Writes to stdout; what went wrong to stderr."""

    def __init__(self) -> None:
        self._out = Console(highlight=False)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line about what the demo does."""
        self._out.print(Text(text, style="dim"))

    def step(self, step: Step) -> None:
        """What the newsroom has just done."""
        self.say(f"{_ACTS[step.act]}: {step.article.title}")

    def alert(self, arrival: Arrival) -> None:
        """An alert that has come and was verified."""
        story = arrival.alert.data["story"]
        publisher = arrival.alert.data["article"].get("publisher") or "unknown publisher"
        facts = f"{publisher} · {story.get('language') or '?'} · {arrival.latency_seconds:.1f} s"
        self._out.print(Text.assemble(("● ", "green"), (str(story["title"]), "bold")))
        if story.get("summary"):
            self._out.print(_indented(str(story["summary"])))
        self._out.print(_indented(facts, style="cyan"))
        self._out.print()

    def closing(
        self,
        ledger: Ledger,
        receiver: Receiver,
        publications: Sequence[Publication],
        ready_at: datetime | None,
    ) -> None:
        """The table of what was published and what came of it."""
        table = Table(title="kabar demo", show_header=False, title_justify="left")
        table.add_column()
        table.add_column(justify="right")
        for name, value in _rows(ledger, receiver, publications, ready_at):
            table.add_row(name, _shown(value))
        self._out.print(table)

    def failure(self, reasons: Iterable[str], log: Sequence[str] = ()) -> None:
        """Why the demo failed, with the last lines of what `kabar up` said."""
        for line in log:
            self._err.print(Text(line, style="dim"))
        for reason in reasons:
            self._err.print(Text(f"kabar: demo: {reason}"))


def _indented(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, 2), expand=False)


def _rows(
    ledger: Ledger,
    receiver: Receiver,
    publications: Sequence[Publication],
    ready_at: datetime | None,
) -> Iterable[tuple[str, Any]]:
    alerts = len(ledger.arrivals)
    yield "stories", sum(publication.repeats is None for publication in publications)
    yield "articles", len(publications)
    yield "updates", sum(publication.updated_at is not None for publication in publications)
    yield "alerts, each verified", alerts
    yield "duplicates suppressed", len(publications) - alerts
    yield "deliveries repeated", receiver.repeats
    yield "signatures refused", receiver.refused
    yield "publication to alert, median", ledger.latency_seconds(0.5)
    yield "publication to alert, 95 %", ledger.latency_seconds(0.95)
    if ready_at and ledger.first_at:
        yield "processes up to first alert", (ledger.first_at - ready_at).total_seconds()


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} s" if isinstance(value, float) else str(value)
