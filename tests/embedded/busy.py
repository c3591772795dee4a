"""A Celery worker node with Kabar's configuration and two tasks that keep it busy.

python -m tests.embedded.busy [--no-death-signal]
"""

import sys
import time
from pathlib import Path

from celery import Celery, signals
from celery.concurrency import prefork

from tests.embedded.dummy import death_signal
from worker import logs, notify
from worker.app import make_app
from worker.settings import Settings, load

QUEUE = "poll"
SLOTS = 2


def main() -> int:
    settings = load()
    app = make_app_with_tasks(settings)
    if "--no-death-signal" in sys.argv:
        # As on a system whose kernel has none.
        prefork.set_pdeathsig = lambda name: None
        death_signal(0)
    signals.setup_logging.connect(lambda **_: logs.configure(settings.log), weak=False)
    signals.worker_ready.connect(lambda **_: notify.ready(), weak=False)
    node = app.Worker(
        hostname="busy@localhost",
        queues=[QUEUE],
        pool_cls="prefork",
        concurrency=SLOTS,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    node.start()
    return int(node.exitcode or 0)


def make_app_with_tasks(settings: Settings) -> Celery:
    app = make_app(settings)
    app.task(spin, name="spin", time_limit=600)
    app.task(nap, name="nap", time_limit=700)
    return app


def spin(started: str) -> None:
    """Burn CPU time in C, in the GIL, for minutes."""
    Path(started).touch()
    until = time.monotonic() + 300
    while time.monotonic() < until:
        sum(range(10_000_000))


def nap(started: str, done: str, seconds: float) -> None:
    """Do nothing for so many seconds."""
    Path(started).touch()
    time.sleep(seconds)
    Path(done).touch()


if __name__ == "__main__":
    sys.exit(main())
