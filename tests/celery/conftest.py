from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.celery.rig import Rig
from tests.conftest import MakeSettings
from tests.servers.valkey import Valkey

MakeRig = Callable[[str], Rig]


@pytest.fixture
def make_rig(tmp_path: Path, make_settings: MakeSettings, valkey: Valkey) -> Iterator[MakeRig]:
    """Make a rig on the migrated store at a URL; ended with the test."""
    made: list[Rig] = []

    def make(store_url: str) -> Rig:
        settings = make_settings(store={"url": store_url}, broker={"url": valkey.url})
        made.append(Rig(tmp_path, settings, valkey))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(make_rig: MakeRig, migrated_sqlite_url: str) -> Rig:
    """A rig on SQLite."""
    return make_rig(migrated_sqlite_url)


@pytest.fixture
def postgres_rig(make_rig: MakeRig, migrated_postgres_url: str) -> Rig:
    """A rig on PostgreSQL."""
    return make_rig(migrated_postgres_url)


@pytest.fixture(params=["sqlite", "postgres"])
def either_rig(request: pytest.FixtureRequest, make_rig: MakeRig) -> Rig:
    """A rig; the test runs once on each database."""
    return make_rig(request.getfixturevalue(f"migrated_{request.param}_url"))
