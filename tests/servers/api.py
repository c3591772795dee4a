"""A JSON API on loopback that says what a test tells it to, and the way to it by the one client."""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from worker.http import Client, Response
from worker.settings import HttpSettings

_HANG_SECONDS = 60.0


@dataclass(frozen=True)
class Request:
    """What was asked; `body` is its JSON."""

    path: str
    headers: Message
    body: Any


@dataclass(frozen=True)
class Answer:
    """`body` is sent as JSON, bytes as they are. `hangs`: after the head nothing more comes."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False


class Api:
    """Answers each POST with what `answer` makes of it; `requests` holds them all, in order."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> "Api":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> Response:
    """One request by the one client, as engines are given it."""

    async def ask() -> Response:
        async with Client(HttpSettings()) as client:
            return await client.post(
                url,
                body,
                headers=headers,
                timeout_seconds=timeout_seconds,
                max_bytes=1_000_000,
                allow_private=True,
            )

    return asyncio.run(ask())


def _handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            request = Request(self.path, self.headers, json.loads(self.rfile.read(length)))
            api.requests.append(request)
            answer = api.answer(request)
            is_raw = isinstance(answer.body, bytes)
            body = answer.body if is_raw else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if answer.hangs:
                self.wfile.flush()
                api.ended.wait(_HANG_SECONDS)
            else:
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler
