"""The models on disk: what is there, whether it is whole, and how it gets there.

    <directory>/records.json             the list, as it was fetched last
    <directory>/id-en/records.json       the part of it that this model's files are held to
    <directory>/id-en/1f…c0-model.bin    a file, with the beginning of its checksum in its name
    <directory>/failures/id-en.json      when it could not be fetched or used last, and how often

A model's own `records.json` is written last, in one step: until then the files beside it are none.
To take a model to a machine without a network, copy its directory.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from worker.language.translate import records
from worker.language.translate.records import File, Model, ModelError, Pair

LIST = "list"
"""The key of the list itself among the failures."""

_RECORDS = "records.json"
_LIST_FRESH = timedelta(days=1)
_FIRST_WAIT = timedelta(minutes=5)
_LONGEST_WAIT = timedelta(hours=1)
_MOST_RECORDS = 20_000_000
_CHUNK = 1_048_576

_Opened = Callable[[str], IO[bytes] | None]


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong last, and until when it is not tried again."""

    at: datetime
    times: int
    detail: str

    @property
    def until(self) -> datetime:
        """Five minutes later, ten after the second failure in a row, and so on up to an hour."""
        doubled: timedelta = _FIRST_WAIT * 2 ** min(self.times - 1, 10)
        return self.at + min(doubled, _LONGEST_WAIT)


