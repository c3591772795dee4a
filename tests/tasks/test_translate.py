"""Translations by a service on loopback: in time, late, and when it is there again."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event as Flag
from typing import Any

import pytest

from tests.http.peers import answer
from tests.servers.api import Answer, Api, Request
from tests.store.rows import change, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.running import running
from tests.tasks.site import Site, article, feed
from tests.tasks.test_updates import told
from tests.tasks.test_walk import degradations, walk
from tests.waiting import until
from worker import tasks
from worker.store.claims import Claim
from worker.store.models import Article, CachedTranslation

TITLE = "Tentang pelampung"
SENTENCES = (
    "Pelampung itu terlihat di dekat pelabuhan pada pagi hari, kata dewan pelampung. "
    "Tidak ada yang menduga pelampung sebesar itu akan datang sebelum musim semi tahun ini."
)
TO_PUBLISH = (tasks.poll, tasks.fetch, tasks.process, tasks.translate, tasks.publish)


class Server:
    """A LibreTranslate that works, is down, or hangs on some texts until it is let go."""

    def __init__(self) -> None:
        self.is_down = False
        self.hangs_on = ""
        self.go_on = Flag()
        self.go_on.set()
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Answer:
        texts = request.body["q"]
        self.asked += texts
        if self.hangs_on and any(self.hangs_on in text for text in texts):
            assert self.go_on.wait(60)
        if self.is_down:
            return Answer(500, {"error": "no model is loaded"})
        return Answer(body={"translatedText": [_indonesian(text) for text in texts]})


def _indonesian(text: str) -> str:
    return TITLE if len(text) < 40 else " ".join([SENTENCES] * (text.count(".") // 2))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    with Api(server) as api:
        yield api.url
        server.go_on.set()


Start = Callable[..., Bench]


@pytest.fixture(params=["sqlite", "postgres"])
def start(request: pytest.FixtureRequest, make_bench: MakeBench, site: Site, url: str) -> Start:
    """A bench that translates into Indonesian by the server, told of one English article."""

    def start(**settings: Any) -> Bench:
        mine = {
            "engines": ["libretranslate"],
            "targets": ["id"],
            "libretranslate": {"url": url},
            **settings,
        }
        bench = make_bench(
            request.getfixturevalue(f"migrated_{request.param}_url"),
            translate=mine,
            webhooks={"update_wait_seconds": 0},
        )
        site.routes |= {"/feed": feed(site.url("/a")), "/a": article("buoy"), "/hook": answer()}
        bench.tell(site.url("/hook"))
        bench.follow(site.url("/feed"))
        return bench

    return start


def test_in_time_it_is_part_of_the_alert(start: Start, site: Site, server: Server) -> None:
    bench = start()
    walk()
    (created,) = told(bench, site)
    story = created["data"]["story"]
    assert (created["type"], story["translation_status"]) == ("story.created", "translated")
    assert story["translations"]["id"]["title"] == TITLE
    assert story["translations"]["id"]["summary"].startswith(SENTENCES)
    assert story["translations"]["id"]["engine"] == "libretranslate"
    assert story["title"] == "On a"
    assert bench.article()["degradations"] == []


def test_an_alert_does_not_wait_for_an_engine_that_hangs(
    start: Start, site: Site, server: Server
) -> None:
    bench = start(wait_seconds=0)
    server.hangs_on = "buoy"
    server.go_on.clear()
    walk(tasks.poll, tasks.fetch, tasks.process)
    with running(tasks.translate):
        until(lambda: server.asked, "the engine is asked")
        tasks.dispatch()
        assert (bench.article()["stage"], bench.article()["lease_token"]) == ("publish", None)
        walk(tasks.publish, tasks.deliver)
        (created,) = told(bench, site)
        story = created["data"]["story"]
        assert (story["translation_status"], story["translations"]) == ("waiting", {"id": None})
        assert story["title"] == "On a"
        assert degradations(bench.article()) == [("translate", "late")]
        before = bench.article()
        assert before["stage"] == "translate"
        server.go_on.set()
    assert bench.article() == before  # the late holder's word does not count

    asked = len(server.asked)
    walk(tasks.translate, tasks.publish, tasks.deliver)
    assert len(server.asked) == asked  # it is in the cache
    _, updated = told(bench, site)
    assert (updated["type"], updated["data"]["changes"]) == ("story.updated", ["translation"])
    assert updated["data"]["story"]["translations"]["id"]["title"] == TITLE
    assert updated["data"]["article"]["degradations"] == []
    walk()
    assert len(told(bench, site)) == 2
    outcomes = [(line["stage"], line["outcome"]) for line in bench.article()["history"]]
    assert outcomes[2:] == [
        ("process", "processed"),
        ("translate", "waiting"),
        ("publish", "opened"),
        ("translate", "translated"),
        ("publish", "joined"),
    ]


def test_what_is_translated_is_not_held_up_by_what_is_not(
    start: Start, site: Site, server: Server
) -> None:
    bench = start()
    names = [f"/{number}" for number in range(9)]
    site.routes["/feed"] = feed(*map(site.url, names))
    site.routes |= {name: article(f"otter {name[1:]}") for name in names}
    walk(tasks.poll)
    newest = bench.articles()[-1]["url"]  # a call has the first eight
    site.routes[newest.removeprefix(site.url(""))] = article("whale")
    walk(tasks.fetch, *[tasks.process] * 2)
    change(bench.engine, Article, due_at=bench.now())
    server.hangs_on = "whale"
    server.go_on.clear()
    with running(tasks.translate):
        until(lambda: len(bench.articles(stage="publish")) == 8, "the others go on", seconds=20)
        assert len(bench.articles(stage="translate")) == 1
        server.go_on.set()
    assert len(bench.articles(stage="publish")) == 9


def test_an_engine_that_is_down_is_asked_again_then_the_story_is_told(
    start: Start, site: Site, server: Server
) -> None:
    bench = start(retry_seconds=[5])
    server.is_down = True
    walk(tasks.poll, tasks.fetch, tasks.process, tasks.translate)
    found = bench.article()
    assert (found["stage"], found["attempts"], found["degradations"]) == ("translate", 1, [])
    assert found["translate_by"] is not None
    assert (found["due_at"] - bench.now()).total_seconds() > 0
    bench.make_due()
    walk(tasks.translate, tasks.publish, tasks.deliver)
    (created,) = told(bench, site)
    story = created["data"]["story"]
    assert (story["translation_status"], story["translations"]) == ("untranslated", {"id": None})
    (degradation,) = created["data"]["article"]["degradations"]
    assert (degradation["stage"], degradation["reason"]) == ("translate", "engine_failed")

    bench.woken()
    tasks.sweep()
    assert bench.woken() == {"translate"}
    server.is_down = False
    for _ in range(2):  # one finds it, the next one has it translated
        tasks.translate()
    walk(tasks.publish, tasks.deliver)
    _, updated = told(bench, site)
    assert updated["data"]["changes"] == ["translation"]
    assert updated["data"]["story"]["translations"]["id"]["title"] == TITLE
    assert bench.article()["degradations"] == []
    tasks.sweep()
    tasks.translate()
    assert bench.article()["stage"] == "done"


def test_what_is_not_reached_in_time_is_given_back(
    start: Start, site: Site, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = start()
    walk(tasks.poll, tasks.fetch, tasks.process)
    monkeypatch.setattr(Claim, "work_seconds", 0.0)
    tasks.translate()
    found = bench.article()
    assert (found["stage"], found["attempts"], found["lease_token"]) == ("translate", 0, None)
    assert 0 < (found["due_at"] - bench.now()).total_seconds() <= 5
    assert server.asked == []


def test_what_takes_its_process_down_is_told_untranslated(
    start: Start, site: Site, server: Server
) -> None:
    bench = start()
    walk(tasks.poll, tasks.fetch, tasks.process)
    change(bench.engine, Article, expiries=3)
    walk(tasks.translate, tasks.publish, tasks.deliver)
    (created,) = told(bench, site)
    assert created["data"]["story"]["translation_status"] == "untranslated"
    assert degradations(bench.article()) == [("translate", "crashed")]
    assert server.asked == []
    bench.woken()
    tasks.sweep()
    assert bench.woken() == set()


def test_old_translations_are_swept_away(start: Start) -> None:
    bench = start()
    walk(*TO_PUBLISH)
    tasks.sweep()
    assert len(rows(bench.engine, CachedTranslation)) == 2
    change(bench.engine, CachedTranslation, created_at=bench.now() - timedelta(days=31))
    tasks.sweep()
    assert rows(bench.engine, CachedTranslation) == []
