from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from worker.demo import generator
from worker.demo.ledger import Ledger
from worker.demo.newsroom import Publication
from worker.demo.receiver import Alert

AT = datetime(2026, 1, 1, tzinfo=UTC)


def publication(index: int, **more: str) -> Publication:
    article = generator.article(1, index, language="id")
    return replace(Publication(article, 0, f"http://a/{index}", AT), **more)


def alert(url: str, seconds: float = 1.0) -> Alert:
    received_at = AT + timedelta(seconds=seconds)
    return Alert("msg", b"", received_at, "1", {"story": {}, "article": {"url": url}})


def test_an_alert_is_matched_with_its_publication() -> None:
    ledger = Ledger(lambda: [publication(1), publication(2)])
    arrival = ledger.add(alert("http://a/2", seconds=1.5))
    assert arrival is not None
    assert arrival.publication == publication(2)
    assert arrival.latency_seconds == pytest.approx(1.5)
    assert (ledger.problems, ledger.first_at) == ([], AT + timedelta(seconds=1.5))


def test_a_second_alert_is_a_problem_whichever_copy_it_names() -> None:
    copy = publication(9, repeats="http://a/1")
    for first, second in (("1", "9"), ("9", "1"), ("1", "1"), ("9", "9")):
        ledger = Ledger(lambda: [publication(1), copy])
        assert ledger.add(alert(f"http://a/{first}"))
        assert ledger.add(alert(f"http://a/{second}")) is None
        assert len(ledger.problems) == 1
        assert len(ledger.arrivals) == 1


def test_an_alert_for_what_was_never_published_is_a_problem() -> None:
    ledger = Ledger(lambda: [publication(1)])
    assert ledger.add(alert("http://a/3")) is None
    assert "http://a/3" in ledger.problems[0]


def test_latencies_are_nearest_ranks() -> None:
    many = [publication(n) for n in range(20)]
    ledger = Ledger(lambda: many)
    assert ledger.latency_seconds(0.5) is None
    for n in range(20):
        ledger.add(alert(f"http://a/{n}", seconds=20 - n))
    assert [ledger.latency_seconds(share) for share in (0.05, 0.5, 0.95, 1)] == [1, 10, 19, 20]
