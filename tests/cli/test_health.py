"""`kabar health` where the file tells already, and where it does not."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.cli.running import Commands
from worker import pulse


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
