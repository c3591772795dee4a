from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.cli.running import Commands
from tests.conftest import MakeSettings
from tests.webhooks.schemas import check_events
from worker.store import open_engine


@pytest.fixture(autouse=True)
def _own_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of the working directory is read; data goes to the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KABAR_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def kabar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(monkeypatch, capsys)


@pytest.fixture(params=["sqlite", "postgres"])
def either_store(
    request: pytest.FixtureRequest, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """A migrated store that the commands use; the test runs once on each database."""
    yield from _use(request, make_settings, monkeypatch, request.param)


@pytest.fixture
def store(
    request: pytest.FixtureRequest, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """A migrated SQLite store that the commands use."""
    yield from _use(request, make_settings, monkeypatch, "sqlite")


def _use(
    request: pytest.FixtureRequest,
    make_settings: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
    database: str,
) -> Iterator[Engine]:
    url = request.getfixturevalue(f"migrated_{database}_url")
    monkeypatch.setenv("KABAR_STORE__URL", url)
    engine = open_engine(make_settings(store={"url": url}))
    yield engine
    check_events(engine)
    engine.dispose()
