"""Models on disk and on their way there: resumed, checked, locked, copied."""

import hashlib
import json
import shutil
import signal
import sys
import tarfile
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from tests.language.conftest import NOW
from tests.language.marian import Marian
from tests.language.records import Manner, Records
from tests.language.words import en_fr, id_en
from tests.servers.child import Child
from tests.waiting import until
from worker.language.translate import downloads
from worker.language.translate.models import LIST, Models
from worker.language.translate.records import ModelError
from worker.settings import FirefoxSettings, HttpSettings

PAIR = ("id", "en")
PIECE = 1_048_576

Fetch = Callable[..., None]


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "models")


@pytest.fixture
def fetch(models: Models, mirror: FirefoxSettings) -> Fetch:
    def run(source: str = "id", target: str = "en") -> None:
        downloads.fetch(models, mirror, HttpSettings(), source, target, NOW)

    return run


@pytest.fixture
def large() -> Marian:
    """A model of several pieces."""
    return id_en(unused=8_000)


def publish(server: Records, model: Marian, version: str = "3.0", **options: object) -> None:
    server.publish("id", "en", model.model, model.vocabulary, version=version, **options)  # type: ignore[arg-type]


def files(models: Models) -> set[str]:
    """What lies in the model's directory."""
    home = models.directory_of(PAIR)
    return {path.name for path in home.iterdir()} if home.exists() else set()


def asked_for(server: Records, word: str) -> list[str]:
    return [line for line in server.requests() if word in line]


def test_a_model_is_fetched_in_pieces(
    server: Records, models: Models, fetch: Fetch, large: Marian
) -> None:
    publish(server, large)
    fetch()
    model = models.installed()[PAIR]
    assert models.path(model, model.file("model")).read_bytes() == large.model
    assert models.path(model, model.file("vocab")).read_bytes() == large.vocabulary
    assert len(files(models)) == 3
    assert len(asked_for(server, "model.iden")) > 3
    assert models.damaged(model) == []


def test_a_cut_download_is_gone_on_with(
    server: Records, models: Models, fetch: Fetch, large: Marian
) -> None:
    publish(server, large)
    server.behave(Manner(cut_at=2 * PIECE + 1000))
    with pytest.raises(ModelError, match="could not be fetched"):
        fetch()
    assert models.installed() == {}
    before = len(server.requests())
    server.behave(Manner())
    fetch()
    again = [line for line in server.requests()[before:] if "model.iden" in line]
    assert f"bytes={2 * PIECE}-" in again[0]
    assert PAIR in models.installed()


def test_a_file_that_is_not_what_the_list_says_is_not_kept(
    server: Records, models: Models, fetch: Fetch
) -> None:
    publish(server, id_en(), sha256="0" * 64)
    with pytest.raises(ModelError, match="checksum"):
        fetch()
    assert models.installed() == {}
    assert not any(name for name in files(models) if "model" in name)
    failure = models.failure("id-en")
    assert failure
    assert "checksum" in failure.detail


def test_a_model_without_a_checksum_is_none(server: Records, models: Models, fetch: Fetch) -> None:
    publish(server, id_en(), with_hash=False)
    with pytest.raises(ModelError, match="no model from id to en"):
        fetch()


