"""A WebSub hub on loopback, in a process of its own: small, but it does what a hub must.

The query of its URL says in which way it is not as others: `lease` (seconds that it grants),
`topic` (it verifies another one), `deny` (it denies, for that reason), `status` (it refuses with
it), `to` (it redirects there, 307), `method` (it signs with), `early` (it verifies, then answers).
"""

import asyncio
import hmac
import json
import secrets
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from tests import waiting
from tests.servers.child import Child

_ROOT = Path(__file__).parents[2]
_SECONDS = 30


class Hub:
    """The hub's process while used as a context manager."""

    def __enter__(self) -> "Hub":
        self._directory = tempfile.TemporaryDirectory(prefix="kabar-hub-")
        log = Path(self._directory.name) / "log"
        self._child = Child([sys.executable, "-m", "tests.servers.hub"], log, cwd=_ROOT)
        try:
            self._base = waiting.until(lambda: _first_line(log), "the hub listens")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._directory.cleanup()

    def url(self, **ways: object) -> str:
        return f"{self._base}/hub?{urlencode(ways)}" if ways else f"{self._base}/hub"

    def asked(self) -> list[dict[str, str]]:
        """The requests for subscriptions that came so far."""
        return list(self._state()["asked"])

    def subscriptions(self) -> list[dict[str, Any]]:
        """What subscribers have verified and is not over."""
        return list(self._state()["subscriptions"])

    def publish(self, topic: str) -> list[int]:
        """Tell the hub that there is something new at `topic`; what each subscriber answered."""
        form = urlencode({"hub.mode": "publish", "hub.url": topic}).encode()
        return list(_load(urllib.request.Request(self.url(), form)))

    def _state(self) -> dict[str, Any]:
        return dict(_load(urllib.request.Request(f"{self._base}/state")))


def _first_line(log: Path) -> str:
    return log.read_text().partition("\n")[0] if log.exists() else ""


def _load(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=_SECONDS) as response:
        return json.load(response)


@dataclass
class _Subscription:
    callback: str
    topic: str
    secret: str
    method: str
    ends_at: float


class _Server:
    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.subscriptions: dict[tuple[str, str], _Subscription] = {}
        self._verifying: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        app = web.Application()
        app.router.add_post("/hub", self._take)
        app.router.add_get("/state", self._show)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        sys.stdout.write(f"http://{host}:{port}\n")
        sys.stdout.flush()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_SECONDS)) as self._client:
            await asyncio.Event().wait()

    async def _show(self, _request: web.Request) -> web.Response:
        live = [asdict(one) for one in self.subscriptions.values() if one.ends_at > time.time()]
        return web.json_response({"asked": self.asked, "subscriptions": live})

    async def _take(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form.get("hub.mode") == "publish":
            return web.json_response(await self._distribute(form["hub.url"], str(request.url)))
        self.asked.append(form)
        way = request.query
        if "to" in way:
            return web.Response(status=307, headers={"Location": way["to"]})
        if "status" in way:
            return web.Response(status=int(way["status"]), text="not today")
        if "early" in way:
            await self._verify(form, way)
            return web.Response(status=204)
        task = asyncio.create_task(self._verify(form, way))
        self._verifying.add(task)
        task.add_done_callback(self._verifying.discard)
        return web.Response(status=202)

    async def _verify(self, form: Mapping[str, str], way: Mapping[str, str]) -> None:
        topic, callback = form["hub.topic"], form["hub.callback"]
        if "deny" in way:
            told = {"hub.mode": "denied", "hub.topic": topic, "hub.reason": way["deny"]}
            await self._ask(callback, told)
            return
        lease = int(way.get("lease", form["hub.lease_seconds"]))
        challenge = secrets.token_urlsafe(24)
        question = {
            "hub.mode": form["hub.mode"],
            "hub.topic": way.get("topic", topic),
            "hub.challenge": challenge,
            "hub.lease_seconds": str(lease),
        }
        if await self._ask(callback, question) != (200, challenge):
            return
        if form["hub.mode"] == "unsubscribe":
            self.subscriptions.pop((callback, topic), None)
            return
        self.subscriptions[callback, topic] = _Subscription(
            callback, topic, form["hub.secret"], way.get("method", "sha256"), time.time() + lease
        )

    async def _ask(self, callback: str, question: Mapping[str, str]) -> tuple[int, str]:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self._client.get(callback, params=question) as response:
                return response.status, await response.text()
        return 0, ""

    async def _distribute(self, topic: str, hub: str) -> list[int]:
        async with self._client.get(topic) as response:
            body, kind = await response.read(), response.headers["Content-Type"]
        links = f'<{hub}>; rel="hub", <{topic}>; rel="self"'
        headers = {"Content-Type": kind, "Link": links}
        wanted = [
            one
            for one in self.subscriptions.values()
            if one.topic == topic and one.ends_at > time.time()
        ]
        return list(await asyncio.gather(*(self._send(one, body, headers) for one in wanted)))

    async def _send(self, to: _Subscription, body: bytes, headers: Mapping[str, str]) -> int:
        digest = hmac.new(to.secret.encode(), body, to.method).hexdigest()
        signed = {**headers, "X-Hub-Signature": f"{to.method}={digest}"}
        async with self._client.post(to.callback, data=body, headers=signed) as response:
            if response.status == 410:
                self.subscriptions.pop((to.callback, to.topic), None)
            return response.status


if __name__ == "__main__":
    asyncio.run(_Server().run())
