"""`kabar health` where the file tells already, and where it does not."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.cli.running import Commands
from tests.store.rows import NOON, change
from worker import pulse
from worker.store import processes
from worker.store.models import Process


def test_a_fresh_sign_is_enough(
    kabar: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_STORE__URL", "postgresql://nobody@127.0.0.1:1/none")
    pulse.touch(tmp_path / "data", ["io"])
    assert kabar("health", "io").out == "healthy\n"
    assert "the store cannot be reached" in kabar("health", "beat").error


def test_another_roles_sign_is_not(kabar: Commands, store: Engine, tmp_path: Path) -> None:
    pulse.touch(tmp_path / "data", ["io"])
    assert kabar("health", "cpu").error.endswith("last heard of: never")


def test_a_role_that_was_heard_of(kabar: Commands, either_store: Engine) -> None:
    processes.Heart(("io",), datetime.now(UTC)).beat(either_store)
    assert kabar("health", "io").out == "healthy\n"


def test_a_role_that_is_silent(kabar: Commands, store: Engine) -> None:
    done = kabar("health", "beat")
    assert (done.code, done.error) == (
        1,
        "kabar: beat on this host was last heard of: never",
    )
    processes.Heart(("beat",), NOON).beat(store)
    change(store, Process, seen_at=NOON)
    assert re.search(r"last heard of: \d+ s ago$", kabar("health", "beat").error)