class Models:
    """The models below `directory`, which need not be there. Any number of processes may use it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._list: tuple[tuple[int, int], dict[Pair, Model]] | None = None

    def installed(self) -> dict[Pair, Model]:
        """The models of which every file is there; their content is not looked at."""
        found: dict[Pair, Model] = {}
        for path in self.directory.glob(f"*-*/{_RECORDS}"):
            with suppress(OSError, ModelError):
                found |= self._complete(path)
        return found

    def listed(self) -> Mapping[Pair, Model]:
        """The models that the list knows; empty when there is none."""
        path = self.directory / _RECORDS
        try:
            stat = path.stat()
            version = stat.st_ino, stat.st_ctime_ns  # the time of modification is set by hand
            if self._list is None or self._list[0] != version:
                self._list = version, records.read(path.read_bytes())
        except (OSError, ModelError):
            return {}
        return self._list[1]

    def list_is_fresh(self, now: datetime) -> bool:
        """Whether the list is there and not older than a day."""
        try:
            modified = (self.directory / _RECORDS).stat().st_mtime
        except OSError:
            return False
        return abs(now - datetime.fromtimestamp(modified, UTC)) < _LIST_FRESH

    def keep_list(self, body: bytes, now: datetime) -> None:
        """Take `body` for the list from here on. Raises `ModelError` when it is none."""
        records.read(body)
        with _written(self.directory / _RECORDS) as file:
            file.write(body)
            file.flush()
            os.utime(file.fileno(), (now.timestamp(), now.timestamp()))

    def directory_of(self, pair: Pair) -> Path:
        """Where a model's files lie, or would."""
        return self.directory / "-".join(pair)

    def path(self, model: Model, file: File) -> Path:
        """Where one of its files lies, or would."""
        return self.directory_of(model.pair) / file.stored_name

    def has(self, model: Model, file: File) -> bool:
        """Whether a file is there, and whole."""
        path = self.path(model, file)
        return path.is_file() and _sha256(path) == file.sha256

    def damaged(self, model: Model) -> list[Path]:
        """Its files that are not what their checksums say."""
        return [self.path(model, file) for file in model.files if not self.has(model, file)]

    def discard_damaged(self, model: Model) -> None:
        """Remove its damaged files, so that it counts as missing; not while somebody writes it."""
        with self.lock(model.pair) as take:
            for path in self.damaged(model) if take(False) else ():
                path.unlink(missing_ok=True)

    def complete(self, model: Model) -> None:
        """All its files are there: from here on it is installed, and no older one."""
        home = self.directory_of(model.pair)
        with _written(home / _RECORDS) as manifest:
            manifest.write(records.written(model))
        kept = {_RECORDS, *(file.stored_name for file in model.files)}
        for path in home.iterdir():
            if path.name not in kept and path.is_file():
                path.unlink()
        self.forget_failure(model.name)

    def add(self, pair: Pair, origin: Path) -> Model:
        """Install a model from a copy of its directory, or of all models', or a tar file of either.

        Each file is held to the records beside it. Raises `ModelError` when one does not fit, and
        keeps nothing of it.
        """
        try:
            with ExitStack() as stack:
                return self._add(pair, _opener(origin, "-".join(pair), stack), origin)
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise ModelError(f"the model could not be copied from {origin}: {error}") from None

    @contextmanager
    def new_file(self, model: Model, file: File) -> Iterator[IO[bytes]]:
        """A file to write one of the model's to; it takes its place at the end, if it is whole.

        Raises `ModelError` when it is not.
        """
        with _written(self.path(model, file), of=file) as made:
            yield made

    @contextmanager
    def lock(self, pair: Pair) -> Iterator[Callable[[bool], bool]]:
        """What takes the lock under which a model is written: called with whether to wait for it,
        it returns whether it is taken. The lock ends with the block, or with its process.
        """
        home = self.directory_of(pair)
        home.mkdir(parents=True, exist_ok=True)
        # Never removed: a lock on an unlinked file would exclude nobody.
        lock = home.with_name(f".{home.name}.lock")
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield partial(_take_lock, fd)
        finally:
            os.close(fd)

    def failure(self, key: str) -> Failure | None:
        """What went wrong last with a model, by its name, or with the list."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            said = json.loads(self._failure_path(key).read_bytes())
            return Failure(datetime.fromisoformat(said["at"]), int(said["times"]), said["detail"])
        return None

    def is_resting(self, key: str, now: datetime) -> bool:
        """Whether it failed so lately that it is left alone."""
        failure = self.failure(key)
        return failure is not None and failure.at <= now < failure.until

    def note_failure(self, key: str, detail: str, now: datetime) -> None:
        """Something went wrong with it; on a disk that takes no more it is forgotten."""
        before = self.failure(key)
        said = {"at": now.isoformat(), "times": before.times + 1 if before else 1, "detail": detail}
        with suppress(OSError), _written(self._failure_path(key)) as file:
            file.write(json.dumps(said).encode())

    def forget_failure(self, key: str) -> None:
        """It went well."""
        self._failure_path(key).unlink(missing_ok=True)

    def _complete(self, manifest: Path) -> dict[Pair, Model]:
        return {
            pair: model
            for pair, model in records.read(manifest.read_bytes()).items()
            if model.name == manifest.parent.name
            and all(self.path(model, file).is_file() for file in model.files)
        }

    def _add(self, pair: Pair, opened: _Opened, origin: Path) -> Model:
        name = "-".join(pair)
        manifest = opened(_RECORDS)
        if manifest is None:
            raise ModelError(f"there is no model {name} with its {_RECORDS} in {origin}")
        model = records.read(manifest.read(_MOST_RECORDS)).get(pair)
        if model is None:
            raise ModelError(f"{_RECORDS} in {origin} knows no model {name}")
        with self.lock(pair) as take:
            take(True)
            for file in model.files:
                self._take(model, file, opened)
            self.complete(model)
        return model

    def _take(self, model: Model, file: File, opened: _Opened) -> None:
        if self.has(model, file):
            return
        origin = opened(file.stored_name) or opened(file.name)
        if origin is None:
            raise ModelError(f"{file.name} of the model {model.name} is not there")
        with self.new_file(model, file) as made:
            shutil.copyfileobj(origin, made, _CHUNK)

    def _failure_path(self, key: str) -> Path:
        return self.directory / "failures" / f"{key}.json"


def _opener(origin: Path, name: str, stack: ExitStack) -> _Opened:
    """What opens a file of the model `name` in a directory or tar file; nothing is unpacked."""
    if origin.is_dir():
        return _opener_in_directory(origin, name, stack)
    return _opener_in_tar(stack.enter_context(tarfile.open(origin)), name)


def _opener_in_directory(origin: Path, name: str, stack: ExitStack) -> _Opened:
    home = origin / name if (origin / name).is_dir() else origin

    def opened(wanted: str) -> IO[bytes] | None:
        path = home / wanted
        return stack.enter_context(path.open("rb")) if path.is_file() else None

    return opened


def _opener_in_tar(tar: tarfile.TarFile, name: str) -> _Opened:
    members = {PurePosixPath(member.name): member for member in tar if member.isfile()}
    homes = {path.parent for path in members if path.name == _RECORDS}
    home = next((one for one in homes if one.name == name), PurePosixPath())

    def opened(wanted: str) -> IO[bytes] | None:
        member = members.get(home / wanted)
        return tar.extractfile(member) if member else None

    return opened


@contextmanager
def _written(path: Path, of: File | None = None) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` at the end, once it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=".", suffix=".new", delete=False
    ) as made:
        new = Path(made.name)
        try:
            yield made
            made.flush()
            if of and _sha256(new) != of.sha256:
                raise ModelError(f"{of.name} is not what its checksum says: it was not kept")
            os.fsync(made.fileno())
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _take_lock(fd: int, wait: bool) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
