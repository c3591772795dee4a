"""The benchmark of webhooks, for its form and its peers: what is enough, its `--check` says."""

import http.client
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench import webhooks as bench
from bench.__main__ import table
from bench._receivers import Receivers
from bench.webhooks import Run
from worker.webhooks import generate_secret, headers

ROOT = Path(__file__).resolve().parents[2]
TURN = {
    "limit": Run(5_000, 0.1),
    "flood_before": Run(2_400, 0.3, [0.1, 0.2, 0.3]),
    "flood": Run(2_000, 0.3, [0.1, 0.2, 0.3]),
    "stream_before": Run(150, 1.0, [0.01, 0.02, 0.03]),
    "stream": Run(150, 1.0, [0.01, 0.02, 0.03]),
}
RUNS = {"kabar": [TURN], "kabar_postgresql": [TURN]}


class TestReceivers:
    def test_they_judge_what_they_are_sent(self) -> None:
        secret = generate_secret()
        with Receivers(secret, 3) as there:
            there.begin(failing=[2])
            assert [post(url, secret) for url in there.urls] == [204, 204, 500]
            assert there.count() == 2
            assert [(place, name) for place, name, _ in there.accepted()] == [
                (0, "msg_a"),
                (1, "msg_a"),
            ]
            there.begin()
            assert post(there.urls[2], secret) == 204
            assert post(there.urls[2], generate_secret()) == 204
            with pytest.raises(RuntimeError, match="1 deliveries were not signed well"):
                there.accepted()

    def test_some_never_answer(self) -> None:
        secret = generate_secret()
        with Receivers(secret, 1) as there:
            there.begin(hanging=[0])
            with pytest.raises(TimeoutError):
                post(there.urls[0], secret)
            assert there.count() == 0


class TestReport:
    def test_each_target_counts(self) -> None:
        assert bench.report(RUNS, 500)["passed"]
        slow = {**TURN, "flood": replace(TURN["flood"], rate=1_999)}
        for late in ("flood", "stream"):
            held_up = [3 * one for one in TURN[late].latencies]
            bad = {**TURN, late: replace(TURN[late], latencies=held_up)}
            assert not bench.report({**RUNS, "kabar": [bad]}, 500)["passed"]
        assert not bench.report({**RUNS, "kabar_postgresql": [slow]}, 500)["passed"]

    def test_floods_are_medians_of_the_turns(self) -> None:
        floods = {name: run for name, run in TURN.items() if not name.startswith("stream")}
        quick = {**floods, "flood": replace(TURN["flood"], rate=4_000)}
        found = bench.report({**RUNS, "kabar": [floods, quick, TURN]}, 500)["kabar"]
        assert (found["share"], found["flood"]["rate"]) == (0.4, 2_000)
        assert found["stream_ratio"] == 1

    def test_it_makes_a_section_of_the_benchmarks(self) -> None:
        section = table(bench.report(RUNS, 500))
        assert section.startswith("## Webhooks\n\n500 events to 20 endpoints on loopback: 10,000 d")
        assert "| Kabar, SQLite, flood, with bad ones | 2,000 /s |" in section


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_report_is_one_document_with_all_contenders() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.webhooks", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    for contender in RUNS:
        found = report[contender]
        assert found["flood"]["rate"] > 0
        assert 0 < found["stream"]["p50"] <= found["stream"]["p95"] <= found["stream"]["p99"]
    assert report["targets"] == bench.TARGETS


def post(url: str, secret: str) -> int:
    """The status that a signed delivery gets."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=2)
    signed = headers(secret, "msg_a", int(time.time()), b"{}")
    connection.request("POST", where.path, b"{}", dict(signed))
    return connection.getresponse().status