def test_what_cannot_be_unpacked(
    server: Records, models: Models, fetch: Fetch, tmp_path: Path
) -> None:
    publish(server, id_en())
    for path in (tmp_path / "server/files").rglob("*model.iden*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="cannot be unpacked"):
        fetch()
    assert not any(name for name in files(models) if "model" in name)


def test_a_server_without_ranges(
    server: Records, models: Models, fetch: Fetch, large: Marian
) -> None:
    publish(server, large)
    server.behave(Manner(cut_at=PIECE + 1))
    with pytest.raises(ModelError):
        fetch()
    server.behave(Manner(ranges=False))
    fetch()
    assert models.damaged(models.installed()[PAIR]) == []


def test_a_server_that_sends_something_else(
    server: Records, models: Models, fetch: Fetch, large: Marian
) -> None:
    publish(server, large)
    server.behave(Manner(right_ranges=False))
    with pytest.raises(ModelError, match="could not be fetched"):
        fetch()
    server.behave(Manner())
    fetch()
    assert PAIR in models.installed()


def test_what_cannot_be_the_beginning_of_a_file_is_not_gone_on_with(
    server: Records, models: Models, fetch: Fetch, tmp_path: Path
) -> None:
    publish(server, id_en())
    listing = tmp_path / "server/records.json"
    document = json.loads(listing.read_text())
    for record in document["data"]:
        record["attachment"]["size"] += 1_000  # so that nobody knows it beforehand
    listing.write_text(json.dumps(document))
    (packed,) = (tmp_path / "server/files").rglob("*model.iden*")
    name = f"{hashlib.sha256(id_en().model).hexdigest()[:12]}-model.iden.intgemm.alphas.bin"
    models.directory_of(PAIR).mkdir(parents=True)
    shutil.copy(packed, models.directory_of(PAIR) / f"{name}.part")
    with pytest.raises(ModelError, match="416"):
        fetch()
    fetch()
    assert PAIR in models.installed()


def test_a_newer_version_takes_the_place_of_the_older(
    server: Records, models: Models, fetch: Fetch, mirror: FirefoxSettings
) -> None:
    publish(server, id_en())
    fetch()
    older = files(models)
    publish(server, id_en(by_bytes="é"), version="3.1")
    downloads.refresh(models, mirror, HttpSettings(), NOW)
    fetch()
    assert models.installed()[PAIR].version == "3.1"
    assert len(files(models)) == 3
    assert len(files(models) & older) == 1, "the records alone have the same name"


def test_while_somebody_writes_a_model_nothing_of_it_is_discarded_and_nobody_waits(
    server: Records, models: Models, fetch: Fetch
) -> None:
    publish(server, id_en())
    fetch()
    model = models.installed()[PAIR]
    damaged = models.path(model, model.file("model"))
    damaged.write_bytes(b"half of it")
    discarding = threading.Thread(target=models.discard_damaged, args=[model], daemon=True)
    with models.lock(PAIR) as take:
        take(True)
        discarding.start()
        until(lambda: not discarding.is_alive(), "its return")
        assert damaged.exists()
    models.discard_damaged(model)
    assert not damaged.exists()


def test_a_list_of_today_is_not_fetched_again(server: Records, fetch: Fetch) -> None:
    publish(server, id_en())
    for _ in range(2):
        fetch()
    assert len(asked_for(server, "/records")) == 1


def test_an_old_list_will_do_when_there_is_no_newer(
    server: Records, models: Models, mirror: FirefoxSettings, fetch: Fetch
) -> None:
    publish(server, id_en())
    downloads.refresh(models, mirror, HttpSettings(), NOW)
    nowhere = mirror.model_copy(update={"records_url": "http://127.0.0.1:9/"})
    later = NOW + timedelta(days=3)
    downloads.fetch(models, nowhere, HttpSettings(), "id", "en", later)
    assert PAIR in models.installed()
    assert models.failure(LIST)


@pytest.mark.parametrize("body", [b"<html>", b'{"data": "none"}', b""])
def test_a_list_that_is_none_is_not_kept(
    server: Records,
    models: Models,
    mirror: FirefoxSettings,
    fetch: Fetch,
    tmp_path: Path,
    body: bytes,
) -> None:
    publish(server, id_en())
    downloads.refresh(models, mirror, HttpSettings(), NOW)
    (tmp_path / "server/records.json").write_bytes(body)
    with pytest.raises(ModelError):
        downloads.refresh(models, mirror, HttpSettings(), NOW)
    assert PAIR in models.listed()


def test_without_a_mirror_the_guard_holds(server: Records, models: Models) -> None:
    """What the list's own host may not do: lead to an address inside."""
    settings = FirefoxSettings(records_url=server.records_url)
    publish(server, id_en())
    downloads.refresh(models, settings, HttpSettings(), NOW)
    inside = server.attachments_url
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downloads, "ATTACHMENTS_URL", inside)
        with pytest.raises(ModelError, match="must not be connected to"):
            downloads.fetch(models, settings, HttpSettings(), "id", "en", NOW)


