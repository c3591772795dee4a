"""A task while it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread


@contextmanager
def running(task: Callable[[], object]) -> Iterator[Thread]:
    """Run `task` on a thread during the block; wait for its end, and raise what it raised."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001 - raised below, where the test sees it
            errors.append(error)

    thread = Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
    for error in errors:
        raise error
