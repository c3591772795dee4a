"""What a command is asked for by name, or the nearest that there is."""

import difflib
from collections.abc import Callable, Iterable
from typing import TypeVar

from worker.cli.output import CommandError, clean

T = TypeVar("T")


def found(
    row: T | None, noun: str, asked: str, names: Callable[[], Iterable[str]], listing: str
) -> T:
    """`row`, if it is there.

    Raises `CommandError` with the nearest of `names` and the command that lists them all.
    """
    if row is not None:
        return row
    near = difflib.get_close_matches(asked, list(names()), n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else f": `{listing}` shows what there is"
    raise CommandError(clean(f"there is no {noun} {asked}{hint}"))
