"""Whatever is killed, frozen or emptied while the demo runs, each story is alerted once.

The demo's receiver verifies every signature, and fails at two ids for a story, or at one id with
other bytes: that it ends with 0 says that neither happened.
"""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from redis import Redis

from tests.demo.running import Demo, StartDemo
from tests.waiting import until
from worker.broker import redis_url

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

_STORIES = 30
_FROZEN_SECONDS = 10


def test_thirty_stories_through_the_death_of_every_process(start: StartDemo) -> None:
    demo = start("-m", "worker", "demo", "--stories", str(_STORIES), "--exit")
    until(lambda: demo.alerts() >= 2, "two alerts", 60)
    for name, blow in _BLOWS.items():
        before = demo.alerts()
        blow(demo)
        if before < _STORIES:
            until(lambda n=before: demo.alerts() > n, f"an alert after: {name}", 60)
    assert demo.process.wait(200) == 0, demo.err
    assert demo.row("stories") == str(_STORIES)
    assert demo.row("alerts, each verified") == str(_STORIES)
    assert demo.row("signatures refused") == "0"
    assert demo.living() == []


def _main(demo: Demo, *words: str) -> psutil.Process:
    """The main process of the command that ends with these words."""
    return until(lambda: _find(demo, words), " ".join(words), 30)


def _find(demo: Demo, words: tuple[str, ...]) -> psutil.Process | None:
    found = [p for p in demo.living() if tuple(_command(p)[-len(words) :]) == words]
    mains = [p for p in found if p.ppid() not in {other.pid for other in found}]
    return mains[0] if mains else None


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _pool_child(demo: Demo, *words: str) -> psutil.Process:
    return until(lambda: next(iter(_main(demo, *words).children()), None), "a pool process", 30)


def _broker(demo: Demo) -> psutil.Process:
    # Valkey rewrites its title, and with it its environment: it is known as a child of `kabar up`.
    children = _main(demo, "up").children()
    return next(child for child in children if child.name() == "valkey-server")


def _flush(demo: Demo) -> None:
    directory = Path(f"/proc/{_broker(demo).pid}/cwd").readlink()
    url = (directory / "url").read_text().strip()
    with Redis.from_url(redis_url(url)) as client:
        client.flushall()


def _freeze(demo: Demo) -> None:
    broker = _broker(demo)
    broker.suspend()
    time.sleep(_FROZEN_SECONDS)  # the freeze is what is tested
    broker.resume()


_IO = ("worker", "--role", "io")
_CPU = ("worker", "--role", "cpu", "--role", "translate")
_CONTROL = ("worker", "--role", "control")

_BLOWS: dict[str, Callable[[Demo], None]] = {
    "kill -9 of a pool process, io": lambda demo: _pool_child(demo, *_IO).kill(),
    "kill -9 of a pool process, cpu": lambda demo: _pool_child(demo, *_CPU).kill(),
    "kill -9 of the io worker": lambda demo: _main(demo, *_IO).kill(),
    "kill -9 of the cpu worker": lambda demo: _main(demo, *_CPU).kill(),
    "kill -9 of the control worker": lambda demo: _main(demo, *_CONTROL).kill(),
    "kill -9 of beat": lambda demo: _main(demo, "worker", "beat").kill(),
    "kill -9 of the broker": lambda demo: _broker(demo).kill(),
    "FLUSHALL": _flush,
    "the broker frozen for 10 s": _freeze,
    "kill -9 of kabar up": lambda demo: _main(demo, "worker", "up").kill(),
}
