"""The web service: health and readiness, the events' schemas, the callback of WebSub's hubs."""

import asyncio
import contextlib
import errno
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from aiohttp import web
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from worker import logs, notify, pulse, store
from worker.broker import redis_url
from worker.settings import ConfigError, Settings
from worker.store import processes, schema
from worker.web.schemas import Schemas

log = logs.get(__name__)

_SETTINGS = web.AppKey("settings", Settings)
_ENGINE = web.AppKey("engine", Engine)
_STOP_SECONDS = 5.0  # for what is under way; a hub that was cut off comes again


def run(settings: Settings, wake: Callable[[str], object]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    `wake(stage)` publishes a wake-up of a stage that got work here; it is called on a thread and
    may block. Raises `ConfigError` when the address cannot be listened on.
    """
    schema.check(settings)
    return asyncio.run(_serve(settings, wake))


def make_app(settings: Settings, wake: Callable[[str], object]) -> web.Application:
    """The application with all its routes; for `wake` see `run`."""
    app = web.Application()
    app[_SETTINGS] = settings
    app[_ENGINE] = store.open_engine(settings)
    app.add_routes([web.get("/healthz", _healthz), web.get("/readyz", _readyz)])
    Schemas().add_to(app)
    app.cleanup_ctx.append(_heartbeat)
    if settings.websub.callback_url:
        from worker.web.websub import Callback  # parses feeds: 10 MB that others can do without

        Callback(settings, app[_ENGINE], wake).add_to(app)
    return app


async def _serve(settings: Settings, wake: Callable[[str], object]) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    app = make_app(settings, wake)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    try:
        await _listen(runner, settings)
        log.info("ready", url=f"http://{_shown(runner)}")
        notify.ready()
        await stopped.wait()
    finally:
        await runner.cleanup()
    return 0


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    host, port = settings.web.host, settings.web.port
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        why = error.strerror if error.errno != errno.EADDRINUSE else "another program listens there"
        raise ConfigError(
            f"web.host and web.port: cannot listen on {host}:{port} ({why}): "
            "set KABAR_WEB__PORT to another port, 0 for any"
        ) from None


async def _healthz(_request: web.Request) -> web.Response:
    """This process answers."""
    return web.json_response({"status": "ok"})


async def _readyz(request: web.Request) -> web.Response:
    """Store and broker answer too; 503 with what does not otherwise."""
    checks = {
        "store": await asyncio.to_thread(_store_answers, request.app[_ENGINE]),
        "broker": await _broker_answers(request.app[_SETTINGS]),
    }
    ready = all(checks.values())
    body = {"status": "ok" if ready else "unavailable", "checks": checks}
    return web.json_response(body, status=200 if ready else 503)


def _store_answers(engine: Engine) -> bool:
    try:
        with store.reading(engine) as connection:
            connection.exec_driver_sql("SELECT count(*) FROM alembic_version")
    except SQLAlchemyError:
        return False
    return True


async def _broker_answers(settings: Settings) -> bool:
    if settings.broker.url is None:
        return False
    try:
        async with Redis.from_url(
            redis_url(settings.broker.url),
            socket_timeout=2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),  # who asks for readiness asks again
        ) as client:
            return bool(await client.ping())
    except (RedisError, OSError, ValueError):
        return False


async def _heartbeat(app: web.Application) -> AsyncIterator[None]:
    heart = processes.Heart(("web",), datetime.now(UTC))

    async def beat() -> None:
        while True:
            try:
                await asyncio.to_thread(heart.beat, app[_ENGINE])
                pulse.touch(app[_SETTINGS].data_dir, heart.roles)
            except SQLAlchemyError as error:
                log.warning("no heartbeat written", error=str(error).splitlines()[0])
            await asyncio.sleep(pulse.INTERVAL_SECONDS)

    task = asyncio.create_task(beat())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    app[_ENGINE].dispose()


def _shown(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"{host}:{port}"
