"""Fixtures of the language tests: a server of models, and engines and stores that use it."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.language.records import Records
from worker.language.translate.firefox import Firefox
from worker.settings import FirefoxSettings

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class MakeFirefox(Protocol):
    def __call__(self, **options: Any) -> Firefox: ...


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Records]:
    """A server of models on loopback that has none yet."""
    with Records(tmp_path / "server") as records:
        yield records


@pytest.fixture
def mirror(server: Records) -> FirefoxSettings:
    """Settings under which models come from that server."""
    return FirefoxSettings(
        records_url=server.records_url, attachments_url=server.attachments_url, timeout_seconds=60
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_firefox(mirror: FirefoxSettings, tmp_path: Path, clock: Clock) -> Iterator[MakeFirefox]:
    """Make the engine on the test's own models, with some settings changed; it is closed later."""
    with ExitStack() as stack:

        def make(**options: Any) -> Firefox:
            settings = mirror.model_copy(update=options)
            engine = Firefox(settings, tmp_path / "models", clock=clock)
            stack.callback(engine.close)
            return engine

        yield make
