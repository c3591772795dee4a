"""Receivers of webhooks on loopback, each on a port of its own, in a process of their own.

    python -m bench._receivers SECRET COUNT

What `bench.webhooks` sends to. Each takes what is posted and answers 204, but those that `begin`
names: they never answer, or answer 500. One JSON document a line on stdout: where they are, and an
answer to each line of stdin: `begin` forgets what came and closes all connections; `count` says
how many were accepted; `accepted` when and at which receiver each id was, first of all judging the
signatures by the library that receivers have. Ends when stdin does.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, cast

from standardwebhooks import Webhook

from bench._feeds import ROOT, allow_sockets

_NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")
_ANSWERS = {
    True: b"HTTP/1.1 204 No Content\r\n\r\n",
    False: b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nOops",
}
_WITHIN_SECONDS = 120.0


class Receivers:
    """The process, while used as a context manager: the `urls` of its receivers."""

    def __init__(self, secret: str, count: int) -> None:
        self._command = [sys.executable, "-m", "bench._receivers", secret, str(count)]

    def __enter__(self) -> "Receivers":
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.urls: list[str] = self._hear()["urls"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, *, hanging: Collection[int] = (), failing: Collection[int] = ()) -> None:
        """Forget what came; these receivers, by their place, are bad from now on."""
        self._ask({"do": "begin", "hanging": list(hanging), "failing": list(failing)})

    def count(self) -> int:
        """How many deliveries were accepted."""
        return int(self._ask({"do": "count"})["count"])

    def accepted(self) -> list[tuple[int, str, float]]:
        """Of each accepted delivery the receiver, the id, and when (seconds of the epoch).

        Raises `RuntimeError` when a signature was not good.
        """
        said = self._ask({"do": "accepted"})
        if said["refused"]:
            raise RuntimeError(f"{said['refused']} deliveries were not signed well")
        return [(place, webhook_id, at) for place, webhook_id, at in said["accepted"]]

    def _ask(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        too_late = threading.Timer(_WITHIN_SECONDS, self._process.kill)
        too_late.start()
        line = self._process.stdout.readline()
        too_late.cancel()
        if not line:
            raise RuntimeError("the receivers' process ended, or did not answer")
        return dict(json.loads(line))


class Request(NamedTuple):
    """What came to an accepting receiver, and when."""

    place: int
    at: float
    head: bytes
    body: bytes

    def named(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.split(": ", 1) for line in lines)
        return {name.lower(): value for name, value in pairs if name.lower() in _NAMES}


class House:
    """What came, and what is answered to whom."""

    def __init__(self, secret: str) -> None:
        self._judge = Webhook(secret)
        self._hanging: set[int] = set()
        self._failing: set[int] = set()
        self._came: list[Request] = []
        self.connections: set[asyncio.Transport] = set()

    def answer(self, place: int, head: bytes, body: bytes) -> bytes:
        """The answer in wire form; nothing when there will never be one."""
        if place in self._hanging:
            return b""
        if is_good := place not in self._failing:
            self._came.append(Request(place, time.time(), head, body))
        return _ANSWERS[is_good]

    def begin(self, hanging: list[int], failing: list[int]) -> dict[str, Any]:
        self._hanging, self._failing = set(hanging), set(failing)
        self._came.clear()
        for transport in self.connections:
            transport.close()
        return {}

    def count(self) -> dict[str, Any]:
        return {"count": len(self._came)}

    def accepted(self) -> dict[str, Any]:
        refused = sum(not self._is_good(request) for request in self._came)
        rows = [(one.place, one.named()["webhook-id"], one.at) for one in self._came]
        return {"accepted": rows, "refused": refused}

    def _is_good(self, request: Request) -> bool:
        try:
            self._judge.verify(request.body, request.named())
        except Exception as error:  # noqa: BLE001 - the library raises ValueError too
            print(f"refused: {error}", file=sys.stderr)
            return False
        return True


class Connection(asyncio.Protocol):
    """POST requests with a Content-Length, one after the other."""

    def __init__(self, house: House, place: int) -> None:
        self._house = house
        self._place = place
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._house.connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._came += data
        while True:
            head, end, rest = self._came.partition(b"\r\n\r\n")
            if not end or len(rest) < (length := _length(head)):
                return
            body, self._came = rest[:length], rest[length:]
            self._transport.write(self._house.answer(self._place, head, body))


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    return 0


async def main(secret: str, count: int) -> None:
    allow_sockets()
    house = House(secret)
    answers: dict[str, Callable[..., dict[str, Any]]] = {
        "begin": house.begin,
        "count": house.count,
        "accepted": house.accepted,
    }
    _say({"urls": [await _listen(house, place) for place in range(count)]})
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        _say(answers[asked.pop("do")](**asked))


async def _listen(house: House, place: int) -> str:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(house, place), "127.0.0.1", 0, backlog=512)
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


def _say(document: object) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
