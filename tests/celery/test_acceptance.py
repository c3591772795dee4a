"""What broker and signals may do to us, and what becomes of it: real processes, a real Valkey."""

import random
import signal
import statistics
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import RowMapping, func, select

from tests import waiting
from tests.celery.rig import PATIENCE, Rig
from tests.servers.child import alive
from tests.servers.kabar import Process
from tests.servers.site import Site
from worker.store import open_engine, reading
from worker.store.models import Article, Story

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ALL = "worker --role all --concurrency 2"
SURVIVED = pytest.StashKey[bool]()


def test_16_kills_of_the_broker_lose_no_work(rig: Rig) -> None:
    """Early ack loses the wake-up that is being handed over when the broker is killed: that is
    rare, and the dispatcher repeats it; none is run twice.
    """
    chance, numbers, taken = random.Random(16), count(), []
    with Site(1) as site:
        often = {f"KABAR_POLL__{name}INTERVAL_SECONDS": "1" for name in ("", "MIN_", "MAX_")}
        processes = rig.start_all(**often)
        rig.add(site)
        for _ in range(16):
            site.articles += 2
            for _ in range(chance.randint(3, 12)):
                name = f"n{next(numbers)}"
                if rig.publish("mark", name):
                    taken.append(name)
                time.sleep(chance.uniform(0, 0.08))
            rig.broker.kill9()
            time.sleep(chance.uniform(0.05, 1.5))
            rig.broker.start()
        waiting.until(lambda: len(set(ids(site))) == site.articles, "all are told", PATIENCE)
        assert_each_told_once(site, site.articles)

    # Queues are served in order, so whatever was not lost has been run when these have.
    for name in ("next to last", "last"):
        assert rig.publish("mark", name)
        rig.wait_for("mark", name, seconds=10)
    runs = Counter(rig.notes("mark"))
    lost = {*taken} - {*runs}
    assert len(lost) <= 4, f"{len(lost)} of {len(taken)}"
    assert max(runs.values()) == 1
    with rig.broker.client() as client:
        assert client.hlen("kabar:unacked") <= 4  # of beat's and the stages' own, too
    assert all(process.running for process in processes)


@pytest.mark.parametrize("outage_seconds", [3, 60])
def test_a_worker_with_all_hands_full_survives_the_broker(
    rig: Rig, request: pytest.FixtureRequest, outage_seconds: float
) -> None:
    """Where celery 5.7.0 ends: both processes busy, one more message in the queue."""
    (worker,) = rig.start(ALL)
    for name in ("one", "other"):
        assert rig.publish("sleep", name, 8)
    rig.wait_for("begin", "one", "other")
    assert rig.publish("mark", "queued")
    rig.broker.kill9()
    time.sleep(outage_seconds)
    rig.broker.start()

    rig.wait_for("mark", "queued")
    rig.wait_for("end", "one", "other")
    assert worker.running
    assert sorted(rig.notes("begin")) == ["one", "other"]
    request.config.stash[SURVIVED] = True


def test_flushall_loses_no_work(rig: Rig) -> None:
    with Site(20) as site, Site(1, seed=1) as late, rig.broker.client() as client:
        rig.start_all()
        rig.add(site)

        def flush() -> bool:
            client.flushall()
            return len(set(ids(site))) == 20

        waiting.until(flush, "all are told", PATIENCE, step=0.3)
        rig.poll(late)
        client.flushall()
        waiting.until(lambda: late.requests["/feed"], "the feed is polled", 15)
        waiting.until(lambda: len(set(ids(site))) == 21, "the article is told", PATIENCE)
        assert_each_told_once(site, 21)


def test_a_page_that_kills_its_process_is_given_up_and_harms_nothing_else(
    either_rig: Rig,
) -> None:
    rig = either_rig
    with Site(6) as site:
        site.extra_text["/a/2"] = "Strychnine"
        rig.start_all(PROBE_POISON="Strychnine", KABAR_LEASES__PROCESS="3")
        rig.add(site)
        waiting.until(lambda: rig.notes("poisoned"), "the poison is met", PATIENCE)
        assert rig.publish("mark", "elsewhere", queue="deliver")
        rig.wait_for("mark", "elsewhere")
        waiting.until(lambda: len(set(ids(site))) == 6, "all are told", PATIENCE)
        assert_each_told_once(site, 6)
    assert len(rig.notes("poisoned")) == 3
    crashed = [row["url"] for row in articles(rig) if ("process", "crashed") in degradations(row)]
    assert crashed == [f"{site.url}/a/2"]


