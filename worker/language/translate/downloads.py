"""Fetches the list of models and the models, by the one way out.

A model is fetched in pieces of a megabyte, each a request of its own with a deadline of its own:
where one breaks off, the next attempt goes on from the last whole one, in whatever process.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path

from worker.http import Client, Response
from worker.language.translate import records
from worker.language.translate.models import LIST, Models
from worker.language.translate.records import ATTACHMENTS_URL, RECORDS_URL, File, Model, ModelError
from worker.settings import FirefoxSettings, HttpSettings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PIECE = 1_048_576
_PIECE_SECONDS = 60.0
_ATTEMPTS = 3  # for a piece
_WHOLE_SECONDS = 600.0  # for a file from a server that knows no pieces
_LIST_BYTES = 20_000_000
_LIST_SECONDS = 60.0
_MOST_BYTES = 400_000_000
_LOCK_SECONDS = 0.2  # between two looks at whether another process has done
_LOCK_LOOKS = 9_000

Say = Callable[[str], None]


def fetch(
    models: Models,
    settings: FirefoxSettings,
    http: HttpSettings,
    source: str,
    target: str,
    now: datetime,
    say: Say = lambda line: None,
) -> None:
    """Install what leads from `source` to `target`, in its newest version; `say` gets progress.

    The list is fetched first, unless it is of today. Notes what fails for `Models.is_resting`, and
    raises it: `ModelError`.
    """
    asyncio.run(_fetch(models, settings, http, (source, target), now, say))


def refresh(models: Models, settings: FirefoxSettings, http: HttpSettings, now: datetime) -> None:
    """Fetch the list. Raises `ModelError`."""

    async def run() -> None:
        async with Client(http) as client:
            await _noting(_refresh(client, models, settings, now), models, LIST, now)

    asyncio.run(run())


async def _fetch(
    models: Models,
    settings: FirefoxSettings,
    http: HttpSettings,
    languages: tuple[str, str],
    now: datetime,
    say: Say,
) -> None:
    async with Client(http) as client:
        if not models.list_is_fresh(now):
            try:
                await _noting(_refresh(client, models, settings, now), models, LIST, now)
            except ModelError:
                if not records.route(models.listed(), *languages):
                    raise
        listed = models.listed()
        pairs = records.route(listed, *languages)
        if not pairs:
            raise ModelError(f"there is no model from {languages[0]} to {languages[1]} in the list")
        for pair in pairs:
            await _noting(
                _install(client, models, settings, listed[pair], say),
                models,
                listed[pair].name,
                now,
            )


async def _noting(
    work: Coroutine[None, None, None], models: Models, key: str, now: datetime
) -> None:
    """Do it; what fails is noted under `key` and raised as `ModelError`."""
    try:
        await work
    except (ModelError, OSError) as error:
        detail = str(error)
        models.note_failure(key, detail, now)
        raise ModelError(detail) from None
    models.forget_failure(key)


async def _refresh(
    client: Client, models: Models, settings: FirefoxSettings, now: datetime
) -> None:
    url = settings.records_url
    response = await client.get(
        url or RECORDS_URL,
        max_bytes=_LIST_BYTES,
        timeout_seconds=_LIST_SECONDS,
        allow_private=url is not None,
    )
    if not response.ok:
        raise ModelError(f"the list of models could not be fetched: {_said(response)}")
    models.keep_list(response.body, now)


async def _install(
    client: Client, models: Models, settings: FirefoxSettings, model: Model, say: Say
) -> None:
    with models.lock(model.pair) as take:
        for _ in range(_LOCK_LOOKS):
            if take(False):
                return await _install_locked(client, models, settings, model, say)
            await asyncio.sleep(_LOCK_SECONDS)
    raise ModelError(f"another process has been fetching the model {model.name} for too long")


async def _install_locked(
    client: Client, models: Models, settings: FirefoxSettings, model: Model, say: Say
) -> None:
    for file in model.files:
        if not models.has(model, file):
            download = _Download(client, settings, models.path(model, file), file, say)
            await download.run()
            _unpack(models, model, file, download.path)
    if models.installed().get(model.pair) != model:
        models.complete(model)
    say(f"{model.label} is there")


class _Download:
    """One packed file on its way to `path`, which holds what has come so far."""

    def __init__(
        self, client: Client, settings: FirefoxSettings, beside: Path, file: File, say: Say
    ) -> None:
        base = settings.attachments_url
        self.path = beside.with_name(f"{beside.name}.part")
        self._url = f"{(base or ATTACHMENTS_URL).rstrip('/')}/{file.location}"
        self._is_mirror = base is not None
        self._client = client
        self._file = file
        self._say = say
        self._size = file.packed_size

    async def run(self) -> None:
        have = self.path.stat().st_size if self.path.exists() else 0
        while self._size is None or have < self._size:
            piece = await self._piece(have)
            with self.path.open("ab") as part:
                part.write(piece)
            have = self.path.stat().st_size
            if have > _MOST_BYTES:
                raise ModelError(f"{self._file.name} is over {_MOST_BYTES} bytes")
            whole = f" of {self._size / 1e6:.1f}" if self._size else ""
            self._say(f"{self._file.name}: {have / 1e6:.1f}{whole} MB")

    async def _piece(self, start: int) -> bytes:
        """What is at `start`, some of it. Raises `ModelError`."""
        for attempt in range(1, _ATTEMPTS + 1):
            response = await self._get(
                _PIECE_SECONDS, _PIECE, Range=f"bytes={start}-{start + _PIECE - 1}"
            )
            if response.status == 200:
                return await self._whole(response)
            if piece := self._of_range(response, start):
                return piece
            if response.status == 416:  # what is there cannot be the beginning of this file
                self.path.unlink(missing_ok=True)
            if attempt == _ATTEMPTS or response.permanent or response.status == 416:
                break
        raise ModelError(f"{self._file.name} could not be fetched: {_said(response)}")

    async def _whole(self, response: Response) -> bytes:
        """From a server that has no ranges, all at once; what was there of it is of no use."""
        if not response.ok:
            response = await self._get(_WHOLE_SECONDS, self._size or _MOST_BYTES)
        if not response.ok or not response.body:
            raise ModelError(f"{self._file.name} could not be fetched: {_said(response)}")
        self.path.unlink(missing_ok=True)
        self._size = len(response.body)
        return response.body

    def _of_range(self, response: Response, start: int) -> bytes:
        """The body of a 206 that is what was asked for, else nothing (RFC 9110 section 15.3.7)."""
        if not response.ok or response.status != 206:
            return b""
        unit, _, content = response.headers.get("Content-Range", "").partition(" ")
        extent, _, size = content.partition("/")
        end = start + len(response.body) - 1
        if unit != "bytes" or extent != f"{start}-{end}" or not size.isdecimal():
            return b""
        if end + 1 < min(start + _PIECE, int(size)):
            return b""
        self._size = int(size)
        return response.body

    async def _get(self, seconds: float, most_bytes: int, **headers: str) -> Response:
        return await self._client.get(
            self._url,
            headers={"Accept-Encoding": "identity", **headers},
            max_bytes=most_bytes,
            timeout_seconds=seconds,
            allow_private=self._is_mirror,
        )


def _unpack(models: Models, model: Model, file: File, packed: Path) -> None:
    """Put what is packed in its place; when it is not what the list says nothing of it is kept."""
    try:
        with zstd.open(packed, "rb") as content, models.new_file(model, file) as made:
            length = 0
            while chunk := content.read(_PIECE):
                length += len(chunk)
                if length > _MOST_BYTES:
                    raise ModelError(f"{file.name} is over {_MOST_BYTES} bytes")
                made.write(chunk)
    except (zstd.ZstdError, EOFError) as error:
        raise ModelError(f"{file.name} cannot be unpacked: {error}") from None
    finally:
        packed.unlink(missing_ok=True)


def _said(response: Response) -> str:
    return f"{response.detail} ({response.url})"
