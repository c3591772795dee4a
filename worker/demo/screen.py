"""What the demo shows: each alert as it comes, a line while it waits, and a closing table."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from worker.demo.agenda import Step
from worker.demo.ledger import Arrival, Ledger
from worker.demo.newsroom import Publication
from worker.demo.receiver import Receiver

_ACTS = {"publish": "published", "repeat": "repeated on another site", "update": "updated"}
_WIDEST = 100  # columns of an alert: longer lines are hard to read


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

    def progress(self, state: Callable[[], str]) -> AbstractContextManager[object]:
        """On a terminal, keep what `state` says in the last line while the context is entered."""
        # Asked of the file too: FORCE_COLOR makes any file a terminal in rich's eyes.
        if not (self._out.is_interactive and self._out.file.isatty()):
            return nullcontext()
        from rich.status import Status  # only where it is shown

        return Status(_Line(state), console=self._out, refresh_per_second=4)

    def alert(self, arrival: Arrival) -> None:
        """An alert that has come and was verified."""
        panel = Panel(
            Group(*_parts(arrival)),
            title=Text("● new story"),
            title_align="left",
            border_style="green",
            width=min(self._out.width, _WIDEST),
        )
        self._out.print(panel)

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

    def interrupted(self, *, is_failure: bool) -> int:
        """The user ended it before it began; returns the exit code."""
        if is_failure:
            self.failure(["interrupted"])
        return int(is_failure)

    def failure(self, reasons: Iterable[str], log: Sequence[str] = ()) -> None:
        """Why the demo failed, with the last lines of what `kabar up` said."""
        for line in log:
            self._err.print(Text(line, style="dim"))
        for reason in reasons:
            self._err.print(Text(f"kabar: demo: {reason}"))


class _Line:
    """A text that is asked for each time it is drawn, on one line however narrow."""

    def __init__(self, state: Callable[[], str]) -> None:
        self._state = state

    def __rich__(self) -> Text:
        return Text(self._state(), style="dim", no_wrap=True, overflow="ellipsis")


def _parts(arrival: Arrival) -> Iterator[Text | Table]:
    story = arrival.alert.data["story"]
    yield Text(str(story.get("title")), style="bold")
    translations = _translations(arrival)
    for translation in translations:
        yield Text(str(translation["title"]), style="italic")
    if summary := story.get("summary"):
        yield Text(f"\n{summary}")
    for translation in translations:
        if summary := translation.get("summary"):
            yield Text(f"\n{summary}", style="italic")
    yield Text()
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(arrival):
        facts.add_row(Text(name, style="dim"), Text(value, style="cyan"))
    yield facts


def _facts(arrival: Arrival) -> Iterator[tuple[str, str]]:
    data: Mapping[str, Any] = arrival.alert.data
    yield "publisher", str(data["article"].get("publisher") or "unknown")
    if credited := data["article"].get("credited_sources"):
        yield "source", ", ".join(map(str, credited))
    if published := data["story"].get("published_at"):
        local = datetime.fromisoformat(published).astimezone()
        yield "published", f"{local:%Y-%m-%d %H:%M:%S %Z}"
    for translation in _translations(arrival):
        doubts = ", ".join(map(str, translation.get("quality") or ()))
        engine = str(translation.get("engine"))
        yield "translated by", f"{engine} ({doubts})" if doubts else engine
    yield "latency", f"{arrival.latency_seconds:.1f} s"


def _translations(arrival: Arrival) -> list[Mapping[str, Any]]:
    found: Mapping[str, Any] = arrival.alert.data["story"].get("translations") or {}
    return [one for one in found.values() if one and one.get("title")]


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
    yield "of them translated", sum(bool(_translations(arrival)) for arrival in ledger.arrivals)
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
