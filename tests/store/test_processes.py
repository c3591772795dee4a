import os
import socket
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Engine

from tests.store.rows import HOUR, NOON, at_once, change, row, rows
from worker import pulse
from worker.settings import Settings
from worker.store import open_engine, processes
from worker.store.models import Process
from worker.store.sessions import read_now, reading

HOST = socket.gethostname()


def test_a_beat_writes_a_row_a_role(engine: Engine) -> None:
    heart = processes.Heart(("io", "cpu"), NOON)
    heart.beat(engine)
    heart.beat(engine)
    found = processes.listing(engine)
    assert [(one["name"], one["role"]) for one in found] == [
        (f"cpu@{HOST}", "cpu"),
        (f"io@{HOST}", "io"),
    ]
    assert {(one["host"], one["pid"], one["started_at"]) for one in found} == {
        (HOST, os.getpid(), NOON)
    }


def test_a_successor_takes_the_row_over(engine: Engine) -> None:
    processes.Heart(("io",), NOON).beat(engine)
    change(engine, Process, pid=1)
    processes.Heart(("io",), NOON + HOUR).beat(engine)
    found = row(engine, Process)
    assert (found["pid"], found["started_at"]) == (os.getpid(), NOON + HOUR)


def test_silence_is_told_by_the_stores_clock(engine: Engine) -> None:
    assert processes.silence(engine, "io") is None
    processes.Heart(("io",), NOON).beat(engine)
    assert processes.is_healthy(processes.silence(engine, "io"))
    assert processes.silence(engine, "io", host="elsewhere") is None
    assert processes.silence(engine, "cpu") is None

    with reading(engine) as connection:
        now = read_now(connection)
    change(engine, Process, seen_at=now - timedelta(minutes=1))
    silence = processes.silence(engine, "io")
    assert silence is not None
    assert timedelta(minutes=1) <= silence < timedelta(minutes=10)
    assert not processes.is_healthy(silence)


@pytest.mark.parametrize(
    ("silence", "healthy"),
    [
        (None, False),
        (timedelta(), True),
        (timedelta(seconds=pulse.INTERVAL_SECONDS), True),
        (timedelta(seconds=30), False),
    ],
)
def test_a_process_may_miss_a_beat(silence: timedelta | None, healthy: bool) -> None:
    assert processes.is_healthy(silence) == healthy


def test_who_was_not_heard_of_for_a_day_is_forgotten(engine: Engine) -> None:
    processes.Heart(("io",), NOON).beat(engine)
    assert processes.forget(engine) == 0
    change(engine, Process, seen_at=NOON)
    processes.Heart(("cpu",), NOON).beat(engine)
    assert processes.forget(engine) == 1
    assert [one["role"] for one in rows(engine, Process)] == ["cpu"]


def test_two_processes_with_the_same_roles_do_not_deadlock(
    engine: Engine, store_settings: Settings
) -> None:
    def beat(roles: tuple[str, ...]) -> None:
        own = open_engine(store_settings)
        for _ in range(50):
            processes.Heart(roles, NOON).beat(own)
        own.dispose()

    names = ("io", "cpu", "translate", "control")
    at_once(partial(beat, names), partial(beat, names[::-1]))
    assert len(rows(engine, Process)) == 4
