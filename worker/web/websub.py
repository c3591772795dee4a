"""The callback that WebSub hubs know: they ask there whether we subscribed, and push there.

A hub comes again only when what it sent could not be stored. What is of no use (forged, broken, too
large) would be so each time: it is acknowledged, ignored and counted.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from aiohttp import web
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from worker import logs
from worker.feeds import websub
from worker.reasons import Reason
from worker.settings import Settings
from worker.store import subscriptions
from worker.store.subscriptions import Target

log = logs.get(__name__)

Wake = Callable[[str], object]
_Taken = Literal["stored", "ignored", "again"]

_PARSED_AT_ONCE = 4
_SAFE = {"X-Content-Type-Options": "nosniff"}  # the challenge is the hub's text (section 5.3)


class Callback:
    """The routes under /websub/.

    `wake(stage)` publishes a wake-up; it is called on a thread and may block.
    """

    def __init__(self, settings: Settings, engine: Engine, wake: Wake) -> None:
        self._settings = settings
        self._engine = engine
        self._wake = wake
        self._waking: set[asyncio.Task[None]] = set()
        self._parsing = asyncio.Semaphore(_PARSED_AT_ONCE)

    def add_to(self, app: web.Application) -> None:
        """Hang the routes into `app`."""
        app.router.add_get("/websub/{token}", self._verify, allow_head=False)
        app.router.add_post("/websub/{token}", self._push)
        app.on_shutdown.append(self._finish)

    async def _verify(self, request: web.Request) -> web.Response:
        """A hub asks whether we meant it, or says that it will not."""
        try:
            verdict = await asyncio.to_thread(self._judge, request)
        except SQLAlchemyError as error:
            return _out_of_reach(error)
        return web.Response(status=verdict.status, text=verdict.text, headers=_SAFE)

    def _judge(self, request: web.Request) -> websub.Verdict:
        target = subscriptions.find(self._engine, request.match_info["token"])
        known, now = (target.subscription, target.now) if target else (None, datetime.now(UTC))
        verdict = websub.verify(known, request.query, now, self._settings.websub)
        if verdict.known and not subscriptions.save(self._engine, verdict.known):
            verdict = websub.Verdict(404)
        log.info(
            "a hub came to verify",
            feed=known.feed_id if known else None,
            mode=request.query.get("hub.mode", "")[:20],
            status=verdict.status,
        )
        return verdict

    async def _push(self, request: web.Request) -> web.Response:
        """A hub brings a document (section 7)."""
        token = request.match_info["token"]
        try:
            target = await asyncio.to_thread(subscriptions.find, self._engine, token)
            if target is None or target.subscription.state == "denied":
                return web.Response(status=410)
            with logs.bind(feed=target.feed.id):
                return await self._receive(request, target)
        except SQLAlchemyError as error:
            return _out_of_reach(error)

    async def _receive(self, request: web.Request, target: Target) -> web.Response:
        if "Content-Encoding" in request.headers:  # nobody does, and what would be signed is moot
            return web.Response(status=415, headers={"Accept-Encoding": "identity"})
        try:
            async with asyncio.timeout(self._settings.http.timeout_seconds):
                body = await self._read(request)
        except TimeoutError:
            return web.Response(status=408)
        except ConnectionError:  # it hung up; nobody reads the answer
            return web.Response(status=400)
        async with self._parsing:
            outcome = await asyncio.to_thread(self._take, target, body, request)
        if outcome == "stored":
            self._wake_fetch()
        return _again() if outcome == "again" else web.Response(status=204)

    async def _read(self, request: web.Request) -> bytes | None:
        """The body; None when it is over the cap, whose rest is not read."""
        most = self._settings.http.max_body_bytes
        body = bytearray()
        while chunk := await request.content.readany():
            body += chunk
            if len(body) > most:
                return None
        return bytes(body)

    def _take(self, target: Target, body: bytes | None, request: web.Request) -> _Taken:
        """Store a push, or count why it is of no use."""
        if body is None:
            return self._refuse(Reason.TOO_LARGE)
        signature = request.headers.get("X-Hub-Signature", "")
        if not websub.is_authentic(target.subscription.secret, signature, body):
            return self._refuse(Reason.BAD_SIGNATURE)
        content_type = request.headers.get("Content-Type", "")
        outcome = websub.pushed(target.feed, body, content_type, target.now, self._settings.poll)
        if outcome.reason:
            return self._refuse(outcome.reason, outcome.detail)
        articles = subscriptions.ingest(self._engine, outcome)
        if articles is None:
            return "again"
        log.info("pushed", articles=articles, entries=len(outcome.entries))
        return "stored"

    def _refuse(self, reason: Reason, detail: str = "") -> _Taken:
        log.warning("a push is of no use", reason=reason, detail=detail or reason.text)
        subscriptions.refused(self._engine, reason)
        return "ignored"

    def _wake_fetch(self) -> None:
        # Beside the answer: a broker that is out of reach must not keep the hub waiting.
        task = asyncio.create_task(self._wake_up("fetch"))
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    async def _wake_up(self, stage: str) -> None:
        try:
            await asyncio.to_thread(self._wake, stage)
        except Exception:
            log.exception("could not wake a stage; the dispatcher will", stage=stage)

    async def _finish(self, _app: web.Application) -> None:
        await asyncio.gather(*self._waking)


def _out_of_reach(error: SQLAlchemyError) -> web.Response:
    why = str(error).splitlines()[0]
    log.error("a hub has to come again: the store is out of reach", error=why)
    return _again()


def _again() -> web.Response:
    return web.Response(status=503, headers={"Retry-After": "10"})
