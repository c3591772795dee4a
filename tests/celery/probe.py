"""Kabar's command line with tasks of the tests' own beside the real ones.

    python -m tests.celery.probe worker --role io

What the tasks do is noted in the file `PROBE_NOTES`, a line `WHAT NAME` each. With `PROBE_POISON`
set, a page that holds that text kills the process that cleans it; with `PROBE_HANG` it keeps it in
C code, where no signal handler and no other thread is run. With `PROBE_QUERY` set, the store is
queried before any process is forked.
"""

import logging
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from celery import shared_task
from sqlalchemy import Engine, text

from worker import cli, language, settings, store, tasks
from worker.language import ProcessOutcome, Source
from worker.settings import Settings


def note(what: str, name: object) -> None:
    with Path(os.environ["PROBE_NOTES"]).open("a") as notes:
        notes.write(f"{what} {name}\n")


@shared_task(name="probe.mark", ignore_result=True)  # type: ignore[untyped-decorator]
def mark(name: str) -> None:
    note("mark", name)


@shared_task(name="probe.sleep", ignore_result=True)  # type: ignore[untyped-decorator]
def sleep(name: str, seconds: float) -> None:
    note("begin", name)
    time.sleep(seconds)
    note("end", name)


@shared_task(name="probe.toil", ignore_result=True)  # type: ignore[untyped-decorator]
def toil(name: str, cpu_seconds: float) -> None:
    until = time.process_time() + cpu_seconds
    while time.process_time() < until:
        pass
    note("toiled", name)


@shared_task(name="probe.say", ignore_result=True)  # type: ignore[untyped-decorator]
def say(name: str) -> None:
    sys.stdout.write("written to standard output\n")
    sys.stderr.write("written to standard error\n")
    warnings.warn("a warning", stacklevel=1)
    logging.getLogger("somebody.else").warning("a line\nof two lines")
    note("said", name)


@shared_task(name="probe.query", ignore_result=True)  # type: ignore[untyped-decorator]
def query(number: int) -> None:
    """Note what the store answers to `number`, and which of its sessions did."""
    with store.reading(tasks.context().engine) as connection:
        statement = text("SELECT CAST(:number AS integer), pg_backend_pid(), pg_sleep(0.05)")
        answer, session, _ = connection.execute(statement, {"number": number}).one()
    note("session", session)
    note("answer", f"{number}={answer}")


def main() -> None:
    if poison := os.environ.get("PROBE_POISON"):
        _waylay("poisoned", poison.encode(), lambda: os.kill(os.getpid(), signal.SIGKILL))
    if hang := os.environ.get("PROBE_HANG"):
        _waylay("hanging", hang.encode(), lambda: re.fullmatch("(?:a|aa)+b", "a" * 500))
    if "PROBE_QUERY" in os.environ:
        _keep.append(_query_early(settings.load()))
    cli.main()


_keep: list[Engine] = []


def _waylay(what: str, sign: bytes, do: Callable[[], object]) -> None:
    """Note and do that before a page is cleaned that holds `sign`."""
    cleaned = language.process

    def process(source: Source, settings: Settings) -> ProcessOutcome:
        if any(sign in page.body for page in source.pages):
            note(what, source.article_id)
            do()
        return cleaned(source, settings)

    language.process = process


def _query_early(settings: Settings) -> Engine:
    engine = store.open_engine(settings)
    with store.reading(engine) as connection:
        note("early", connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
    return engine


if __name__ == "__main__":
    main()
