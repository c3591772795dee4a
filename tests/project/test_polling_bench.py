"""The benchmark of polling, for its form and its feeds: what is fast enough, its `--check` says."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from bench import polling
from bench.__main__ import table
from bench._feeds import Feeds
from bench.polling import Run
from worker.feeds.parse import Entry, parse

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"
LABELS = {"Kabar, SQLite", "Kabar, PostgreSQL", "limit", "reader"}
RUNS = {
    "kabar": [
        Run(400, 3.0, {"Valkey": 0.1}),
        Run(500, 2.5, {"Valkey": 0.2}),
        Run(1, 9, {"Valkey": 0.9}),
    ],
    "kabar_postgresql": [Run(300, 4.0, {"PostgreSQL": 0.5})] * 3,
    "limit": [Run(600, 2.4), Run(500, 2.0), Run(500, 2.0)],
    "reader": [Run(40, 36.0)] * 3,
}


class TestFeeds:
    @pytest.fixture
    def feeds(self) -> Iterator[Feeds]:
        with Feeds(20) as feeds:
            yield feeds

    def test_each_has_an_address_of_its_own(self, feeds: Feeds) -> None:
        hosts = {urlsplit(url).hostname for url in feeds.urls}
        assert len(hosts) == len(feeds.urls) == 20
        assert len({urlsplit(url).port for url in feeds.urls}) == 1

    def test_documents_are_in_full_text(self, feeds: Feeds) -> None:
        for url in feeds.urls[:3]:
            found = entries(url, get(url)[2])
            assert len(found) == 30
            assert all(len(re.findall(r"<[a-z]", entry.content)) >= 60 for entry in found)
            assert {urlsplit(entry.url or "").netloc for entry in found} == {urlsplit(url).netloc}

    def test_validators_and_new_items(self, feeds: Feeds) -> None:
        """By the last digit of a feed's number: 0 changes, 1 and 2 ignore validators."""
        before = [get(url) for url in feeds.urls]
        feeds.next_round()
        after = [get(url, tag) for url, (_, tag, _) in zip(feeds.urls, before, strict=True)]
        for number, url in enumerate(feeds.urls):
            (_, tag, body), (status, new_tag, new_body) = before[number], after[number]
            if number % 10 == 0:
                assert len(set(entries(url, new_body)) - set(entries(url, body))) == 2
                assert get(url, new_tag) == (304, new_tag, b"")
            elif number % 10 <= 2:
                assert (status, new_tag, new_body) == (200, tag, body)
            else:
                assert (status, new_tag, new_body) == (304, tag, b"")
                assert get(url, '"another"') == (200, tag, body)
        assert feeds.changing == 2


class TestReport:
    def test_ratios_are_medians_of_the_rounds(self) -> None:
        found = polling.report(RUNS, 2_000)
        assert found["kabar"] == {
            "cpu": 3.0,
            "rate": 400,
            "share": 0.8,
            "wall_share": 0.667,
            "times_reader": 12.0,
            "others": {"Valkey": 0.2},
        }
        assert found["kabar_postgresql"]["share"] == 0.5
        assert found["reader"]["times_reader"] == 1.0
        assert found["passed"]

    @pytest.mark.parametrize(
        ("contender", "cpu"),
        [("kabar", 3.4), ("kabar_postgresql", 4.1), ("limit", 1.7), ("reader", 31.0)],
    )
    def test_each_target_counts(self, contender: str, cpu: float) -> None:
        slower = [replace(run, cpu=cpu) for run in RUNS[contender]]
        assert not polling.report({**RUNS, contender: slower}, 2_000)["passed"]

    def test_it_makes_a_section_of_the_benchmarks(self) -> None:
        section = table(polling.report(RUNS, 2_000))
        assert section.startswith("## Polling\n\n2,000 generated feeds")
        assert "| Kabar, SQLite, CPU a feed | 3 ms |" in section
        assert "| Kabar, PostgreSQL, CPU a feed of PostgreSQL | 0.5 ms |" in section

    def test_the_plot_is_svg_for_light_and_dark(self) -> None:
        picture = polling.plot(polling.report(RUNS, 2_000))
        root = ElementTree.fromstring(picture)
        assert len(root.findall(f"{SVG}rect")) == 2 * len(LABELS)
        assert {text.text for text in root.iter(f"{SVG}text")} >= LABELS
        assert "prefers-color-scheme:dark" in picture


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_report_is_one_document_with_all_contenders(tmp_path: Path) -> None:
    command = ["bench.polling", "--quick", "--feeds", "20", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--plot", tmp_path / "plot.svg"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    for contender in RUNS:
        assert report[contender]["rate"] > 0
        assert report[contender]["cpu"] > 0
    assert report["targets"] == polling.TARGETS
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")
    assert set(report["kabar_postgresql"]["others"]) == {"dispatcher", "Valkey", "PostgreSQL"}


def entries(url: str, body: bytes) -> Sequence[Entry]:
    return parse(body, url, {"content-type": "application/rss+xml"}).entries


def get(url: str, tag: str = "") -> tuple[int, str, bytes]:
    """Status, ETag and body."""
    request = urllib.request.Request(url, headers={"If-None-Match": tag} if tag else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers["ETag"], response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["ETag"], b""
