"""`kabar models`: models fetched from a server on loopback, copied, checked."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Commands
from tests.language.records import Records
from tests.language.words import en_fr, id_en


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    """A server with the models id-en and en-fr, from which the commands fetch."""
    with Records(tmp_path / "server") as records:
        records.publish("id", "en", id_en().model, id_en().vocabulary)
        records.publish("en", "fr", en_fr().model, en_fr().vocabulary)
        monkeypatch.setenv("KABAR_TRANSLATE__FIREFOX__RECORDS_URL", records.records_url)
        monkeypatch.setenv("KABAR_TRANSLATE__FIREFOX__ATTACHMENTS_URL", records.attachments_url)
        yield records


def test_a_model_is_fetched_and_listed(kabar: Commands, server: Records, tmp_path: Path) -> None:
    assert kabar("models", "list").out.startswith("no models are there")
    done = kabar("models", "fetch", "id", "en")
    assert done.code == 0, done.err
    assert done.out == f"id-en 3.0 is in {tmp_path / 'data/models/id-en'}\n"
    assert "MB" in done.err
    (row,) = kabar("models", "list", "--json").json
    assert (row["model"], row["version"], row["installed"]) == ("id-en", "3.0", True)
    assert "id-en" in kabar("models", "list").out


def test_all_that_could_be_fetched_is_listed(kabar: Commands, server: Records) -> None:
    rows = kabar("models", "list", "--all", "--json").json
    assert [(row["model"], row["installed"]) for row in rows] == [
        ("en-fr", False),
        ("id-en", False),
    ]


def test_both_models_of_a_pair_through_english(kabar: Commands, server: Records) -> None:
    rows = kabar("models", "fetch", "id", "fr", "--json").json
    assert [row["model"] for row in rows] == ["id-en", "en-fr"]
    assert len(kabar("models", "path", "id", "fr").out.split()) == 2


def test_what_cannot_be_fetched_is_one_line(
    kabar: Commands, server: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no model from th to en" in kabar("models", "fetch", "th", "en").error
    monkeypatch.setenv("KABAR_TRANSLATE__FIREFOX__RECORDS_URL", "http://127.0.0.1:9/")
    assert "could not be fetched" in kabar("models", "fetch", "id", "en").error
    assert "could not be fetched" in kabar("models", "list", "--all").error


def test_a_copy_by_file_to_a_machine_without_a_network(
    kabar: Commands, server: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kabar("models", "fetch", "id", "en")
    home = kabar("models", "path").out.strip()
    with tarfile.open(tmp_path / "models.tar", "w") as tar:
        tar.add(f"{home}/id-en", "id-en")
    asked = len(server.requests())
    monkeypatch.setenv("KABAR_DATA_DIR", str(tmp_path / "elsewhere"))
    done = kabar("models", "fetch", "id", "en", "--from", str(tmp_path / "models.tar"))
    assert done.code == 0, done.err
    assert len(server.requests()) == asked
    assert kabar("models", "verify").code == 0
    assert "no model fr-en" in kabar("models", "fetch", "fr", "en", "--from", home).error


def test_a_damaged_file_is_found(kabar: Commands, server: Records) -> None:
    kabar("models", "fetch", "id", "en")
    (path,) = Path(kabar("models", "path", "id", "en").out.strip()).glob("*vocab*")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    done = kabar("models", "verify", "--json")
    assert done.code == 1
    assert '"whole": false' in done.out
    kabar("models", "fetch", "id", "en")
    assert kabar("models", "verify").code == 0


def test_a_path_is_that_of_all_or_of_a_pair(
    kabar: Commands, server: Records, tmp_path: Path
) -> None:
    assert kabar("models", "path").out == f"{tmp_path / 'data/models'}\n"
    assert "two languages" in kabar("models", "path", "id").error
    assert "kabar models fetch id en" in kabar("models", "path", "id", "en").error
