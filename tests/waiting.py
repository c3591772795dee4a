"""Waiting on conditions: bounded, and with what was waited for in the error."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, seconds: float = 30, step: float = 0.05) -> T:
    """The first truthy value of `condition`, asked every `step` seconds.

    Raises `AssertionError` naming `what` and the last value after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what} (last: {value!r})")
        time.sleep(step)
    return value


def holds(condition: Callable[[], object], what: str, seconds: float, step: float = 0.05) -> None:
    """Assert that `condition` stays truthy for `seconds`.

    Raises `AssertionError` naming `what` as soon as it does not.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        assert value, f"no longer: {what} ({value!r})"
        time.sleep(step)
