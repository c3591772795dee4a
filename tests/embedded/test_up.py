"""The whole of `kabar up`, with the processes that users get."""

import os
import re
import signal
import sqlite3
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests import waiting
from tests.conftest import MakeSettings
from tests.embedded.conftest import StartUp
from tests.embedded.running import Up, left
from tests.embedded.test_kill import GONE_SECONDS, kill_and_wait
from tests.servers.valkey import Valkey
from worker.store import schema

NAMES = ("broker", "beat", "control", "io", "cpu", "web")


def test_starts_works_and_ends(start_up: StartUp) -> None:
    up = start_up(None, "--timings").wait_ready()
    up.wait_written("in all")
    for step in ("lock", "migrate", *NAMES, "all ready"):
        assert re.search(rf"│ {step} +│ +\d+\.\d\d │", up.written()), step
    url = up.wait_written(r"\| ready in \d+\.\d s: (http://127\.0\.0\.1:\d+)$")[1]
    with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
        assert answer.status == 200
    assert no_password_is_shown(up)
    family = up.family()
    assert up.stop() == 0
    assert not left(family)
    ended = re.findall(r"^kabar +\| (\w+) ended with exit code 0$", up.written(), re.MULTILINE)
    assert ended[:2] == ["web", "beat"]
    assert sorted(ended[2:5]) == ["control", "cpu", "io"]
    assert ended[5:] == ["broker"]
    assert "starts again" not in up.written()


def test_a_store_newer_than_the_code_is_refused(
    start_up: StartUp, make_settings: MakeSettings
) -> None:
    settings = make_settings()
    settings.data_dir.mkdir()
    schema.upgrade(settings)
    set_revision(settings.data_dir / "kabar.db", "from-the-future")
    up = start_up()
    assert up.child.wait(60) == 1
    last = up.written().splitlines()[-1]
    assert last.startswith("kabar: the store is at revision from-the-future, which this code does")
    assert "starts again" not in up.written()


@pytest.mark.slow
def test_nothing_is_left_after_a_kill_however_often(start_up: StartUp) -> None:
    for _ in range(5):
        up = start_up().wait_ready()
        kill_and_wait(up)
        up.log.unlink()
    assert start_up().wait_ready().stop() == 0


@pytest.mark.slow
def test_each_process_that_is_killed_comes_back(start_up: StartUp) -> None:
    up = start_up().wait_ready()
    for name in NAMES:
        main = up.main("valkey-server" if name == "broker" else command_of(name))
        tree = {main, *(child.pid for child in psutil.Process(main).children(recursive=True))}
        os.kill(main, signal.SIGKILL)
        waiting.until(lambda tree=tree: not left(tree), f"{name} is gone", GONE_SECONDS)
        up.wait_written(rf"\| {name} was killed by SIGKILL; it starts again in 0\.5 s$")
    for name in NAMES:
        pattern = "valkey-server" if name == "broker" else command_of(name)
        waiting.until(lambda pattern=pattern: finds(up, pattern), f"{name} is back")
    url = up.wait_written(r"\| ready in \S+ s: (\S+)$")[1]
    waiting.until(lambda: answers(f"{url}/readyz"), "the service works again", 60)
    assert up.stop() == 0


@pytest.mark.slow
def test_with_a_broker_named_it_runs_our_processes_only(start_up: StartUp, valkey: Valkey) -> None:
    up = start_up(None, KABAR_BROKER__URL=valkey.url).wait_ready()
    assert not (up.data_dir / "broker").exists()
    assert up.stop() == 0
    assert valkey.child.running


def command_of(name: str) -> str:
    return name if name in {"beat", "web"} else f"worker --role {name}"


def no_password_is_shown(up: Up) -> bool:
    password = (up.data_dir / "broker" / "url").read_text().split(":")[2].split("@")[0]
    shown = " ".join(
        " ".join([*process.cmdline(), *environ(process)])
        for process in map(psutil.Process, up.family())
    )
    assert len(password) >= 32
    assert "KABAR_BROKER__URL_FILE" in shown
    return password not in shown


def environ(process: psutil.Process) -> list[str]:
    return [f"{name}={value}" for name, value in process.environ().items()]


def finds(up: Up, pattern: str) -> bool:
    try:
        return bool(up.main(pattern))
    except AssertionError:
        return False


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def set_revision(database: Path, revision: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
