"""Stories that change, to a receiver on loopback."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from standardwebhooks import Webhook

from tests.http.peers import answer, header
from tests.store.rows import change, row, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.site import Site, article, feed
from tests.tasks.test_walk import walk
from tests.webhooks.schemas import check_body
from worker import tasks
from worker.store import webhooks
from worker.store.claims import due_stages
from worker.store.models import Awaited, Event, Story
from worker.store.sessions import writing
from worker.webhooks import Rules


@pytest.fixture
def site(site: Site) -> Site:
    site.routes = {
        "/feed": feed(site.url("/whale")),
        "/wire": feed(site.url("/copy/whale")),
        "/whale": article("whale"),
        "/copy/whale": article("whale"),
        "/hook": answer(),
    }
    return site


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest, make_bench: MakeBench, site: Site) -> Bench:
    """One story, that was told; changes are told at once."""
    url = request.getfixturevalue(f"migrated_{request.param}_url")
    bench = make_bench(url, webhooks={"update_wait_seconds": 0})
    bench.tell(site.url("/hook"))
    bench.follow(site.url("/feed"))
    walk()
    assert [one["type"] for one in told(bench, site)] == ["story.created"]
    return bench


def told(bench: Bench, site: Site) -> list[Any]:
    """What the receiver was told, each verified as it would, and held against its schema."""
    found, ids = [], set()
    for request in site.requests:
        if request.startswith(b"POST /hook "):
            names = ("webhook-id", "webhook-timestamp", "webhook-signature")
            headers = {name: header(request, name) or "" for name in names}
            body = request.partition(b"\r\n\r\n")[2]
            found.append(Webhook(bench.secret).verify(body, headers))
            check_body(body)
            ids.add(headers["webhook-id"])
    assert len(ids) == len(found)
    return found


def test_a_further_article(bench: Bench, site: Site) -> None:
    bench.follow(site.url("/wire"))
    walk()
    created, updated = told(bench, site)
    assert (updated["type"], updated["data"]["changes"]) == ("story.updated", ["article"])
    story = updated["data"]["story"]
    assert (story["id"], story["article_count"]) == (created["data"]["story"]["id"], 2)
    assert updated["data"]["article"] == created["data"]["article"]
    walk()
    assert len(told(bench, site)) == 2


def test_a_text_that_was_edited(bench: Bench, site: Site) -> None:
    site.routes["/whale"] = article("blue whale")
    site.routes["/feed"] = feed(site.url("/whale"), description="Now with its kind.")
    bench.make_due()
    walk()
    updated = told(bench, site)[-1]
    assert (updated["type"], updated["data"]["changes"]) == ("story.updated", ["text"])
    assert updated["data"]["story"]["summary"].startswith("The blue whale was seen")
    assert updated["data"]["story"]["article_count"] == 1
    outcomes = [line["outcome"] for line in bench.article()["history"]]
    assert outcomes[-3:] == ["fetched", "revised", "joined"]


def test_a_text_with_another_date_is_no_news(bench: Bench, site: Site) -> None:
    site.routes["/feed"] = feed(site.url("/whale"), description="Checked again.")
    bench.make_due()
    walk()
    assert site.asked("/whale") == 2
    assert len(told(bench, site)) == 1


def test_changes_wait_for_each_other(make_bench: MakeBench, site: Site) -> None:
    bench = make_bench(webhooks={"update_wait_seconds": 3_600})
    bench.tell(site.url("/hook"))
    bench.follow(site.url("/feed"))
    walk()
    bench.follow(site.url("/wire"))
    walk()
    site.routes["/whale"] = article("blue whale")
    site.routes["/feed"] = feed(site.url("/whale"), description="Now with its kind.")
    bench.make_due()
    walk()
    assert len(told(bench, site)) == 1
    assert due_stages(bench.engine) == []
    assert row(bench.engine, Story)["update_due_at"] > bench.now() + timedelta(minutes=50)

    change(bench.engine, Story, update_due_at=bench.now())
    bench.woken()
    tasks.dispatch()
    assert bench.woken() == {"publish"}
    tasks.publish()
    assert bench.woken() == {"deliver"}
    tasks.deliver()
    _, updated = told(bench, site)
    assert updated["data"]["changes"] == ["article", "text"]
    assert updated["data"]["story"]["article_count"] == 2


def test_one_that_cannot_be_told_holds_up_no_other(make_bench: MakeBench, site: Site) -> None:
    bench = make_bench(webhooks={"update_wait_seconds": 3_600})
    site.routes["/two"] = article("seal")
    site.routes["/feed"] = feed(site.url("/whale"), site.url("/two"))
    bench.follow(site.url("/feed"))
    walk()
    bench.tell(site.url("/hook"))
    broken, whole = rows(bench.engine, Story)
    body = set_body(bench, broken["id"], b"broken")
    change(bench.engine, Story, update_due_at=bench.now(), changes=["translation"])
    tasks.publish()
    updated = row(bench.engine, Event, type="story.updated")
    assert updated["story_id"] == whole["id"]
    assert json.loads(updated["body"])["data"]["changes"] == ["translation"]
    left = row(bench.engine, Story, id=broken["id"])
    assert left["changes"] == ["translation"]
    assert left["update_due_at"] > bench.now() + timedelta(minutes=50)

    set_body(bench, broken["id"], body)
    with writing(bench.engine) as connection:
        mine = update(Story).where(Story.id == broken["id"])
        connection.execute(mine.values(update_due_at=bench.now()))
    tasks.publish()
    assert row(bench.engine, Story, id=broken["id"])["updates"] == 1


def set_body(bench: Bench, story_id: int, body: bytes) -> bytes:
    """Put another body into the event of a story; the one that it had."""
    before: bytes = row(bench.engine, Event, story_id=story_id)["body"]
    with writing(bench.engine) as connection:
        mine = update(Event).where(Event.story_id == story_id)
        connection.execute(mine.values(body=body))
    return before


def test_the_sweep_forgets_who_waited_too_long(bench: Bench, site: Site) -> None:
    """Who wants to hear of a story from several publishers waits for them for a week."""
    added = webhooks.add(bench.engine, "two", site.url("/hook"), bench.secret,
                         event_types=["story.created"], rules=Rules(min_sources=2))  # fmt: skip
    assert added
    site.routes["/wire"] = feed(site.url("/new"), site.url("/old"))
    site.routes |= {"/new": article("seal"), "/old": article("otter")}
    bench.follow(site.url("/wire"))
    walk()
    waits = [one["story_id"] for one in rows(bench.engine, Awaited)]
    assert len(waits) == 2
    with writing(bench.engine) as connection:
        old = update(Story).where(Story.id == waits[0])
        connection.execute(old.values(opened_at=bench.now() - timedelta(days=8)))
    tasks.sweep()
    assert [one["story_id"] for one in rows(bench.engine, Awaited)] == waits[1:]
