"""What goes wrong is one line on standard error, with the way out."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from tests.cli.running import Commands
from worker.store import processes, sessions
from worker.store.sessions import writing

LISTINGS = [
    ("feeds", "list"),
    ("endpoints", "list"),
    ("stories", "list"),
    ("articles", "list"),
    ("deliveries", "list"),
    ("status", "--json"),
]
READERS = [
    ("feeds", "list"),
    ("articles", "explain", "1"),
    ("deliveries", "list"),
    ("endpoints", "list", "--json"),
    ("stories", "show", "1"),
    ("status", "--json"),
    ("health", "io"),
    ("db", "check"),
]


@pytest.mark.parametrize("command", READERS)
def test_a_config_with_a_typo(
    kabar: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    config = tmp_path / "kabar.toml"
    config.write_text("[poll]\nintervall_seconds = 60\n")
    monkeypatch.setenv("KABAR_CONFIG", str(config))
    done = kabar(*command)
    assert done.code == 2
    assert f"{config}: poll.intervall_seconds: no such setting" in done.error
    assert "'poll.interval_seconds'" in done.error


@pytest.mark.parametrize("command", READERS)
def test_a_store_that_is_not_there_yet(kabar: Commands, command: tuple[str, ...]) -> None:
    done = kabar(*command)
    assert done.code == 1
    assert str(Path.cwd() / "data") in done.error
    assert not (Path.cwd() / "data").exists()


def test_a_store_is_made_by_upgrade(kabar: Commands) -> None:
    assert kabar("db", "upgrade").out.startswith("upgraded to ")
    assert kabar("db", "upgrade").out == "nothing to upgrade\n"
    assert kabar("db", "check").code == 0
    assert kabar("feeds", "list", "--json").json == []


@pytest.mark.parametrize("command", READERS)
def test_a_store_without_tables(
    kabar: Commands,
    monkeypatch: pytest.MonkeyPatch,
    store_url: str,
    command: tuple[str, ...],
) -> None:
    monkeypatch.setenv("KABAR_STORE__URL", store_url)
    done = kabar(*command)
    assert done.code == 1
    assert "run `kabar db upgrade`" in done.error


@pytest.mark.parametrize("command", [*READERS, ("db", "upgrade"), ("feeds", "add", "https://a.b/")])
def test_a_database_newer_than_the_code(
    kabar: Commands, either_store: Engine, command: tuple[str, ...]
) -> None:
    with writing(either_store) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    done = kabar(*command)
    assert done.code == 1
    assert "9999" in done.error
    assert "upgrade Kabar" in done.error


@pytest.mark.parametrize("command", [*READERS, ("db", "upgrade")])
def test_a_file_that_is_no_database(
    kabar: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "kabar.db"
    path.write_bytes(b"no database " * 1_000)
    monkeypatch.setenv("KABAR_STORE__URL", f"sqlite:///{path}")
    done = kabar(*command)
    assert done.code == 1
    assert "file is not a database" in done.error


@pytest.mark.parametrize("command", [*READERS, ("db", "upgrade")])
def test_a_database_server_that_is_down(
    kabar: Commands, monkeypatch: pytest.MonkeyPatch, free_port: int, command: tuple[str, ...]
) -> None:
    url = f"postgresql://kabar:sesame@127.0.0.1:{free_port}/kabar"
    monkeypatch.setenv("KABAR_STORE__URL", url)
    done = kabar(*command)
    assert done.code == 1
    assert "the store cannot be reached" in done.error
    assert "sesame" not in done.error


def test_a_database_that_does_not_exist(
    kabar: Commands, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    url = make_url(postgres_url).set(database="nowhere")
    monkeypatch.setenv("KABAR_STORE__URL", url.render_as_string(hide_password=False))
    assert 'database "nowhere" does not exist' in kabar("feeds", "list").error


def test_a_data_directory_that_cannot_be_made(
    kabar: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KABAR_DATA_DIR", str(tmp_path / "file" / "data"))
    done = kabar("db", "upgrade")
    assert done.code == 1
    assert f"{tmp_path}/file/data cannot be made: Not a directory" in done.error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_data_directory_that_cannot_be_written(
    kabar: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory = tmp_path / "readonly"
    directory.mkdir(0o500)
    monkeypatch.setenv("KABAR_DATA_DIR", str(directory))
    done = kabar("db", "upgrade")
    assert done.code == 1
    assert "Permission denied" in done.error


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_store_that_another_holds(
    kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Only who writes has to wait; a heartbeat that is looked at must not."""
    monkeypatch.setattr("worker.store.sessions.BUSY_SECONDS", 0.1)
    processes.Heart(("io",), datetime.now(UTC)).beat(store)
    with closing(sqlite3.connect(str(store.url.database), isolation_level=None)) as other:
        other.execute(f"BEGIN {kind}")
        for command in (*LISTINGS, ("health", "io"), ("db", "check")):
            assert kabar(*command).code == 0, command
        done = kabar("feeds", "add", "https://example.org/feed", "--no-discover")
    assert (done.code, done.error) == (
        1,
        "kabar: the store is locked by another process: try again",
    )


def test_who_writes_waits_for_the_store(kabar: Commands, store: Engine) -> None:
    """For up to ten seconds."""
    assert sessions.BUSY_SECONDS == 10
    other = sqlite3.connect(str(store.url.database), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = Timer(0.5, other.close)
    release.start()
    done = kabar("feeds", "add", "https://example.org/feed", "--no-discover")
    release.join()
    assert (done.code, done.out) == (0, "added https://example.org/feed\n")
