"""`kabar up` as the demo runs it: its own settings and directory, restarted when it dies."""

import asyncio
import contextlib
import json
import os
import signal
import site
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import worker
from worker import settings
from worker.demo.translation import Translator
from worker.embedded.child import ChildSpec
from worker.embedded.groups import Groups
from worker.embedded.output import Output
from worker.embedded.supervisor import Supervisor
from worker.webhooks.events import STORY_CREATED

_NAME = "up"
_STOP_SECONDS = 30.0  # more than `kabar up` takes for the ladders of its own children

_CONFIG = """\
data_dir = {data_dir}
feeds_file = {feeds_file}

[http]
allow_networks = ["127.0.0.0/8"]  # newsroom and receiver are on loopback
timeout_seconds = 3

[poll]
interval_seconds = 1
min_interval_seconds = 1
max_interval_seconds = 1
backfill_alerts = true

[politeness]  # towards our own sites on loopback, which share few hosts
at_once = 64
spacing_seconds = 0

[fetch]
retry_seconds = [1, 2, 4, 8]

[translate]
engines = [{engine}]
models_dir = {models}
batch = 2  # so that an alert seldom waits for another's translation
retry_seconds = [1, 2, 4, 8]

[translate.firefox]
fetch = false

[webhooks]
timeout_seconds = 3
retry_seconds = [1, 2, 4, 8, 8, 8, 8, 8, 8, 8]

[leases]  # short, so that what a killed process held is soon free
poll = 8
fetch = 8
process = 8
translate = {translate_lease}
publish = 8
deliver = 8

[workers]
io = 1
cpu = 1
stop_seconds = 5

[web]
port = 0

[log]
level = "warning"
"""


class Service:
    """Polls `feeds` and alerts `endpoint`; what it says goes to `log`.

    Setting `hurry` ends it without waiting for what it is doing.
    """

    def __init__(
        self,
        directory: Path,
        *,
        feeds: Sequence[str],
        endpoint: str,
        secret: str,
        translator: Translator,
        hurry: asyncio.Event,
    ) -> None:
        self.log = directory / "kabar.log"
        self._environ = _configure(directory, feeds, translator)
        self._endpoint = (endpoint, secret)
        self._log_fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._output = Output(self._log_fd, [_NAME])
        self._groups = Groups(self._log_fd, self._say)
        self._supervisor = Supervisor(directory, self._groups, self._output, hurry)
        self._preparing: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Return once all its processes work. Raises `StoreError` or `StartError`."""
        await self._groups.start()
        self._preparing = asyncio.ensure_future(
            asyncio.to_thread(_prepare_store, self._environ, *self._endpoint)
        )
        await asyncio.shield(self._preparing)  # a thread cannot be cancelled, only awaited
        command = (sys.executable, "-P", "-m", "worker", "up")
        spec = ChildSpec(_NAME, command, self._environ, ((signal.SIGTERM, _STOP_SECONDS),))
        await self._supervisor.start([spec])

    async def watch(self) -> None:
        """Never return; raise what makes it give up."""
        await self._supervisor.watch()

    async def stop(self) -> None:
        """End it and everything it has started."""
        if self._preparing:
            await asyncio.wait([self._preparing])
        await self._supervisor.stop([[_NAME]])
        await self._groups.close()
        self._output.close()
        os.close(self._log_fd)

    def last_lines(self, number: int) -> list[str]:
        """The end of what it said."""
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-number:]

    def _say(self, text: str) -> None:
        self._output.line("kabar", text.encode())


def _configure(directory: Path, feeds: Sequence[str], translator: Translator) -> dict[str, str]:
    """Write the demo's files; returns the environment in which they, and no others, count."""
    data_dir, feeds_file, config = (directory / n for n in ("data", "feeds.toml", "kabar.toml"))
    data_dir.mkdir(mode=0o700)
    feeds_file.write_text("".join(f"[[feeds]]\nurl = {json.dumps(url)}\n" for url in feeds))
    values: dict[str, str | int] = {
        "data_dir": str(data_dir),
        "feeds_file": str(feeds_file),
        "engine": translator.engine,
        "models": str(translator.models),
        "translate_lease": 60 if translator.engine == "local-llm" else 8,
    }
    quoted = {name: json.dumps(value) for name, value in values.items()}
    config.write_text(_CONFIG.format(**quoted))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KABAR_")}
    return {**environ, **_python_path(environ), "KABAR_CONFIG": str(config)}


def _python_path(environ: Mapping[str, str]) -> dict[str, str]:
    home = str(Path(worker.__file__).parents[1])
    if home in site.getsitepackages():
        return {}
    # Run from a checkout, which `python -P` would not find.
    return {"PYTHONPATH": os.pathsep.join(filter(None, [home, environ.get("PYTHONPATH")]))}


def _prepare_store(environ: Mapping[str, str], url: str, secret: str) -> None:
    """What `kabar db upgrade` and `kabar endpoints add` do, without three more interpreters."""
    from worker.store import schema, sessions, webhooks  # SQLAlchemy and Alembic take 0.4 s

    with _environment(environ):
        own = settings.load()
    schema.upgrade(own)
    engine = sessions.open_engine(own, pooled=False)
    webhooks.add(
        engine,
        "demo",
        url,
        secret,
        event_types=[STORY_CREATED],
        allow_private=True,
        allow_http=True,
    )


@contextlib.contextmanager
def _environment(environ: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
