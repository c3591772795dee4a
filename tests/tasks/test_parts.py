"""Articles over several pages, and pages that only lead to one, from the feed to the store."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import RowMapping

from tests.http.peers import Handler, answer, stall
from tests.store.rows import change, row, rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.site import Site, feed, late
from worker import tasks
from worker.http.politeness import host_of
from worker.store import articles, hosts
from worker.store.models import Article, Host, Page, Story
from worker.store.sessions import writing


def part(subject: str, *links: str) -> Handler:
    """A page of some prose on `subject`, with links (each `URL text`) below."""
    paragraphs = "".join(
        f"<p>The {subject} was seen by the harbour on day {n}, said the {subject} board, and "
        f"nobody had expected a {subject} of that size before the spring of this year.</p>"
        for n in range(5)
    )
    anchors = "".join(
        f'<a href="{url}">{text}</a>' for url, _, text in (link.partition(" ") for link in links)
    )
    html = (
        "<html lang=en><head><title>On boats</title></head><body><article><h1>On boats</h1>"
        f"{paragraphs}</article><nav>{anchors}</nav></body></html>"
    )
    return answer(html.encode(), headers={"Content-Type": "text/html; charset=utf-8"})


def fetched(bench: Bench, site: Site, path: str = "/boats") -> RowMapping:
    """The article at `path` of the site, polled and fetched."""
    site.routes["/feed"] = feed(site.url(path))
    bench.follow(site.url("/feed"))
    tasks.poll()
    tasks.fetch()
    return bench.article()


def kept(bench: Bench, site: Site) -> list[str]:
    """The paths of the pages that are kept, in reading order."""
    return [page["url"].removeprefix(site.url("")) for page in rows(bench.engine, Page)]


def processed(bench: Bench) -> RowMapping:
    tasks.process()
    return bench.article()


def reasons(article: RowMapping) -> list[str]:
    return [one["reason"] for one in article["degradations"]]


class TestParts:
    def test_all_are_fetched_and_joined(self, either_bench: Bench, site: Site) -> None:
        bench = either_bench
        site.routes |= {
            "/boats": part("tug", "?page=2 2"),
            "/boats?page=2": part("barge", "?page=1 1", "?page=3 Next"),
            "/boats?page=3": part("yawl", "?page=2 2"),
        }
        article = fetched(bench, site)
        assert (article["stage"], article["degradations"]) == ("process", [])
        assert kept(bench, site) == ["/boats", "/boats?page=2", "/boats?page=3"]
        text = processed(bench)["text"]
        assert [text.count(f"The {boat} was seen") for boat in ("tug", "barge", "yawl")] == [5] * 3
        assert text.index("tug") < text.index("barge") < text.index("yawl")

    def test_the_page_with_all_of_it_is_asked_for_first(self, bench: Bench, site: Site) -> None:
        site.routes |= {
            "/boats": part("tug", "?page=2 2", "?page=all Show all"),
            "/boats?page=all": part("barge", "?page=2 2"),
            "/boats?page=2": part("yawl"),
        }
        fetched(bench, site)
        assert kept(bench, site) == ["/boats?page=all"]
        assert site.asked("/boats?page=2") == 0

    def test_one_that_is_not_there_leaves_the_others(self, bench: Bench, site: Site) -> None:
        site.routes |= {
            "/boats": part("tug", "?page=2 2"),
            "/boats?page=2": part("barge", "?page=3 Next"),
        }
        article = fetched(bench, site)
        assert (article["stage"], reasons(article)) == ("process", ["incomplete"])
        assert kept(bench, site) == ["/boats", "/boats?page=2"]
        done = processed(bench)
        assert (reasons(done), done["history"][-1]["outcome"]) == (["incomplete"], "processed")
        assert "The barge" in done["text"]

    def test_a_chain_without_an_end(self, bench: Bench, site: Site) -> None:
        site.routes["/boats"] = part("tug", "?page=2 2")
        site.routes |= {
            f"/boats?page={n}": part(f"boat{n}", f"?page={n + 1} Next") for n in range(2, 40)
        }
        article = fetched(bench, site)
        assert (article["stage"], reasons(article)) == ("process", ["incomplete"])
        assert len(kept(bench, site)) == 20
        assert site.asked("/boats?page=20") == 1
        assert site.asked("/boats?page=21") == 0

    def test_another_site_is_no_part(self, bench: Bench, site: Site) -> None:
        with Site() as other:
            there = other.url("/boats?page=2")
            other.routes["/boats?page=2"] = part("barge")
            site.routes["/boats"] = part("tug", f"{there} Next")
            assert fetched(bench, site)["degradations"] == []
            assert other.requests == []
        assert kept(bench, site) == ["/boats"]

    def test_robots_txt_counts_for_each(self, bench: Bench, site: Site) -> None:
        rules = b"User-agent: *\nDisallow: /*?page=\n"
        site.routes |= {
            "/robots.txt": answer(rules, headers={"Content-Type": "text/plain"}),
            "/boats": part("tug", "?page=2 2"),
            "/boats?page=2": part("barge"),
        }
        article = fetched(bench, site)
        assert (reasons(article), kept(bench, site)) == (["incomplete"], ["/boats"])
        assert site.asked("/boats?page=2") == 0

    def test_a_part_that_hangs_costs_the_article_no_time_of_its_batch(
        self, make_bench: MakeBench, site: Site
    ) -> None:
        bench = make_bench(
            leases={"fetch": 8}, http={"timeout_seconds": 3.9, "allow_networks": ["127.0.0.0/8"]}
        )
        first = late(part("tug", "?page=2 2"), 0.5)
        site.routes |= {"/boats": first, "/boats?page=2": stall()}
        article = fetched(bench, site)
        assert (article["stage"], reasons(article)) == ("process", ["incomplete"])
        assert article["lease_token"] is None


class TestManners:
    def test_one_request_at_a_time_is_enough(self, make_bench: MakeBench, site: Site) -> None:
        # A token that is not handed in outlives the batch.
        bench = make_bench(
            leases={"fetch": 16},
            http={"timeout_seconds": 5, "allow_networks": ["127.0.0.0/8"]},
            politeness={"at_once": 1, "spacing_seconds": 0.1},
        )
        site.routes |= {
            "/boats": part("tug", "?page=2 2"),
            "/boats?page=2": part("barge", "?page=3 3"),
            "/boats?page=3": part("yawl"),
        }
        assert fetched_when_free(bench, site)["degradations"] == []
        assert len(kept(bench, site)) == 3

    def test_one_that_could_not_come_in_time_is_not_waited_for(
        self, make_bench: MakeBench, site: Site
    ) -> None:
        bench = make_bench(politeness={"at_once": 2, "spacing_seconds": 300})
        site.routes |= {"/boats": part("tug", "?page=2 2"), "/boats?page=2": part("barge")}
        article = fetched_when_free(bench, site)
        assert (article["stage"], reasons(article)) == ("process", ["incomplete"])
        assert site.asked("/boats?page=2") == 0

    def test_a_part_that_was_asked_for_too_often_rests_its_host(
        self, bench: Bench, site: Site
    ) -> None:
        too_often = answer(b"", 429, headers={"Retry-After": "300"})
        site.routes |= {"/boats": part("tug", "?page=2 2"), "/boats?page=2": too_often}
        article = fetched(bench, site)
        assert (article["stage"], reasons(article)) == ("process", ["incomplete"])
        assert row(bench.engine, Host)["cool_down_until"] > bench.now() + timedelta(seconds=200)

    def test_no_token_is_left(self, bench: Bench, site: Site) -> None:
        site.routes |= {"/boats": part("tug", "?page=2 2"), "/boats?page=2": part("barge")}
        fetched(bench, site)
        with bench.valkey.client() as client:
            assert [key for key in client.keys("*:tokens") if client.zcard(key)] == []


def fetched_when_free(bench: Bench, site: Site) -> RowMapping:
    """As `fetched`, as if the poll, which was a request to the same host, was long ago."""
    site.routes["/feed"] = feed(site.url("/boats"))
    bench.follow(site.url("/feed"))
    tasks.poll()
    with bench.valkey.client() as client:
        client.flushall()
    tasks.fetch()
    return bench.article()


class TestElsewhere:
    def page(self, html: str) -> Handler:
        return answer(html.encode(), headers={"Content-Type": "text/html; charset=utf-8"})

    @pytest.mark.parametrize(
        "leads",
        [
            lambda url: f'<meta http-equiv="refresh" content="0;url={url}">',
            lambda url: f'<html amp><link rel="canonical" href="{url}"><p>{"Words. " * 99}</p>',
        ],
    )
    def test_is_followed_once(
        self, either_bench: Bench, site: Site, leads: Callable[[str], str]
    ) -> None:
        bench = either_bench
        site.routes |= {
            "/short": self.page(leads(site.url("/long"))),
            "/long": self.page(leads(site.url("/longer"))),
            "/longer": part("tug"),
        }
        fetched(bench, site, "/short")
        assert kept(bench, site) == ["/long"]
        assert site.asked("/longer") == 0

    def test_to_another_host_by_its_own_rules(self, bench: Bench, site: Site) -> None:
        with Site() as other:
            other.routes |= {
                "/robots.txt": answer(b"User-agent: *\nDisallow: /\n"),
                "/boats": part("tug"),
            }
            site.routes["/short"] = self.page(
                f'<meta http-equiv="refresh" content="0;url={other.url("/boats")}">'
            )
            fetched(bench, site, "/short")
            assert (other.asked("/robots.txt"), other.asked("/boats")) == (1, 0)
        assert kept(bench, site) == ["/short"]

    def test_to_another_host_that_rests_when_its_turn_comes(self, bench: Bench, site: Site) -> None:
        with Site() as other:
            until = bench.now() + timedelta(minutes=5)
            with writing(bench.engine) as connection:
                hosts.cool_down(connection, host_of(other.url("")), until)
            site.routes["/short"] = self.page(
                f'<meta http-equiv="refresh" content="0;url={other.url("/boats")}">'
            )
            found = fetched(bench, site, "/short")
            assert other.requests == []
        assert (found["stage"], found["attempts"], found["due_at"]) == ("fetch", 0, until)
        assert kept(bench, site) == []

    def test_to_another_host_and_its_name_is_the_storys(self, bench: Bench, site: Site) -> None:
        with Site() as other:
            other.routes["/boats"] = part("tug", "?page=2 2")
            other.routes["/boats?page=2"] = part("barge")
            site.routes["/short"] = self.page(
                f'<meta http-equiv="refresh" content="0;url={other.url("/boats")}">'
            )
            fetched(bench, site, "/short")
            urls = [page["url"] for page in rows(bench.engine, Page)]
            assert urls == [other.url("/boats"), other.url("/boats?page=2")]


LISTING = "".join(
    f"<div><h3><a href='/a/{n}'>What became of the boat of number {n}</a></h3>"
    f"<p>All that is known of the boat of number {n} and its crew.</p></div>"
    for n in range(20)
)


class TestBlocked:
    @pytest.mark.parametrize(
        ("status", "html", "reason"),
        [
            (200, "<title>Just a moment...</title><p>Enable cookies</p>", "bot_check"),
            (403, "<title>Just a moment...</title>", "bot_check"),
            (503, "<script>window._cf_chl_opt={}</script>", "bot_check"),
            (402, "<p>Pay</p>", "paywalled"),
            (403, "<p>No</p>", "unauthorized"),
            (200, "<title>Before you continue</title><p>Cookies</p>", "consent_wall"),
            (200, '<div id="root"></div><script src="/a.js"></script>', "needs_javascript"),
            (200, '<title>Sign in</title><input type="password">', "login_required"),
            (200, '{"error": "no article", "html": "<p>x</p>"}', "not_html"),
            (200, "%PDF-1.7 <p>x</p>", "not_html"),
            (200, LISTING, "not_an_article"),
            (200, "<div>" * 200_000 + "Words. " * 99 + "</div>" * 200_000, "no_text"),
        ],
    )  # fmt: skip
    def test_is_told_from_what_the_feed_said(
        self, bench: Bench, site: Site, status: int, html: str, reason: str
    ) -> None:
        headers = {"Content-Type": "text/html; charset=utf-8"}
        site.routes["/boats"] = answer(html.encode(), status, headers=headers)
        fetched(bench, site)
        done = processed(bench)
        assert (reasons(done), done["text"]) == ([reason], "What the feed says of it.")


def test_cleaned_again_it_joins_its_own_story(either_bench: Bench, site: Site) -> None:
    bench = either_bench
    bench.tell("http://127.0.0.1:9/")
    site.routes |= {"/boats": part("tug", "?page=2 2"), "/boats?page=2": part("barge")}
    fetched(bench, site)
    for stage in (tasks.process, tasks.translate, tasks.publish):
        stage()
    before = bench.article()
    assert before["stage"] == "done"
    assert bench.delivery()
    change(bench.engine, Article, text="as an older version cleaned it", title="Old")

    asked = len(site.requests)
    assert articles.reprocess(bench.engine) == [before["id"]]
    bench.make_due()
    for stage in (tasks.process, tasks.translate, tasks.publish):
        stage()
    after = bench.article()
    assert (after["stage"], after["story_id"]) == ("done", before["story_id"])
    assert (after["text"], after["degradations"]) == (before["text"], before["degradations"])
    assert row(bench.engine, Story)["article_count"] == 1
    assert bench.delivery()
    assert len(site.requests) == asked
