"""A broker, a store and Kabar's processes on them, with the probe's tasks beside the real ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
from kombu.exceptions import OperationalError

from tests import waiting
from tests.servers.kabar import Kabar, Process
from tests.servers.site import Site
from tests.servers.valkey import Valkey
from worker.app import make_app
from worker.settings import Settings

# What a test waits for at most where no number is given: much, for a busy machine.
PATIENCE = 90.0

ENVIRON = {
    "KABAR_HTTP__ALLOW_NETWORKS": '["127.0.0.0/8"]',
    "KABAR_POLL__BACKFILL_ALERTS": "true",
    "KABAR_POLL__BACKFILL": "100",
    "KABAR_POLITENESS__AT_ONCE": "64",
    "KABAR_POLITENESS__SPACING_SECONDS": "0",
    "KABAR_WEB__PORT": "0",
}


class Rig:
    def __init__(self, directory: Path, settings: Settings, broker: Valkey) -> None:
        self.settings = settings
        self.broker = broker
        self.kabar = Kabar(directory, self._environ(directory, settings), "tests.celery.probe")
        self._app = make_app(settings)
        self._notes = directory / "notes"

    def start(self, *commands: str, **environ: str) -> list[Process]:
        """Start these (`worker --role io`), and return when all of them are ready."""
        started = [self.kabar.begin(*command.split(), **environ) for command in commands]
        return [process.wait_ready() for process in started]

    def start_all(self, **environ: str) -> list[Process]:
        """Start all roles and a beat."""
        work = "worker --role io --role cpu --role translate --concurrency 2"
        return self.start("beat", "worker --role control", work, **environ)

    def add(self, site: Site) -> None:
        """Have `site` polled, and alerted of all stories."""
        self.run("endpoints", "add", site.url, f"{site.url}/hook", "--allow-private",
                 "--allow-http")  # fmt: skip
        self.poll(site)

    def poll(self, site: Site) -> None:
        """Have `site` polled."""
        self.run("feeds", "add", f"{site.url}/feed", "--no-discover")

    def run(self, *arguments: str) -> None:
        done = self.kabar.run(*arguments)
        assert done.returncode == 0, done.stderr

    def publish(self, task: str, *arguments: object, queue: str = "process", **how: Any) -> bool:
        """Publish a wake-up of a probe's task; whether the broker took it."""
        once = {"max_retries": 0}
        try:
            self._app.send_task(
                f"probe.{task}", arguments, queue=queue, retry=True, retry_policy=once, **how
            )
        except (OperationalError, redis.RedisError, OSError):
            return False
        return True

    def notes(self, what: str) -> list[str]:
        """The names that the probe's tasks have noted under `what`."""
        if not self._notes.exists():
            return []
        lines = [line.split(maxsplit=1) for line in self._notes.read_text().splitlines()]
        return [name for kind, name in lines if kind == what]

    def wait_for(self, what: str, *names: str, seconds: float = PATIENCE) -> None:
        """Wait until all of `names` are noted under `what`."""
        waiting.until(
            lambda: set(names) <= set(self.notes(what)), f"{what} {names}", seconds, step=0.02
        )

    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue."""
        with self.broker.client() as client:
            return int(client.llen(f"kabar:{queue}"))

    def close(self) -> None:
        self.kabar.close()
        self._app.close()

    def _environ(self, directory: Path, settings: Settings) -> Mapping[str, str]:
        return {
            **ENVIRON,
            "KABAR_STORE__URL": settings.store_url,
            "KABAR_BROKER__URL": self.broker.url,
            "PROBE_NOTES": str(directory / "notes"),
        }
