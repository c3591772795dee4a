"""What every listing shares: one JSON document on stdout, or a table."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from worker import settings as configuration
from worker import store
from worker.errors import KabarError

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


class CommandError(KabarError):
    """A command that cannot do what was asked; one line that says why and the way out."""


@contextmanager
def open_store() -> Iterator[Engine]:
    """The store for one command.

    Raises `StoreError` with the way out when it cannot be read.
    """
    engine = store.open_engine(configuration.load(), pooled=False)
    try:
        yield engine
    except (OperationalError, ProgrammingError) as error:
        raise CommandError(_explain(error)) from None
    finally:
        engine.dispose()


def print_json(document: Any) -> None:
    """The one document of a command with `--json`."""
    json.dump(document, sys.stdout, ensure_ascii=False, default=_plain, indent=2)
    sys.stdout.write("\n")


def print_table(
    rows: Iterable[Mapping[str, Any]],
    columns: Mapping[str, Callable[[Any], str] | None],
    empty: str,
) -> None:
    """A table of `rows`, one column a key of `columns`; or, without rows, what to do next."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_shown(row[name], show) for name, show in columns.items()))
    if table.row_count:
        Console().print(table)
    else:
        typer.echo(empty)


def when(value: datetime | None) -> str:
    """A time in the machine's zone, to the second."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value else ""


def record(row: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """A row as JSON shows it, less the columns that are of no use outside."""
    return {key: value for key, value in row.items() if key not in without}


def _shown(value: Any, show: Callable[[Any], str] | None) -> str:
    if show:
        return show(value)
    return "" if value is None else str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence | set):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _explain(error: OperationalError | ProgrammingError) -> str:
    line = str(error.orig).strip().splitlines()[0]
    if "no such table" in line or "does not exist" in line:
        return "the store has no tables yet: run `kabar db upgrade`, or start `kabar up`"
    if "locked" in line:
        return "the store is locked by another process: try again"
    return f"the store cannot be reached: {line}"
