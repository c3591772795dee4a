"""Durations as they are written on a command line."""

import re
from datetime import timedelta

from worker.cli.output import CommandError

_AGE = re.compile(r"([0-9]{1,4})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def age(option: str, text: str) -> timedelta:
    """`text` such as 2d, 12h or 30m; raises `CommandError` that names `option`."""
    found = _AGE.fullmatch(text.strip())
    if not found:
        raise CommandError(f"{option} {text}: 2d, 12h or 30m was expected")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
