"""All that can be wrong with a feed, in one batch with feeds that are well."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.peers import Handler, answer, drip, redirect, stall
from tests.store.rows import rows
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.site import Site, endless, feed
from worker import tasks
from worker.store.models import Entry, Feed

FILES = Path(__file__).parents[1] / "data" / "feeds" / "bad"
XML = {"Content-Type": "application/xml"}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n"
TWO_GB = 2_000_000_000
MOST_ENTRIES = 10_000
MANY = "<rss version='2.0'><channel><title>Many</title>{}</channel></rss>".format(
    "".join(f"<item><title>{number}</title></item>" for number in range(50_000))
).encode()
BOMB = gzip.compress(bytes(100_000_000), 6)

# Each with the reason why it failed, or how many entries it brought all the same.
BAD: dict[str, tuple[Handler, str | int]] = {
    "announced": (stall(HEAD + b"Content-Length: %d\r\n\r\n" % TWO_GB), "too_large"),
    "streamed": (endless(TWO_GB), "too_large"),
    "bomb": (answer(BOMB, headers={**XML, "Content-Encoding": "gzip"}), "too_large"),
    "bomb.gz": (answer(BOMB, headers={"Content-Type": "application/gzip"}), "too_large"),
    "drip": (drip(HEAD + b"\r\n<?xml version='1.0'?>", b" "), "timeout"),
    "redirects": (redirect("/redirects/1"), "too_many_redirects"),
    "metadata": (redirect("http://169.254.169.254/latest/meta-data/"), "address_denied"),
    "many": (answer(MANY, headers=XML), MOST_ENTRIES),
}
for _name, _expected in json.loads((FILES / "expected.json").read_text()).items():
    BAD[_name] = (
        answer((FILES / _name).read_bytes(), headers=XML),
        _expected.get("reason") or len(_expected["titles"]),
    )
GOOD = {f"good/{number}": [f"/{number}/{item}" for item in range(20)] for number in range(5)}


@pytest.fixture
def good() -> Iterator[Site]:
    with Site() as good:
        good.routes = {f"/{name}": feed(*map(good.url, paths)) for name, paths in GOOD.items()}
        yield good


@pytest.fixture
def bad() -> Iterator[Site]:
    with Site() as bad:
        bad.routes = {f"/{name}": handler for name, (handler, _) in BAD.items()}
        for hop in range(1, 30):
            bad.routes[f"/redirects/{hop}"] = redirect(f"/redirects/{hop + 1}")
        bad.routes["/redirects/30"] = feed(bad.url("/page"))
        yield bad


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest, make_bench: MakeBench) -> Bench:
    return make_bench(
        request.getfixturevalue(f"migrated_{request.param}_url"),
        http={"allow_networks": ["127.0.0.0/8"], "timeout_seconds": 4},
    )


@pytest.mark.slow
def test_each_ends_in_a_reason_or_in_what_it_holds_and_harms_no_other(
    bench: Bench, good: Site, bad: Site
) -> None:
    bench.follow(*(bad.url(f"/{name}") for name in BAD), *(good.url(f"/{name}") for name in GOOD))
    tasks.poll()

    polled: dict[str, Any] = {row["url"]: row for row in rows(bench.engine, Feed)}
    assert [url for url, row in polled.items() if row["attempts"] or not row["polled_at"]] == []
    came = {
        name: polled[bad.url(f"/{name}")]["reason"]
        or len(rows(bench.engine, Entry, feed_id=polled[bad.url(f"/{name}")]["id"]))
        for name in BAD
    }
    assert came == {name: expected for name, (_, expected) in BAD.items()}
    for name, (_, expected) in BAD.items():
        failed = isinstance(expected, str)
        assert polled[bad.url(f"/{name}")]["failures"] == failed
        assert bool(polled[bad.url(f"/{name}")]["detail"]) == failed

    listed = {good.url(path) for paths in GOOD.values() for path in paths}
    theirs = [row for row in bench.articles() if row["url"] in listed]
    assert len(theirs) == len(listed)
    assert [row["failures"] for url, row in polled.items() if url.startswith(good.url("/"))] == [
        0
    ] * len(GOOD)
    now = bench.now()
    assert all(
        row["published_at"] is None or row["published_at"] <= now for row in bench.articles()
    )
