"""Fixtures shared by all rooms: settings of their own, a real store, a real broker.

`KABAR_TEST_POSTGRES_URL` names a PostgreSQL to use instead of starting one; its role must be
allowed to create databases.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy import Engine

from tests.servers import postgres
from tests.servers.valkey import Valkey
from tests.webhooks.schemas import check_events
from worker.settings import Settings, StoreSettings
from worker.store import open_engine, schema

# Read before the fixture below hides it from the tests.
_POSTGRES_URL = os.environ.get("KABAR_TEST_POSTGRES_URL")

OFFLINE = "KABAR_TRANSLATE__ENGINES"

# A deadline is a timed assertion, and on a busy machine a false one.
hypothesis.settings.register_profile("kabar", deadline=None)
hypothesis.settings.load_profile("kabar")


class MakeSettings(Protocol):
    def __call__(self, **overrides: Any) -> Settings: ...


class _OnlyGiven(Settings):
    """Settings from keyword arguments and defaults; neither file nor environment is read."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No `KABAR_*` of the machine reaches a test or what it starts; nothing fetches models."""
    for name in [name for name in os.environ if name.upper().startswith("KABAR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(OFFLINE, "none")


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Make `Settings` from keyword arguments, with a data directory of the test's own.

    Unless it names engines, nothing is translated.
    """

    def make(**overrides: Any) -> Settings:
        translate = {"engines": ["none"], **overrides.pop("translate", {})}
        return _OnlyGiven(**{"data_dir": tmp_path / "data", "translate": translate, **overrides})

    return make


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """The run's PostgreSQL, started when the first test asks for it."""
    server = postgres.Server(_POSTGRES_URL) if _POSTGRES_URL else postgres.start()
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> Iterator[str]:
    """The URL of a new, empty PostgreSQL database."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite database whose file does not exist yet."""
    return f"sqlite:///{tmp_path / 'kabar.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store; the test runs once on each database."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the tables, to be copied: migrating takes longer."""
    path = tmp_path_factory.mktemp("migrated") / "kabar.db"
    schema.upgrade(_OnlyGiven(store=StoreSettings(url=f"sqlite:///{path}")))
    return path


@pytest.fixture(scope="session")
def migrated_postgres_template(postgres_server: postgres.Server) -> Iterator[str]:
    """A PostgreSQL database with the tables, to be copied."""
    url = postgres_server.create_database()
    schema.upgrade(_OnlyGiven(store=StoreSettings(url=url)))
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def migrated_sqlite_url(migrated_sqlite_file: Path, sqlite_url: str, tmp_path: Path) -> str:
    """The URL of a SQLite database with the tables."""
    shutil.copyfile(migrated_sqlite_file, tmp_path / "kabar.db")
    return sqlite_url


@pytest.fixture
def migrated_postgres_url(
    postgres_server: postgres.Server, migrated_postgres_template: str
) -> Iterator[str]:
    """The URL of a new PostgreSQL database with the tables."""
    url = postgres_server.create_database(migrated_postgres_template)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgres"])
def store_settings(request: pytest.FixtureRequest, make_settings: MakeSettings) -> Settings:
    """Settings with a migrated store; the test runs once on each database."""
    return make_settings(store={"url": request.getfixturevalue(f"migrated_{request.param}_url")})


@pytest.fixture
def engine(store_settings: Settings) -> Iterator[Engine]:
    """An engine on a migrated store; the test runs once on each database.

    Whatever events the test made are held against their schemas.
    """
    engine = open_engine(store_settings)
    yield engine
    check_events(engine)
    engine.dispose()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A running Valkey of the test's own."""
    with Valkey() as server:
        yield server


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
