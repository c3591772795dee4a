"""Chat and mail targets: an event as a short message, by way of apprise.

apprise makes its own connections, blocks, and knows no end of an answer that drips. So it runs in a
process of its own (`messenger.py`), which asks here before each connection and is killed at the
deadline. That also keeps its 50 MB out of the processes that send webhooks.
"""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from worker.http import Response
from worker.http.guard import AddressDeniedError, Guard
from worker.reasons import Reason
from worker.settings import HttpSettings, WebhookSettings
from worker.webhooks.deliver import Delivery, Endpoint
from worker.webhooks.message import message
from worker.webhooks.seal import UnreadableSecretError, unseal

_COMMAND = (sys.executable, "-P", str(Path(__file__).with_name("messenger.py")))
# Neither our own secrets nor proxies, which would resolve names themselves.
_ENVIRONMENT = (
    "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH",
    "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE", "TZ", "VIRTUAL_ENV",
)  # fmt: skip
_DESCRIBE_SECONDS = 30.0


@dataclass(frozen=True)
class Answer(Response):
    """What a message came to; whether it was `accepted` is apprise's word, for mail has no status
    and some services say 200 when they mean no.
    """

    accepted: bool = False

    @property
    def ok(self) -> bool:
        return self.accepted


@dataclass(frozen=True, slots=True)
class Target:
    """A chat or mail target: its URL as far as it may be `shown`, and the name of its service."""

    shown: str
    service: str


class Messenger:
    """Sends messages one after the other. An async context manager, for one event loop.

    Its process starts with the first message, and ends with it.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end()

    async def send(
        self, endpoint: Endpoint, delivery: Delivery, settings: WebhookSettings
    ) -> Response:
        """Send one attempt; it ends when its time is over, whatever the service does."""
        began = time.monotonic()
        try:
            said = await self._send(endpoint, delivery, settings)
        except UnreadableSecretError as error:
            said = {"failure": Reason.INVALID_CONFIGURATION, "detail": str(error)}
        except AddressDeniedError as error:
            said = {"failure": Reason.ADDRESS_DENIED, "detail": str(error)}
        except TimeoutError:
            said = {"failure": Reason.TIMEOUT}
        except OSError as error:
            said = {"failure": Reason.CONNECTION_LOST, "detail": str(error)}
        return _answer(endpoint.url, said, time.monotonic() - began)

    async def describe(self, url: str) -> Target | None:
        """What there is to say of a target's URL; None when apprise does not know such a one.

        Connects to nothing.
        """
        async with asyncio.timeout(_DESCRIBE_SECONDS):
            said = await self._ask({"url": url}, Guard())
        return Target(said["shown"], said["service"]) if said["shown"] else None

    async def _send(
        self, endpoint: Endpoint, delivery: Delivery, settings: WebhookSettings
    ) -> dict[str, Any]:
        told = message(delivery.body)
        order = {
            "url": unseal(endpoint.secret, settings),
            "title": told.title,
            "text": told.text or told.title,
            "seconds": settings.timeout_seconds,
        }
        guard = Guard(self._settings.allow_networks, endpoint.allow_private)
        async with asyncio.timeout(settings.timeout_seconds):
            return await self._ask(order, guard)

    async def _ask(self, order: Mapping[str, Any], guard: Guard) -> dict[str, Any]:
        """Have an order carried out; without an answer its process is not used again."""
        try:
            self._process = self._process or await _start()
            return await _talk(self._process, order, guard)
        except BaseException:
            await self._end()
            raise

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _start() -> Process:
    # Nothing of what it logs is kept: it tells of URLs.
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *_COMMAND, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment | {"NETRC": os.devnull}
    )


async def _talk(process: Process, order: Mapping[str, Any], guard: Guard) -> dict[str, Any]:
    """Give an order, say which connections may be made, and return the answer. Raises OSError."""
    assert process.stdin
    assert process.stdout
    denied: AddressDeniedError | None = None
    reply: Any = order
    while True:
        process.stdin.write(json.dumps(reply).encode() + b"\n")
        if not (line := await process.stdout.readline()):
            raise OSError("the process that sends messages has ended")
        said: dict[str, Any] = json.loads(line)
        if "connect" not in said:
            break
        try:
            guard.check(said["connect"])
        except (AddressDeniedError, ValueError) as error:
            denied = denied or AddressDeniedError(str(error))
        reply = denied is None
    if denied and not said.get("accepted"):
        raise denied
    return said


def _answer(url: str, said: Mapping[str, Any], seconds: float) -> Answer:
    accepted = bool(said.get("accepted"))
    status, failure = said.get("status"), said.get("failure")
    if not accepted and not failure and (status is None or status < 300):
        failure = Reason.NOT_ACCEPTED
    reason: Reason | None = next((one for one in Reason if one == failure), None)
    retry_after = said.get("retry_after")
    return Answer(
        url,
        url,
        status=status,
        headers={"Retry-After": retry_after} if retry_after else {},
        body=said.get("excerpt", "").encode("utf-8", "replace"),
        elapsed_seconds=seconds,
        failure=reason,
        detail=said.get("detail") or (reason.text if reason else _phrase(status)),
        accepted=accepted,
    )


def _phrase(status: int | None) -> str:
    if status is None:
        return ""
    known = status in HTTPStatus.__members__.values()
    return f"{status} {HTTPStatus(status).phrase}" if known else str(status)
