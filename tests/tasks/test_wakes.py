from threading import Event

import pytest

from tests import waiting
from tests.http.peers import answer
from tests.servers.valkey import Valkey
from tests.store.rows import add_article, row, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.running import running
from tests.tasks.site import Site, feed, held
from worker import tasks
from worker.store.models import Article, Feed
from worker.store.sessions import writing


def queued(valkey: Valkey, stage: str) -> int:
    with valkey.client() as client:
        return int(client.llen(f"kabar:{stage}"))


def has_key(valkey: Valkey, stage: str) -> bool:
    with valkey.client() as client:
        return bool(client.exists(f"kabar:wake:{stage}"))


def test_at_most_one_wake_up_waits_for_each_stage(bench: Bench, valkey: Valkey) -> None:
    wakes = tasks.context().wakes
    assert [wakes.wake("fetch") for _ in range(5)] == [True, False, False, False, False]
    assert wakes.wake("process")
    assert (queued(valkey, "fetch"), queued(valkey, "process")) == (1, 1)


def test_a_wake_up_that_was_lost_is_missed_for_a_few_seconds_only(
    bench: Bench, valkey: Valkey
) -> None:
    wakes = tasks.context().wakes
    wakes.wake("fetch")
    with valkey.client() as client:
        assert 0 < int(client.pttl("kabar:wake:fetch")) <= 3_000
        client.delete("kabar:fetch")
    waiting.until(lambda: wakes.wake("fetch"), "another wake-up", 10)
    assert queued(valkey, "fetch") == 1


def test_a_task_takes_its_wake_up_before_anything_else(bench: Bench, valkey: Valkey) -> None:
    """Even before the claim: what comes due from now on is to wake the stage again."""
    tasks.context().wakes.wake("fetch")
    with writing(bench.engine) as connection:
        connection.exec_driver_sql("ALTER TABLE articles RENAME TO away")
    with pytest.raises(Exception, match="no such table"):
        tasks.fetch()
    assert not has_key(valkey, "fetch")


@pytest.mark.parametrize("stage", ["poll", "fetch", "process", "translate", "publish", "deliver"])
def test_each_task_takes_its_wake_up(bench: Bench, valkey: Valkey, stage: str) -> None:
    tasks.context().wakes.wake(stage)
    getattr(tasks, stage)()
    assert not has_key(valkey, stage)


def test_a_full_claim_wakes_its_stage_before_it_works(
    make_bench: MakeBench, site: Site, valkey: Valkey
) -> None:
    bench = make_bench(poll={"batch": 1})
    ended = Event()
    site.routes = {"/first": held(ended, feed())}
    bench.follow(site.url("/first"), site.url("/second"))
    with running(tasks.poll) as task:
        waiting.until(lambda: site.asked("/first"), "the request")
        assert queued(valkey, "poll") == 1
        assert task.is_alive()
        ended.set()


def test_a_claim_that_is_not_full_wakes_nobody(bench: Bench, site: Site) -> None:
    bench.follow(site.url("/feed"))
    tasks.poll()
    assert bench.woken() == set()


def test_the_dispatcher_wakes_what_is_due_and_nothing_else(
    bench: Bench, site: Site, valkey: Valkey
) -> None:
    bench.follow(site.url("/feed"))
    add_article(bench.engine, "publish")
    add_article(bench.engine, "done")
    tasks.dispatch()
    assert bench.woken() == {"poll", "publish"}
    assert {article["attempts"] for article in rows(bench.engine, Article)} == {0}

    tasks.dispatch()  # what the broker lost, in `woken`, is asked for again
    assert bench.woken() == {"poll", "publish"}


def test_a_sweep_takes_its_wake_up(bench: Bench, valkey: Valkey) -> None:
    tasks.context().wakes.wake("sweep", queue=tasks.CONTROL)
    tasks.sweep()
    assert not has_key(valkey, "sweep")


def test_without_a_broker_nothing_is_lost(bench: Bench, site: Site, valkey: Valkey) -> None:
    """No site is asked, since nobody knows who else asks it; all else goes on."""
    site.routes = {
        "/feed": feed(site.url("/a")),
        "/hook": answer(),
    }
    bench.follow(site.url("/feed"))
    bench.tell(site.url("/hook"))
    valkey.kill9()
    tasks.dispatch()
    tasks.poll()
    followed = row(bench.engine, Feed)
    assert (followed["polled_at"], followed["attempts"]) == (None, 0)
    assert followed["due_at"] > bench.now()
    assert site.requests == []

    valkey.start()
    bench.make_due()
    tasks.poll()
    bench.make_due()
    tasks.fetch()
    valkey.kill9()
    tasks.process()
    tasks.publish()
    tasks.deliver()
    assert bench.article()["stage"] == "done"
    assert bench.delivery()["state"] == "sent"

    valkey.start()
    add_article(bench.engine, "publish")
    waiting.until(lambda: tasks.context().wakes.wake("publish"), "a wake-up")
    assert bench.woken() == {"publish"}
