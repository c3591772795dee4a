import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import Engine

from tests import waiting
from tests.conftest import MakeSettings
from tests.servers.child import Child
from worker.settings import Settings
from worker.store import StoreError, open_engine
from worker.store.locks import hold

HOLDER = """
import sys, time
from worker.settings import Settings
from worker.store import open_engine
from worker.store.locks import hold

engine = open_engine(Settings(store={"url": sys.argv[1]}))
with hold(engine, "beat", wait=False) as held:
    print("held" if held else "refused", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(engine: Engine, store_settings: Settings) -> Iterator[Engine]:
    """Another engine on the same store."""
    other = open_engine(store_settings)
    yield other
    other.dispose()


def test_a_lock_is_held_once(engine: Engine, other: Engine) -> None:
    with hold(engine, "beat", wait=False) as first, hold(other, "beat", wait=False) as second:
        assert (first, second) == (True, False)
    with hold(other, "beat", wait=False) as again:
        assert again


def test_locks_of_different_names_are_apart(engine: Engine, other: Engine) -> None:
    with hold(engine, "beat", wait=False) as first, hold(other, "migrate", wait=False) as second:
        assert (first, second) == (True, True)


def test_who_waits_gets_it_next(engine: Engine, other: Engine) -> None:
    got, seen = Event(), []

    def wait() -> None:
        with hold(other, "beat", wait=True) as held:
            seen.append(held)
            got.set()

    with hold(engine, "beat", wait=False):
        waiter = Thread(target=wait)
        waiter.start()
        assert not got.wait(0.5)
    assert got.wait(30)
    waiter.join()
    assert seen == [True]


@pytest.mark.parametrize("error", [LookupError, BlockingIOError])
def test_an_error_in_the_block_frees_it(
    engine: Engine, other: Engine, error: type[Exception]
) -> None:
    with pytest.raises(error), hold(engine, "beat", wait=False):
        raise error
    with hold(other, "beat", wait=False) as held:
        assert held


def test_a_process_that_is_killed_holds_nothing(
    engine: Engine, store_settings: Settings, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", HOLDER, store_settings.store_url]
    root = Path(__file__).parents[2]
    log = tmp_path / "holder.log"
    holder = Child(command, log, cwd=tmp_path, env={"PYTHONPATH": str(root)})
    try:
        waiting.until(lambda: "held" in holder.written(), f"held; its log is {log}", 60)
        with hold(engine, "beat", wait=False) as held:
            assert not held
    finally:
        holder.kill()

    def is_free() -> bool:  # PostgreSQL has to notice that its client is gone
        with hold(engine, "beat", wait=False) as held:
            return held

    waiting.until(is_free, "the lock is free")


def test_a_lock_file_that_cannot_be_made(
    make_settings: MakeSettings, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    engine = open_engine(make_settings(store={"url": migrated_sqlite_url}))
    (tmp_path / "kabar.db.beat.lock").mkdir()
    with (
        pytest.raises(StoreError, match=r"kabar\.db\.beat\.lock: Is a directory"),
        hold(engine, "beat", wait=False),
    ):
        pytest.fail("held what cannot be")
