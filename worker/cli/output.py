"""What every listing shares: one JSON document on stdout, or a table."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from worker import settings as configuration
from worker import store
from worker.errors import KabarError
from worker.store import schema

MOST = 2**63 - 1  # that a store can count to
_UNFOLDED = 10_000  # characters of a line
_SHORT = 19  # characters: a time
_FOLDED = 16  # to which a column of longer ones may be narrowed
_GAP = 2  # between columns
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


class CommandError(KabarError):
    """A command that cannot do what was asked; one line that says why and the way out."""


@contextmanager
def open_store() -> Iterator[Engine]:
    """The store for one command.

    Raises `StoreError` with the way out when it is not there, or not at this code's schema.
    """
    settings = configuration.load()
    if settings.store.url is None and not settings.data_dir.is_dir():
        raise CommandError(
            f"there is no store in {settings.data_dir} yet: run `kabar db upgrade`, or `kabar up`"
        )
    schema.check(settings)
    engine = store.open_engine(settings, pooled=False)
    try:
        yield engine
    except DatabaseError as error:
        raise CommandError(_explain(error)) from None
    finally:
        engine.dispose()


def print_json(document: Any) -> None:
    """The one document of a command with `--json`."""
    is_utf8 = sys.stdout.encoding.lower() == "utf-8"
    json.dump(document, sys.stdout, ensure_ascii=not is_utf8, default=_plain, indent=2)
    sys.stdout.write("\n")


def print_table(
    rows: Iterable[Mapping[str, Any]],
    columns: Mapping[str, Callable[[Any], str] | None],
    empty: str,
) -> None:
    """A table of `rows`, one column a key of `columns`; or, without rows, what to do next.

    On a terminal that is too narrow for it each row is a paragraph.
    """
    cells = [_cells(row, columns) for row in rows]
    console = make_console()
    if not cells:
        typer.echo(empty)
    elif _least_width(cells) <= console.width:
        console.print(_table(cells, whole=True))
    else:
        for position, row in enumerate(cells):
            if position:
                typer.echo("")
            print_fields(row)


def make_table(
    rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Callable[[Any], str] | None]
) -> Table:
    """A table of `rows` (at least one), one column a key of `columns`, shown by its function if it
    has one.
    """
    return _table([_cells(row, columns) for row in rows], whole=False)


def make_console() -> Console:
    """Standard output; titles are not markup, and in a pipe a row is a line, however long."""
    width = None if sys.stdout.isatty() else _UNFOLDED
    return Console(markup=False, emoji=False, highlight=False, width=width)


def print_fields(fields: Mapping[str, Any]) -> None:
    """A line for each field that has a value, its name in front."""
    given = {name: str(value) for name, value in fields.items() if value not in {None, ""}}
    width = max(map(len, given)) + 2
    for name, value in given.items():
        typer.echo(clean(f"{name:<{width}}{value}"))


def clean(text: str) -> str:
    """`text` without control characters: a feed's title could hold what a terminal obeys."""
    return _CONTROL.sub(" ", text)


def when(value: datetime | None) -> str:
    """A time in the zone of the settings, to the second."""
    return value.astimezone(zone()).strftime("%Y-%m-%d %H:%M:%S") if value else ""


@cache
def zone() -> ZoneInfo | None:
    """The zone in which people are told times; None for the machine's."""
    name = configuration.load().display.timezone
    return ZoneInfo(name) if name else None


def record(row: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """A row as JSON shows it, less the columns that are of no use outside."""
    return {key: value for key, value in row.items() if key not in without}


def _cells(
    row: Mapping[str, Any], columns: Mapping[str, Callable[[Any], str] | None]
) -> dict[str, str]:
    return {name.replace("_", " "): _shown(row[name], show) for name, show in columns.items()}


def _table(cells: Sequence[Mapping[str, str]], *, whole: bool) -> Table:
    """With `whole` what is short stays in one piece: titles and URLs give way."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in _widths(cells).items():
        table.add_column(name, overflow="fold", no_wrap=whole and width <= _SHORT)
    for row in cells:
        table.add_row(*row.values())
    return table


def _least_width(cells: Sequence[Mapping[str, str]]) -> int:
    widths = _widths(cells).values()
    return sum(width if width <= _SHORT else _FOLDED for width in widths) + _GAP * len(widths)


def _widths(cells: Sequence[Mapping[str, str]]) -> dict[str, int]:
    return {name: max(map(len, (name, *(row[name] for row in cells)))) for name in cells[0]}


def _shown(value: Any, show: Callable[[Any], str] | None) -> str:
    if show:
        return show(value)
    return "" if value is None else clean(str(value)).replace("\n", " ")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence | set):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _explain(error: DatabaseError) -> str:
    line = str(error.orig).strip().splitlines()[0]
    if "locked" in line:
        return "the store is locked by another process: try again"
    return f"the store cannot be reached: {line}"
