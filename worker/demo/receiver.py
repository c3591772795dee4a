"""A webhook receiver, on loopback unless told otherwise, that believes nothing it cannot verify.

It keeps in memory what it saw: `alerts` by webhook-id, and in `problems` all that a sender must
never do: one id with two bodies, two ids for one story, a signed body that is no alert.
"""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

_MAX_BODY_BYTES = 1_000_000


@dataclass
class Alert:
    """A verified delivery; `repeats` counts those after the first with the same id and bytes."""

    webhook_id: str
    body: bytes
    received_at: datetime
    story_id: str
    data: dict[str, Any] = field(repr=False)
    repeats: int = 0


class Receiver:
    """Listens while used as an async context manager; `arrivals` gets each new alert once.

    Answers 204 to what is signed with `secret` (`whsec_…`), 401 to what is not, 400 to a signed
    body that is no alert.
    """

    def __init__(self, secret: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.alerts: dict[str, Alert] = {}
        self.arrivals: asyncio.Queue[Alert] = asyncio.Queue()
        self.problems: list[str] = []
        self.refused = 0
        self._webhook = Webhook(secret)
        self._host = host
        self._port = port
        self._stories: dict[str, str] = {}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_post("/hook", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where deliveries go."""
        assert self._runner is not None
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/hook"

    @property
    def repeats(self) -> int:
        """Deliveries that came again with the same id and the same bytes, which is allowed."""
        return sum(alert.repeats for alert in self.alerts.values())

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        webhook_id = request.headers.get("webhook-id", "")
        try:
            payload = self._webhook.verify(body.decode(), dict(request.headers))
            data = payload["data"]
            story_id = data["story"]["id"]
        except WebhookVerificationError as error:
            return self._refuse(401, str(error))
        except (json.JSONDecodeError, LookupError, TypeError) as error:
            # The library parses only what it has verified: the sender signed this.
            self.problems.append(f"{webhook_id}: a signed body that is no alert ({error!r})")
            return web.Response(status=400)
        except ValueError as error:  # the library's answer to a malformed header or base64
            return self._refuse(401, str(error))
        self._record(Alert(webhook_id, body, datetime.now(UTC), story_id, data))
        return web.Response(status=204)

    def _refuse(self, status: int, why: str) -> web.Response:
        self.refused += 1
        return web.Response(status=status, text=why)

    def _record(self, alert: Alert) -> None:
        known = self.alerts.get(alert.webhook_id)
        if known is None:
            self._record_first(alert)
        elif known.body == alert.body:
            known.repeats += 1
        else:
            self.problems.append(f"{alert.webhook_id}: came again with other bytes")

    def _record_first(self, alert: Alert) -> None:
        self.alerts[alert.webhook_id] = alert
        first = self._stories.setdefault(alert.story_id, alert.webhook_id)
        if first != alert.webhook_id:
            self.problems.append(
                f"story {alert.story_id}: alerted twice, as {first} and as {alert.webhook_id}"
            )
        self.arrivals.put_nowait(alert)