def test_a_page_that_hangs_in_c_code_is_given_up_and_holds_up_nothing_else(
    either_rig: Rig,
) -> None:
    """Its process is killed by the hard limit of the task; no soft one would be noticed there."""
    rig = either_rig
    with Site(6) as site:
        site.extra_text["/a/2"] = "Quagmire"
        rig.start_all(PROBE_HANG="Quagmire", KABAR_LEASES__PROCESS="3")
        rig.add(site)
        waiting.until(lambda: rig.notes("hanging"), "the page is met", PATIENCE)
        waiting.until(lambda: len(set(ids(site))) == 6, "all are told", PATIENCE)
        assert_each_told_once(site, 6)
    assert len(rig.notes("hanging")) == 3
    found = {row["url"].removeprefix(site.url): row for row in articles(rig)}
    assert {row["stage"] for row in found.values()} == {"done"}
    given_up = found.pop("/a/2")
    assert ("process", "crashed") in degradations(given_up)
    assert given_up["title"].startswith("Report on ")  # as the feed has it
    assert all(row["text"] for row in found.values())
    assert "process" not in {stage for row in found.values() for stage, _ in degradations(row)}


def test_what_a_killed_worker_was_fetching_is_fetched_again(either_rig: Rig) -> None:
    rig = either_rig
    settings = {"KABAR_LEASES__FETCH": "13", "KABAR_HTTP__TIMEOUT_SECONDS": "6"}
    with Site(1) as site:
        site.hanging.add("/a/0")
        *_, worker = rig.start_all(**settings)
        rig.add(site)
        waiting.until(lambda: site.requests["/a/0"], "it is being fetched", PATIENCE)
        kill_with_pool(worker)
        site.hanging.clear()
        rig.start(ALL, **settings)
        waiting.until(lambda: site.hooks, "the article is told", PATIENCE)
        assert site.requests["/a/0"] == 2
        assert_each_told_once(site, 1)
        assert counts(rig) == (1, 1)


def test_what_a_killed_worker_was_sending_is_sent_again_the_same(either_rig: Rig) -> None:
    rig = either_rig
    settings = {"KABAR_LEASES__DELIVER": "12", "KABAR_WEBHOOKS__TIMEOUT_SECONDS": "5"}
    with Site(1) as site:
        site.hanging.add("/hook")
        *_, worker = rig.start_all(**settings)
        rig.add(site)
        waiting.until(lambda: site.hooks, "it is being sent", PATIENCE)
        kill_with_pool(worker)
        site.hanging.clear()
        rig.start(ALL, **settings)
        waiting.until(lambda: len(site.hooks) == 2, "it is sent again", PATIENCE)
        first, second = site.hooks
        assert (first.id, first.body) == (second.id, second.body)
        assert counts(rig) == (1, 1)


def test_no_queue_grows_while_nobody_works(rig: Rig) -> None:
    with Site(1) as site:
        rig.start("beat")
        rig.add(site)
        waiting.until(lambda: rig.waiting("control"), "beat ticks", PATIENCE)
        # Two entries in beat's schedule, so two at most.
        waiting.holds(lambda: rig.waiting("control") <= 2, "at most two ticks wait", 30)
        rig.start("worker --role control")
        waiting.until(lambda: rig.waiting("poll"), "a stage is woken", PATIENCE)
        waiting.holds(lambda: rig.waiting("poll") <= 1, "at most one wake-up waits", 20)


def test_a_broker_that_was_frozen_is_of_use_again(rig: Rig) -> None:
    """At once, or when the key that came alive with the broker runs out: 0.1 to 4 s."""
    with Site(1) as site:
        rig.start_all()
        rig.broker.freeze()
        rig.add(site)
        time.sleep(10)
        assert not site.requests["/feed"]
        rig.broker.thaw()
        waiting.until(lambda: site.requests["/feed"], "the feed is polled", 30)
        waiting.until(lambda: site.hooks, "the article is told", PATIENCE)


@pytest.mark.parametrize("broker_is_dead", [False, True])
def test_sigterm_lets_a_task_finish(rig: Rig, broker_is_dead: bool) -> None:
    (worker,) = rig.start(ALL)
    assert rig.publish("sleep", "six", 6)
    rig.wait_for("begin", "six")
    if broker_is_dead:
        rig.broker.kill9()
    assert worker.stop() == 0
    assert rig.notes("end") == ["six"]


@pytest.mark.parametrize("broker_is_dead", [False, True])
def test_sigquit_ends_what_sigterm_does_not(rig: Rig, broker_is_dead: bool) -> None:
    (worker,) = rig.start(ALL)
    assert rig.publish("sleep", "long", 600)
    rig.wait_for("begin", "long")
    pool = worker.pool()
    if broker_is_dead:
        rig.broker.kill9()
    worker.send(signal.SIGTERM)
    waiting.holds(lambda: worker.running, "it waits for the task", 3)
    worker.send(signal.SIGQUIT)
    worker.wait(20)
    waiting.until(lambda: not any(map(alive, pool)), "the pool is gone")
    assert rig.notes("end") == []


def test_sigkill_ends_what_nothing_else_does(rig: Rig) -> None:
    (worker,) = rig.start(ALL)
    pool = worker.pool()
    worker.send(signal.SIGSTOP)
    for number in (signal.SIGTERM, signal.SIGQUIT):
        worker.send(number)
    waiting.holds(lambda: worker.running, "it is stopped", 1)
    worker.kill()
    waiting.until(lambda: not any(map(alive, pool)), "the pool is gone")


