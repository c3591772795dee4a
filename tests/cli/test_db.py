"""`kabar db copy`; what it copies is tested with the store's statements."""

import os
import signal
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from tests import waiting
from tests.cli.running import Commands
from tests.conftest import MakeSettings
from tests.servers.kabar import Kabar
from tests.store.full import fill
from tests.store.rows import NOON, add_feed, rows
from worker.store import open_engine, processes
from worker.store.models import Article, Endpoint, Feed


def test_a_store_moves_to_postgres(
    kabar: Commands,
    store: Engine,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    fill(store, tmp_path)
    done = kabar("db", "copy", "--to", postgres_url)
    assert done.code == 0, done.err
    header, *lines, empty, last = done.out.splitlines()
    assert header.split() == ["table", "rows"]
    counts = dict(line.split() for line in lines)
    assert (counts["feeds"], counts["articles"], counts["pages"]) == ("3", "6", "3")
    assert empty == ""
    assert "KABAR_STORE__URL" in last

    monkeypatch.setenv("KABAR_STORE__URL", postgres_url)
    assert len(kabar("feeds", "list", "--json").json) == 3
    assert len(kabar("deliveries", "list", "--json").json) == 3
    added = kabar("feeds", "add", "https://example.org/new", "--no-discover")
    assert added.out.startswith("added")
    assert len(rows(store, Feed)) == 3


def test_the_counts_as_json(kabar: Commands, store: Engine, tmp_path: Path) -> None:
    add_feed(store)
    copied = kabar("db", "copy", "--to", f"sqlite:///{tmp_path / 'copy.db'}", "--json").json
    assert (copied["feeds"], copied["articles"]) == (1, 0)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("not a url", "--to is no SQLAlchemy URL such as postgresql://"),
        ("mysql://db/kabar", "--to: mysql is no store"),
        ("sqlite:////nowhere/at/all/kabar.db", "/nowhere/at/all: no such directory"),
    ],
)
def test_what_is_no_target(kabar: Commands, store: Engine, url: str, message: str) -> None:
    assert message in kabar("db", "copy", "--to", url).error


def test_a_target_that_is_down(kabar: Commands, store: Engine, free_port: int) -> None:
    error = kabar(
        "db", "copy", "--to", f"postgresql://kabar:sesame@127.0.0.1:{free_port}/kabar"
    ).error
    assert error.startswith("kabar: nothing was copied: connection failed")
    assert "sesame" not in error


def test_a_target_in_use(kabar: Commands, store: Engine, migrated_postgres_url: str) -> None:
    add_feed(store)
    assert kabar("db", "copy", "--to", migrated_postgres_url).code == 0
    error = kabar("db", "copy", "--to", migrated_postgres_url).error
    assert error == "kabar: the target holds feeds already: name an empty store"


def test_while_processes_live(kabar: Commands, store: Engine, tmp_path: Path) -> None:
    processes.Heart(("io",), NOON).beat(store)
    add_feed(store)
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    assert "stop them first" in kabar("db", "copy", "--to", target).error
    assert not (tmp_path / "copy.db").exists()
    assert kabar("db", "copy", "--to", target, "--force").code == 0


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_a_copy_that_is_ended_in_its_midst_leaves_the_target_empty(
    store: Engine,
    migrated_postgres_url: str,
    make_settings: MakeSettings,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    fill(store, tmp_path)
    libpq = make_url(migrated_postgres_url).set(drivername="postgresql")
    with psycopg.connect(libpq.render_as_string(hide_password=False), autocommit=True) as server:
        # The last table that is copied takes for ever.
        server.execute(
            "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'"
        )
        server.execute(
            "CREATE TRIGGER stall BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION stall()"
        )
        kabar = Kabar(tmp_path, {"KABAR_STORE__URL": str(store.url)})
        copying = kabar.begin("db", "copy", "--to", migrated_postgres_url)
        waiting.until(
            lambda: server.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event = 'PgSleep'"
            ).fetchone(),
            "the copy stalls",
        )
        os.kill(copying.pid, number)
        assert copying.wait(30) == (130 if number == signal.SIGINT else -signal.SIGKILL)
        kabar.close()
        assert copying.written() == ""
        # A killed client's backend sleeps on, with all that it has not committed.
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                       "WHERE wait_event = 'PgSleep' AND datname = current_database()")  # fmt: skip
        server.execute("DROP TRIGGER stall ON attempts")
    engine = open_engine(make_settings(store={"url": migrated_postgres_url}))
    assert rows(engine, Feed) == rows(engine, Article) == []
    done = kabar.run("db", "copy", "--to", migrated_postgres_url)
    assert done.returncode == 0, done.stderr
    assert [one["name"] for one in rows(engine, Endpoint)] == ["desk", "wire"]
    engine.dispose()
