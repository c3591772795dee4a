import asyncio
import json
import re
import signal
import socket
from collections.abc import Iterator
from threading import Timer
from typing import Any

import aiohttp
import pytest
from aiohttp import web as aiohttp_web
from yarl import URL

from tests import waiting
from tests.conftest import MakeSettings
from tests.servers.valkey import Valkey
from tests.webhooks.schemas import FOLDER
from worker import web
from worker.settings import ConfigError, Settings
from worker.store import StoreError, open_engine, processes


@pytest.fixture
def settings(make_settings: MakeSettings, migrated_sqlite_url: str, valkey: Valkey) -> Settings:
    return make_settings(
        store={"url": migrated_sqlite_url}, broker={"url": valkey.url}, web={"port": 0}
    )


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 on which somebody else listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def nobody(_stage: str) -> None:
    """Whom these tests wake."""


def ask(settings: Settings, *paths: str) -> list[tuple[int, Any]]:
    """Status and document of each path, from a server on loopback."""

    async def serve() -> list[tuple[int, Any]]:
        runner = aiohttp_web.AppRunner(web.make_app(settings, nobody))
        await runner.setup()
        await aiohttp_web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        try:
            async with aiohttp.ClientSession() as client:
                answers = []
                for path in paths:
                    async with client.get(f"http://{host}:{port}{path}") as response:
                        answers.append((response.status, await response.json()))
                return answers
        finally:
            await runner.cleanup()

    return asyncio.run(serve())


def test_a_service_that_works(store_settings: Settings, valkey: Valkey) -> None:
    settings = store_settings.model_copy(
        update={"broker": store_settings.broker.model_copy(update={"url": valkey.url})}
    )
    assert ask(settings, "/healthz", "/readyz") == [
        (200, {"status": "ok"}),
        (200, {"status": "ok", "checks": {"store": True, "broker": True}}),
    ]


def test_a_broker_that_is_down_is_named(settings: Settings, valkey: Valkey) -> None:
    valkey.kill9()
    health, ready = ask(settings, "/healthz", "/readyz")
    assert health == (200, {"status": "ok"})
    assert ready == (
        503,
        {"status": "unavailable", "checks": {"store": True, "broker": False}},
    )


def test_a_broker_that_refuses_us_is_named(settings: Settings, valkey: Valkey) -> None:
    wrong = settings.model_copy(
        update={"broker": settings.broker.model_copy(update={"url": valkey.url_with("wrong")})}
    )
    ((status, body),) = ask(wrong, "/readyz")
    assert (status, body["checks"]["broker"]) == (503, False)


def test_without_a_broker_in_the_settings_nothing_is_ready(
    make_settings: MakeSettings, migrated_sqlite_url: str
) -> None:
    ((status, body),) = ask(make_settings(store={"url": migrated_sqlite_url}), "/readyz")
    assert (status, body["checks"]) == (503, {"store": True, "broker": False})


def test_a_store_without_tables_is_named(
    make_settings: MakeSettings, store_url: str, valkey: Valkey
) -> None:
    settings = make_settings(store={"url": store_url}, broker={"url": valkey.url})
    ((status, body),) = ask(settings, "/readyz")
    assert (status, body["checks"]) == (503, {"store": False, "broker": True})


def test_the_schemas_of_the_events(settings: Settings) -> None:
    names = ["story.created", "story.updated", "feed.failing", "feed.recovered",
             "endpoint.disabled", "test.ping"]  # fmt: skip
    (listed,) = ask(settings, "/schemas/")
    paths = {name: f"/schemas/{name}.json" for name in names}
    assert listed == (200, {"schemas": paths})
    schemas = ask(settings, *paths.values())
    kept = [(200, json.loads((FOLDER / f"{name}.json").read_bytes())) for name in names]
    assert schemas == kept


@pytest.mark.parametrize(
    "path",
    [
        "nothing", "schemas/story.deleted.json", "schemas/story.created", "schemas/..%2Fx.json",
        "schemas/%2e%2e/events.py",
    ],
)  # fmt: skip
def test_a_path_that_is_not_there(settings: Settings, path: str) -> None:
    async def serve() -> int:
        runner = aiohttp_web.AppRunner(web.make_app(settings, nobody))
        await runner.setup()
        await aiohttp_web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        try:
            async with (
                aiohttp.ClientSession() as client,
                client.get(URL(f"http://{host}:{port}/{path}", encoded=True)) as response,
            ):
                return response.status
        finally:
            await runner.cleanup()

    assert asyncio.run(serve()) == 404


def test_it_serves_until_it_is_told_to_stop(settings: Settings) -> None:
    engine = open_engine(settings)

    def stop() -> None:
        waiting.until(lambda: processes.silence(engine, "web") is not None, "a heartbeat")
        signal.raise_signal(signal.SIGTERM)

    timer = Timer(0.1, stop)
    timer.start()
    assert web.run(settings, nobody) == 0
    timer.join()
    assert processes.is_healthy(processes.silence(engine, "web"))
    assert [one["role"] for one in processes.listing(engine)] == ["web"]
    engine.dispose()


def test_a_port_that_is_taken_is_told_with_the_way_out(settings: Settings, taken: int) -> None:
    there = settings.model_copy(update={"web": settings.web.model_copy(update={"port": taken})})
    with pytest.raises(ConfigError) as raised:
        web.run(there, nobody)
    assert re.fullmatch(
        rf"web\.host and web\.port: cannot listen on 127\.0\.0\.1:{taken} "
        r"\(another program listens there\): set KABAR_WEB__PORT to another port, 0 for any",
        str(raised.value),
    )


def test_an_address_that_is_not_ours(settings: Settings) -> None:
    there = settings.model_copy(
        update={"web": settings.web.model_copy(update={"host": "192.0.2.1"})}
    )
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1"):
        web.run(there, nobody)


def test_a_store_without_tables_is_refused(make_settings: MakeSettings, sqlite_url: str) -> None:
    with pytest.raises(StoreError, match="`kabar db upgrade`"):
        web.run(make_settings(store={"url": sqlite_url}), nobody)
