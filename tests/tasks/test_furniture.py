"""What a site puts into each of its articles is learned from these, from the feed to the store."""

from datetime import timedelta

import pytest

from tests.cli.running import Commands
from tests.http.peers import Handler, answer
from tests.store.rows import change, row
from tests.tasks.conftest import Bench
from tests.tasks.site import Site, feed
from worker import tasks
from worker.articles import furniture
from worker.language import process
from worker.store import articles, claims
from worker.store.models import Article, Host

BOX = "The Ledger has been printed by the harbour since 1951, in a house of four red windows."


def page(subject: str) -> Handler:
    """An article of some hundred words with a box that no rule knows."""
    paragraphs = "".join(
        f"<p>The {subject} was seen by the harbour on day {n}, said the {subject} board, and "
        f"nobody had expected a {subject} of that size before the spring of this year.</p>"
        for n in range(6)
    )
    html = (
        f"<html lang=en><head><title>The {subject}</title></head><body><article>"
        f"<h1>The {subject}</h1>{paragraphs}<p>{BOX}</p></article></body></html>"
    )
    return answer(html.encode(), headers={"Content-Type": "text/html; charset=utf-8"})


def walk(bench: Bench) -> None:
    """Until nothing is due."""
    for _ in range(3):
        bench.make_due()
        for task in (tasks.fetch, tasks.process, tasks.translate, tasks.publish):
            task()


def follow(bench: Bench, site: Site, number: int) -> None:
    """Have these articles come one by one, as they do."""
    bench.follow(site.url("/feed"))
    for n in range(1, number + 1):
        site.routes[f"/{n}"] = page(f"boat{n}")
        site.routes["/feed"] = feed(*(site.url(f"/{k}") for k in range(1, n + 1)))
        bench.make_due()
        tasks.poll()
        walk(bench)


def with_box(bench: Bench, site: Site) -> list[str]:
    """The paths of the articles that have the box."""
    found = [one for one in bench.articles() if BOX in one["text"]]
    assert all("boat" in one["text"] for one in bench.articles())
    return sorted(one["url"].removeprefix(site.url("/")) for one in found)


def test_a_box_on_five_pages_is_left_out_from_the_third_on(either_bench: Bench, site: Site) -> None:
    bench = either_bench
    follow(bench, site, 5)
    assert with_box(bench, site) == ["1", "2"]
    told = {one["url"]: one["history"] for one in bench.articles()}
    processed = [line for line in told[site.url("/5")] if line["stage"] == "process"]
    assert [line["detail"] for line in processed] == ["left out as furniture of its site: 1"]

    assert len(articles.reprocess(bench.engine, ids=[one["id"] for one in bench.articles()])) == 5
    walk(bench)
    assert with_box(bench, site) == []
    memory = row(bench.engine, Host)["furniture"]
    assert furniture.of(memory) == {furniture.key(BOX)}


def test_one_article_that_is_cleaned_again_and_again_teaches_nothing(
    bench: Bench, site: Site
) -> None:
    follow(bench, site, 1)
    for _ in range(4):
        assert articles.reprocess(bench.engine, ids=[bench.article()["id"]])
        walk(bench)
    assert with_box(bench, site) == ["1"]
    assert furniture.of(row(bench.engine, Host)["furniture"]) == set()


def test_a_late_holder_teaches_nothing(bench: Bench, site: Site) -> None:
    site.routes = {"/feed": feed(site.url("/1")), "/1": page("boat")}
    bench.follow(site.url("/feed"))
    tasks.poll()
    tasks.fetch()
    claim = claims.claim(bench.engine, "process", 1, timedelta(seconds=60))
    assert claim
    outcomes = [process(one, bench.settings) for one in articles.sources(bench.engine, claim)]
    change(bench.engine, Article, lease_token="somebody else's")
    articles.save_processed(bench.engine, claim, outcomes)
    assert row(bench.engine, Host)["furniture"] is None


def test_a_page_that_is_cleaned_by_hand_is_cleaned_as_the_service_does(
    bench: Bench,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kabar = Commands(monkeypatch, capsys)
    follow(bench, site, 3)
    monkeypatch.setenv("KABAR_STORE__URL", bench.settings.store_url)
    monkeypatch.setenv("KABAR_HTTP__ALLOW_NETWORKS", "127.0.0.0/8")
    asked = ("articles", "clean", site.url("/1"))
    assert BOX not in kabar(*asked).out
    blocks = kabar(*asked, "--explain", "--json").json
    assert [one["text"] for one in blocks if one["rule"] == "learned furniture"] == [BOX]
    assert "blocks" not in kabar(*asked, "--json").json
    shown = kabar("articles", "explain", site.url("/3")).out
    assert "processed (left out as furniture of its site: 1)" in shown
