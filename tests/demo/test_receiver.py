import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from worker import webhooks
from worker.demo.receiver import Receiver

SECRET = webhooks.generate_secret()

Post = Callable[..., Awaitable[int]]


def delivering(deliver: Callable[[Receiver, Post], Awaitable[None]]) -> None:
    """Run `deliver` with an open receiver and a way to post to it, signed by the room itself."""

    async def main() -> None:
        async with Receiver(SECRET) as receiver, aiohttp.ClientSession() as client:

            async def post(
                webhook_id: str,
                body: bytes,
                *,
                secret: str = SECRET,
                at: float | None = None,
                **changed: str,
            ) -> int:
                timestamp = int(time.time() if at is None else at)
                headers = {**webhooks.headers(secret, webhook_id, timestamp, body), **changed}
                async with client.post(receiver.url, data=body, headers=headers) as response:
                    return response.status

            await deliver(receiver, post)

    asyncio.run(main())


def body(story: str = "1", **more: Any) -> bytes:
    data = {"story": {"id": story, "title": "Judul – “é”"}, "article": {}, **more}
    return json.dumps({"type": "story.created", "data": data}, ensure_ascii=False).encode()


def test_a_good_delivery_is_recorded_once() -> None:
    async def deliver(receiver: Receiver, post: Post) -> None:
        assert await post("msg_1", body()) == 204
        alert = receiver.arrivals.get_nowait()
        assert (alert.webhook_id, alert.story_id, alert.body) == ("msg_1", "1", body())
        assert alert.data["story"]["title"] == "Judul – “é”"
        assert receiver.alerts == {"msg_1": alert}
        assert (receiver.problems, receiver.refused, receiver.repeats) == ([], 0, 0)

    delivering(deliver)


def test_the_same_bytes_may_come_again() -> None:
    async def deliver(receiver: Receiver, post: Post) -> None:
        for _ in range(3):
            assert await post("msg_1", body()) == 204
        assert receiver.repeats == 2
        assert receiver.arrivals.qsize() == 1
        assert receiver.problems == []

    delivering(deliver)


def test_other_bytes_under_one_id_are_a_problem() -> None:
    async def deliver(receiver: Receiver, post: Post) -> None:
        await post("msg_1", body())
        assert await post("msg_1", body(feed={})) == 204
        assert receiver.repeats == 0
        assert receiver.arrivals.qsize() == 1
        (problem,) = receiver.problems
        assert "msg_1" in problem

    delivering(deliver)


def test_two_ids_for_one_story_are_a_problem() -> None:
    async def deliver(receiver: Receiver, post: Post) -> None:
        await post("msg_1", body("7"))
        await post("msg_2", body("8"))
        assert receiver.problems == []
        await post("msg_3", body("7"))
        (problem,) = receiver.problems
        assert "msg_1" in problem
        assert "msg_3" in problem

    delivering(deliver)


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": webhooks.generate_secret()},
        {"at": time.time() - 3600},
        {"at": time.time() + 3600},
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": "soon"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,!!!"},
        {"webhook-signature": "nonsense"},
        {"webhook-signature": ""},
    ],
    ids=[
        *("another secret", "an hour old", "an hour ahead", "another id", "no time"),
        *("empty", "no base64", "no signature", "none"),
    ],
)
def test_a_forged_delivery_is_refused(changed: dict[str, Any]) -> None:
    async def deliver(receiver: Receiver, post: Post) -> None:
        assert await post("msg_1", body(), **changed) == 401
        assert receiver.refused == 1
        assert (receiver.alerts, receiver.problems) == ({}, [])

    delivering(deliver)


def test_a_body_that_is_no_text_is_refused() -> None:
    async def deliver(receiver: Receiver, post: Post) -> None:
        assert await post("msg_1", b"\xff\xfe") == 401
        assert receiver.refused == 1

    delivering(deliver)


@pytest.mark.parametrize(
    "signed", [b"{", b"[]", b"{}", b'{"data": 1}', b'{"data": {"story": {}}}'], ids=repr
)
def test_a_signed_body_that_is_no_alert_is_a_problem(signed: bytes) -> None:
    async def deliver(receiver: Receiver, post: Post) -> None:
        assert await post("msg_1", signed) == 400
        assert len(receiver.problems) == 1
        assert receiver.alerts == {}

    delivering(deliver)
