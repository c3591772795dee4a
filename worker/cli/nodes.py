"""The long-running commands: `up`, `worker`, `beat`, `web`.

Each imports what it runs only when it runs: an import of Celery or of the extractor that a process
does not need is a tenth of a second and ten megabytes in each.
"""

import sys
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import Annotated

import typer

from worker import logs
from worker import settings as configuration
from worker.settings import Settings


class Role(StrEnum):
    """What a worker node works on."""

    IO = "io"
    CPU = "cpu"
    TRANSLATE = "translate"
    CONTROL = "control"
    ALL = "all"


app = typer.Typer()


@app.command()
def up(
    timings: Annotated[
        bool, typer.Option("--timings", help="Print what the start took, and the memory.")
    ] = False,
) -> None:
    """Run everything on this machine in the foreground: broker, beat, workers and web."""
    from worker import embedded

    sys.exit(embedded.up(_settings(), timings=timings))


@app.command()
def worker(
    role: Annotated[list[Role], typer.Option(help="What to work on; may be given again.")] = [  # noqa: B006 - typer's own form
        Role.ALL
    ],
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Processes side by side; default: the settings'.")
    ] = None,
) -> None:
    """Run a worker node."""
    from worker.app import run_worker

    sys.exit(run_worker(_settings(), [str(one) for one in dict.fromkeys(role)], concurrency))


@app.command()
def beat() -> None:
    """Run the scheduler; one is enough."""
    from worker.app import run_beat

    sys.exit(run_beat(_settings()))


@app.command()
def web() -> None:
    """Run the web service."""
    from worker.web import run

    settings = _settings()
    sys.exit(run(settings, _waker(settings)))


def _waker(settings: Settings) -> Callable[[str], bool]:
    """What wakes a stage; Celery is loaded when that is first asked for, if ever."""

    @cache
    def loaded() -> Callable[[str], bool]:
        from worker.app import waker

        return waker(settings)

    def wake(stage: str) -> bool:
        return loaded()(stage)

    return wake


def _settings() -> Settings:
    settings = configuration.load()
    logs.configure(settings.log)
    return settings
