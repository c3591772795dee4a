"""`kabar doctor`: each of its findings, good and bad."""

import json
import os
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.cli.running import Commands
from tests.servers.valkey import Valkey
from tests.store.rows import NOON, add_feed, change
from worker.store import processes, schema
from worker.store.models import Process


@dataclass
class Doctor:
    kabar: Commands

    def __call__(self) -> dict[str, dict[str, str]]:
        """What is wrong: the bad findings by the name of their check."""
        done = self.kabar("doctor", "--json")
        findings = json.loads(done.out)
        assert done.err == ""
        bad = {one["check"]: one for one in findings if not one["ok"]}
        assert done.code == (1 if bad else 0)
        people = self.kabar("doctor")
        assert people.code == done.code
        for finding in bad.values():
            assert finding["hint"], "what is wrong needs a way out"
            assert f"BAD {finding['check']}: {finding['found']}" in people.out
            assert f"      {finding['hint']}\n" in people.out
        assert people.out.count("\nok ") + people.out.startswith("ok ") == len(findings) - len(bad)
        return bad


@pytest.fixture
def doctor(kabar: Commands) -> Doctor:
    return Doctor(kabar)


@pytest.fixture
def well(
    either_store: Engine, valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Engine:
    """An installation that lacks nothing."""
    return _make_well(either_store, valkey, monkeypatch, tmp_path)


@pytest.fixture
def sqlite_well(
    store: Engine, valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Engine:
    """An installation on SQLite that lacks nothing."""
    return _make_well(store, valkey, monkeypatch, tmp_path)


def _make_well(
    store: Engine, valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Engine:
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("KABAR_BROKER__URL", valkey.url)
    add_feed(store, "http://localhost:8000/feed")
    processes.Heart(("io", "beat"), datetime.now(UTC)).beat(store)
    return store


def test_all_is_well(kabar: Commands, doctor: Doctor, well: Engine) -> None:
    assert doctor() == {}
    findings = {one["check"]: one["found"] for one in kabar("doctor", "--json").json}
    assert list(findings) == [
        "configuration", "data directory", "disk", "store", "clock", "processes", "broker",
        "names", "translation",
    ]  # fmt: skip
    assert findings["store"] == f"{well.dialect.name}, at revision {schema.HEAD}"
    assert findings["processes"] == "2 roles live"
    assert findings["broker"] == "answers; 0 wake-ups wait"
    assert findings["names"] == "localhost is resolved"


def test_what_there_is_to_translate_with(
    kabar: Commands, doctor: Doctor, sqlite_well: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_TRANSLATE__TARGETS", "en,ms")
    monkeypatch.setenv("KABAR_TRANSLATE__ENGINES", "firefox,libretranslate")
    assert doctor() == {}
    findings = {one["check"]: one["found"] for one in kabar("doctor", "--json").json}
    assert findings["translation"] == (
        "into en, ms by: firefox (no model here yet; fetches others), libretranslate"
    )


def test_an_engine_that_is_not_installed(
    doctor: Doctor, sqlite_well: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_TRANSLATE__ENGINES", "firefox")
    monkeypatch.setitem(sys.modules, "fxtranslate", None)
    bad = doctor()["translation"]
    assert bad["found"] == "into en by: firefox (not installed: fxtranslate)"
    assert bad["hint"].startswith("pip install fxtranslate, or leave the engine out")


def test_a_configuration_with_a_typo(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KABAR_POLL__INTERVALL", "1")
    bad = doctor()
    assert list(bad) == ["configuration"]
    assert "KABAR_POLL__INTERVALL: no such setting" in bad["configuration"]["found"]


def test_a_configuration_file_that_is_not_there(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_CONFIG", "nowhere.toml")
    assert "KABAR_CONFIG=nowhere.toml: no such file" in doctor()["configuration"]["found"]


def test_nothing_was_started_yet(doctor: Doctor, tmp_path: Path) -> None:
    bad = doctor()
    assert list(bad) == ["data directory", "store", "broker"]
    assert bad["data directory"]["found"] == f"{tmp_path / 'data'} is not there"
    assert "`kabar up`" in bad["store"]["hint"]
    assert "no `kabar up` has run here" in bad["broker"]["found"]
    assert not (tmp_path / "data").exists()


def test_a_store_of_an_older_schema(
    doctor: Doctor, sqlite_well: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KABAR_STORE__URL", f"sqlite:///{tmp_path / 'other.db'}")
    bad = doctor()
    assert list(bad) == ["store"]
    assert f"at revision none, this code needs {schema.HEAD}" in bad["store"]["found"]
    assert "`kabar db upgrade`" in bad["store"]["hint"]


def test_a_database_server_that_is_down(
    doctor: Doctor, sqlite_well: Engine, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("KABAR_STORE__URL", f"postgresql://kabar:sesame@127.0.0.1:{free_port}/k")
    bad = doctor()
    assert list(bad) == ["store"]
    assert "cannot be reached" in bad["store"]["found"]
    assert bad["store"]["hint"].startswith("start the database, correct store.url")
    assert "sesame" not in str(bad)


def test_a_store_that_lacks_a_table(doctor: Doctor, sqlite_well: Engine) -> None:
    with closing(sqlite3.connect(str(sqlite_well.url.database))) as connection:
        connection.execute("DROP TABLE processes")
    assert "no such table: processes" in doctor()["store"]["found"]


def test_a_broker_that_is_down(doctor: Doctor, well: Engine, valkey: Valkey) -> None:
    valkey.stop()
    bad = doctor()
    assert list(bad) == ["broker"]
    assert "does not answer" in bad["broker"]["found"]
    assert valkey.password not in str(bad)


def test_a_password_that_the_broker_refuses(
    doctor: Doctor, sqlite_well: Engine, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_BROKER__URL", valkey.url_with("sesame"))
    found = doctor()["broker"]["found"]
    assert "invalid username-password pair" in found
    assert "sesame" not in found


def test_a_process_that_is_silent(doctor: Doctor, well: Engine) -> None:
    change(well, Process, seen_at=NOON)
    processes.Heart(("io",), NOON).beat(well)
    bad = doctor()
    assert list(bad) == ["processes"]
    assert bad["processes"]["found"].startswith("silent: beat@")


def test_no_process_at_all(doctor: Doctor, sqlite_well: Engine) -> None:
    with closing(sqlite3.connect(str(sqlite_well.url.database))) as connection:
        connection.execute("DELETE FROM processes")
        connection.commit()
    assert doctor()["processes"]["hint"] == "start `kabar up`"


def test_a_full_disk(doctor: Doctor, sqlite_well: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.cli.doctor._LEAST_FREE", 2**80)
    assert list(doctor()) == ["disk"]


def test_clocks_that_differ(doctor: Doctor, well: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.cli.doctor._MOST_SKEW_SECONDS", -1.0)
    assert "NTP" in doctor()["clock"]["hint"]


def test_a_name_that_is_not_resolved(doctor: Doctor, sqlite_well: Engine) -> None:
    """A resolver must never ask anybody for a name in .onion (RFC 7686)."""
    change(sqlite_well, Process, seen_at=datetime.now(UTC))
    with closing(sqlite3.connect(str(sqlite_well.url.database))) as connection:
        connection.execute("UPDATE feeds SET url = 'https://kabar.onion/feed'")
        connection.commit()
    bad = doctor()
    assert list(bad) == ["names"]
    assert bad["names"]["found"].startswith("kabar.onion is not resolved: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_data_directory_that_cannot_be_written(
    doctor: Doctor, sqlite_well: Engine, tmp_path: Path
) -> None:
    (tmp_path / "data").chmod(0o500)
    assert "cannot be written to" in doctor()["data directory"]["found"]