def test_beat_survives_an_outage_and_makes_up_for_nothing(rig: Rig) -> None:
    (beat,) = rig.start("beat")
    waiting.until(lambda: rig.waiting("control"), "beat ticks", PATIENCE)
    rig.broker.kill9()
    time.sleep(20)
    rig.broker.start()
    with rig.broker.client() as client:
        client.flushall()
    waiting.until(lambda: rig.waiting("control"), "beat ticks again", PATIENCE)
    waiting.holds(lambda: rig.waiting("control") <= 2, "no burst", 2)
    assert beat.running


def test_garbage_in_a_queue_costs_a_restart_and_no_more(rig: Rig) -> None:
    with Site(1) as site, rig.broker.client() as client:
        rig.start("up")
        client.lpush("kabar:poll", "{no JSON")
        waiting.until(lambda: not rig.waiting("poll"), "it is taken", PATIENCE)
        rig.add(site)
        waiting.until(lambda: site.hooks, "the article is told", PATIENCE)


def test_pickles_are_refused(rig: Rig, tmp_path: Path) -> None:
    (worker,) = rig.start(ALL)
    trap = tmp_path / "trap"
    assert rig.publish("mark", Trap(trap), serializer="pickle")
    assert rig.publish("mark", "after")
    rig.wait_for("mark", "after")
    assert rig.notes("mark") == ["after"]
    assert not trap.exists()
    assert worker.running


def test_processes_of_a_pool_share_no_session(postgres_rig: Rig) -> None:
    rig = postgres_rig
    rig.start("worker --role all --concurrency 4", PROBE_QUERY="1")
    for number in range(40):
        assert rig.publish("query", number)
    rig.wait_for("answer", *(f"{number}={number}" for number in range(40)))
    assert len(rig.notes("answer")) == 40
    (early,) = rig.notes("early")
    sessions = set(rig.notes("session"))
    assert early not in sessions
    assert len(sessions) == 4


def test_a_flood_in_one_stage_does_not_hold_up_another(rig: Rig) -> None:
    rig.start("worker --role cpu --concurrency 2", "worker --role io --concurrency 1")
    for number in range(600):
        assert rig.publish("sleep", number, 0.1)
    latencies = []
    for number in range(10):
        began = time.monotonic()
        assert rig.publish("mark", f"m{number}", queue="deliver")
        rig.wait_for("mark", f"m{number}")
        latencies.append(time.monotonic() - began)
        time.sleep(0.2)
    assert rig.waiting("process") > 100, "the flood is over already"
    assert statistics.median(latencies) < 1


def test_every_line_of_a_log_is_json_and_no_command_line_shows_the_password(rig: Rig) -> None:
    with Site(1) as site:
        processes = [*rig.start_all(), *rig.start("web")]
        rig.add(site)
        assert rig.publish("say", "something")
        rig.wait_for("said", "something")
        waiting.until(lambda: site.hooks, "the article is told", PATIENCE)
        shown = [" ".join(line) for process in processes for line in command_lines(process)]
        for process in processes:
            process.stop()
    assert len(shown) > len(processes)
    shown += [" ".join(psutil.Process(rig.broker.child.pid).cmdline())]
    assert not [line for line in shown if rig.broker.password in line]
    for process in processes:
        assert rig.broker.password not in process.written()
        assert process.records()
    events = [record["event"] for process in processes for record in process.records()]
    assert "written to standard output" in events
    assert "written to standard error" in events
    assert "a line\nof two lines" in events


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def ids(site: Site) -> list[str]:
    return [hook.id for hook in site.hooks]


def assert_each_told_once(site: Site, expected: int) -> None:
    told: dict[str, set[bytes]] = {}
    for hook in site.hooks:
        told.setdefault(hook.id, set()).add(hook.body)
    assert len(told) == expected
    assert all(len(bodies) == 1 for bodies in told.values())


def kill_with_pool(worker: Process) -> None:
    pool = worker.pool()
    worker.kill()
    waiting.until(lambda: not any(map(alive, pool)), "the pool is gone")


def command_lines(process: Process) -> list[list[str]]:
    return [psutil.Process(pid).cmdline() for pid in (process.pid, *process.pool())]


def articles(rig: Rig) -> list[RowMapping]:
    with reading(open_engine(rig.settings, pooled=False)) as connection:
        return list(connection.execute(select(Article.__table__)).mappings())


def degradations(row: RowMapping) -> set[tuple[str, str]]:
    return {(degradation["stage"], degradation["reason"]) for degradation in row["degradations"]}


def counts(rig: Rig) -> tuple[int, int]:
    """How many articles and stories there are."""
    with reading(open_engine(rig.settings, pooled=False)) as connection:
        stories = connection.execute(select(func.count()).select_from(Story)).scalar_one()
    return len(articles(rig)), stories