def test_each_failure_in_a_row_is_waited_for_longer(models: Models) -> None:
    now = NOW
    for minutes in (5, 10, 20, 40, 60, 60):
        models.note_failure("id-en", "no", now)
        assert models.is_resting("id-en", now + timedelta(minutes=minutes, seconds=-1))
        now += timedelta(minutes=minutes)
        assert not models.is_resting("id-en", now)
    models.forget_failure("id-en")
    models.note_failure("id-en", "no", now)
    assert not models.is_resting("id-en", now + timedelta(minutes=5))


def test_an_unwritable_directory(server: Records, mirror: FirefoxSettings, tmp_path: Path) -> None:
    publish(server, id_en())
    (tmp_path / "file").write_text("in the way")
    models = Models(tmp_path / "file/models")
    with pytest.raises(ModelError):
        downloads.fetch(models, mirror, HttpSettings(), "id", "en", NOW)
    assert models.installed() == {}


_FETCH = """
import sys
from datetime import datetime
from pathlib import Path
from worker.language.translate import downloads
from worker.language.translate.models import Models
from worker.settings import FirefoxSettings, HttpSettings
settings = FirefoxSettings(records_url=sys.argv[2], attachments_url=sys.argv[3])
models = Models(Path(sys.argv[1]))
downloads.fetch(models, settings, HttpSettings(), "id", "en", datetime.fromisoformat(sys.argv[4]))
"""


def fetching(models: Models, server: Records, log: Path) -> Child:
    """Another process that fetches the model."""
    urls = server.records_url, server.attachments_url
    command: list[str | Path] = [
        sys.executable,
        "-c",
        _FETCH,
        models.directory,
        *urls,
        NOW.isoformat(),
    ]
    return Child(command, log)


def has_open(process: Child, ending: str) -> bool:
    """Whether it has a file open whose name ends so."""
    return any(file.path.endswith(ending) for file in psutil.Process(process.pid).open_files())


def test_two_processes_fetch_a_model_once(
    server: Records, models: Models, large: Marian, tmp_path: Path
) -> None:
    publish(server, large)
    server.behave(Manner(stalls=True))
    first = fetching(models, server, tmp_path / "first")
    until(lambda: asked_for(server, "model.iden"), "the first one's download")
    second = fetching(models, server, tmp_path / "second")
    until(
        lambda: second.exit_code is not None or has_open(second, ".lock"), "the second at the lock"
    )
    server.behave(Manner())
    assert first.wait(60) == 0, first.written()
    assert second.wait(60) == 0, second.written()
    pieces = asked_for(server, "model.iden")
    assert len(pieces) == len(set(pieces))
    assert models.damaged(models.installed()[PAIR]) == []


def test_a_killed_download_is_gone_on_with_by_who_waits_for_it(
    server: Records, models: Models, large: Marian, tmp_path: Path, fetch: Fetch
) -> None:
    publish(server, large)
    server.behave(Manner(cut_at=PIECE + 1))
    with pytest.raises(ModelError):
        fetch()
    server.behave(Manner(stalls=True))
    before = len(asked_for(server, "model.iden"))
    first = fetching(models, server, tmp_path / "first")
    until(lambda: len(asked_for(server, "model.iden")) > before, "the download")
    second = fetching(models, server, tmp_path / "second")
    first.send(signal.SIGKILL)
    first.wait(30)
    server.behave(Manner())
    assert second.wait(60) == 0, second.written()
    assert f"bytes={PIECE}-" in asked_for(server, "model.iden")[before]
    assert len([line for line in asked_for(server, "model.iden") if "bytes=0-" in line]) == 1
    assert models.damaged(models.installed()[PAIR]) == []


def archive(origin: Path, path: Path, name: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        tar.add(origin, name)
    return path


@pytest.mark.parametrize("form", ["directory", "all", "tar", "tar of all", "tar of files"])
def test_a_model_can_be_copied_by_file(
    server: Records, models: Models, fetch: Fetch, tmp_path: Path, form: str
) -> None:
    publish(server, id_en())
    fetch()
    origin = {
        "directory": lambda: models.directory_of(PAIR),
        "all": lambda: models.directory,
        "tar": lambda: archive(models.directory_of(PAIR), tmp_path / "models.tar", "id-en"),
        "tar of all": lambda: archive(models.directory, tmp_path / "models.tar", "models"),
        "tar of files": lambda: archive(models.directory_of(PAIR), tmp_path / "models.tar", "."),
    }[form]()
    elsewhere = Models(tmp_path / "elsewhere")
    elsewhere.note_failure("id-en", "no network", NOW)
    model = elsewhere.add(PAIR, origin)
    assert elsewhere.installed() == {PAIR: model}
    assert elsewhere.damaged(model) == []
    assert not elsewhere.is_resting("id-en", NOW)


def test_a_copy_of_files_under_their_own_names(
    server: Records, models: Models, fetch: Fetch, tmp_path: Path
) -> None:
    publish(server, id_en())
    fetch()
    plain = tmp_path / "plain"
    shutil.copytree(models.directory_of(PAIR), plain)
    for path in plain.glob("*-*"):
        path.rename(plain / path.name.partition("-")[2])
    assert Models(tmp_path / "elsewhere").add(PAIR, plain).label == "id-en 3.0"


def test_a_damaged_copy_is_refused_and_what_was_there_stays(
    server: Records, models: Models, fetch: Fetch, mirror: FirefoxSettings, tmp_path: Path
) -> None:
    publish(server, id_en())
    fetch()
    installed = models.installed()
    publish(server, id_en(by_bytes="é"), version="3.1")
    other = Models(tmp_path / "other")
    downloads.fetch(other, mirror, HttpSettings(), "id", "en", NOW)
    (path,) = other.directory_of(PAIR).glob("*model*")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match="checksum"):
        models.add(PAIR, other.directory)
    assert models.installed() == installed
    assert models.damaged(installed[PAIR]) == []


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08 broken", b"text"])
def test_what_is_no_copy(models: Models, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "origin").write_bytes(content)
    with pytest.raises(ModelError):
        models.add(PAIR, tmp_path / "origin")
    with pytest.raises(ModelError):
        models.add(PAIR, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no model id-en"):
        models.add(PAIR, tmp_path / "empty")
    assert models.installed() == {}


def test_a_tar_file_leads_nowhere_else(
    server: Records, models: Models, fetch: Fetch, tmp_path: Path
) -> None:
    publish(server, id_en())
    fetch()
    (stored,) = models.directory_of(PAIR).glob("*model*")
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:
        for file in models.directory_of(PAIR).iterdir():
            tar.add(file, f"id-en/{file.name}" if file != stored else f"../../{file.name}")
        link = tarfile.TarInfo(f"id-en/{stored.name}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    with pytest.raises(ModelError, match="is not there"):
        Models(tmp_path / "elsewhere").add(PAIR, path)


def test_several_models_side_by_side(server: Records, models: Models, fetch: Fetch) -> None:
    publish(server, id_en())
    server.publish("en", "fr", en_fr().model, en_fr().vocabulary)
    fetch("id", "fr")
    assert set(models.installed()) == {PAIR, ("en", "fr")}
