"""Politeness: many processes, one host. Time is the tests' own wherever `now` is given."""

import asyncio
import heapq
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import RedisError

from tests import waiting
from tests.http import guest
from tests.servers.valkey import Valkey
from worker.http.politeness import Admission, Ask, Politeness, host_of
from worker.settings import HostSettings, PolitenessSettings

NOW = 1_800_000_000.0
HOST = "desa.example"
LIVES = 40.0
LONGEST_QUEUE = 900
LATENESS = 900
ROOT = Path(__file__).resolve().parents[2]

Came = TypeVar("Came")


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture
def broker(server: Valkey) -> Valkey:
    """The module's Valkey, empty."""
    with server.client() as client:
        client.flushall()
    return server


def using(broker: Valkey, work: Callable[[Politeness], Awaitable[Came]], **settings: Any) -> Came:
    """What `work` comes to with politeness of these settings."""

    async def run() -> Came:
        politeness = Politeness(broker.url, PolitenessSettings.model_validate(settings))
        try:
            return await work(politeness)
        finally:
            await politeness.close()

    return asyncio.run(run())


def asks(*who: object, host: str = HOST, lane: str = "poll", crawl_delay: float = 0.0) -> list[Ask]:
    return [Ask(host, LIVES, lane, str(one), crawl_delay) for one in who]


def waits(answers: list[Admission]) -> list[float]:
    """Seconds that each is to wait; 0 for those that are admitted."""
    assert all((answer.token is None) == (answer.wait > timedelta()) for answer in answers)
    return [answer.wait.total_seconds() for answer in answers]


def tokens(answers: list[Admission], host: str = HOST) -> list[tuple[str, str]]:
    return [(host, answer.token) for answer in answers if answer.token]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://WWW.Desa.Example/feed?x=1#y", "www.desa.example"),
        ("https://desa.example:443/", "desa.example"),
        ("http://desa.example:443/", "desa.example:443"),
        ("http://desa.example.:8080/", "desa.example:8080"),
        ("https://user:secret@desa.example/", "desa.example"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("http://192.0.2.7/", "192.0.2.7"),
        ("http://[2001:DB8::1]/", "[2001:db8::1]"),
        ("http://[2001:db8::1]:81/", "[2001:db8::1]:81"),
        ("mailto:desk@desa.example", ""),
        ("https://", ""),
        ("http://2130706433/", ""),
        ("no URL at all", ""),
    ],
)
def test_a_host_is_a_name_and_an_unusual_port(url: str, host: str) -> None:
    assert host_of(url) == host


class TestAtOnce:
    def test_no_more_than_set_until_one_is_handed_in(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            first = await politeness.admit(asks("a", "b", "c"), NOW)
            assert [bool(answer.token) for answer in first] == [True, True, False]
            assert first[0].token != first[1].token
            assert waits(await politeness.admit(asks("c"), NOW + 5)) > [0]
            await politeness.release(tokens(first)[:1])
            assert waits(await politeness.admit(asks("c"), NOW + 6)) == [0]
            assert waits(await politeness.admit(asks("d"), NOW + 6)) > [0]

        using(broker, work, spacing_seconds=0)

    def test_a_token_that_is_not_handed_in_runs_out(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            await politeness.admit([Ask(HOST, 10, "poll", "a"), Ask(HOST, 20, "poll", "b")], NOW)
            assert waits(await politeness.admit(asks("c"), NOW + 9.9)) > [0]
            assert waits(await politeness.admit(asks("c"), NOW + 10)) == [0]
            assert waits(await politeness.admit(asks("d"), NOW + 19.9)) > [0]
            assert waits(await politeness.admit(asks("d"), NOW + 20)) == [0]

        using(broker, work, spacing_seconds=0)

    def test_the_same_token_handed_in_twice_counts_once(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            first = await politeness.admit(asks("a", "b"), NOW)
            await politeness.release([*tokens(first)[:1], *tokens(first)[:1]])
            await politeness.release(tokens(first)[:1])
            await politeness.release([])
            assert waits(await politeness.admit(asks("c"), NOW)) == [0]
            assert waits(await politeness.admit(asks("d"), NOW)) > [0]

        using(broker, work, spacing_seconds=0)


class TestSpacing:
    def test_of_a_crowd_each_is_told_to_come_a_spacing_later(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> list[list[float]]:
            return [
                waits(await politeness.admit(asks(*range(500)), NOW)),
                waits(await politeness.admit(asks(*range(500, 510)), NOW + 0.5)),
            ]

        crowd, later = using(broker, work)
        assert crowd == list(range(500))
        assert later == [499.5 + number for number in range(10)]

    def test_of_many_hosts_none_waits_for_another(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> list[float]:
            several = [asks(turn, host=f"{n}.example") for turn in range(3) for n in range(100)]
            return waits(await politeness.admit([ask for one in several for ask in one], NOW))

        assert using(broker, work) == [turn for turn in (0, 1, 2) for _ in range(100)]

    def test_who_comes_back_in_time_is_admitted(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            await politeness.admit(asks(*range(20)), NOW)
            for number in range(1, 20):
                answer = await politeness.admit(asks(number), NOW + number)
                assert waits(answer) == [0], number
                await politeness.release(tokens(answer))

        using(broker, work)

    def test_who_was_told_to_come_goes_before_who_was_not(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            await politeness.admit(asks("a", "b", "c"), NOW)
            # "b" is due, and late: a newcomer has to queue, "c" need not wait for it.
            assert waits(await politeness.admit(asks("new"), NOW + 1.5)) == [2.0]
            assert waits(await politeness.admit(asks("c"), NOW + 2)) == [0]
            answers = await politeness.admit(asks("new", "late", "b"), NOW + 3)
            assert waits(answers) == [1, 2, 0]

        using(broker, work, at_once=8)

    def test_who_comes_too_early_keeps_its_place(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            await politeness.admit(asks("a", "b", "c", "d"), NOW)
            assert waits(await politeness.admit(asks("d", "c", "b"), NOW + 0.25)) == [
                2.75,
                1.75,
                0.75,
            ]
            assert waits(await politeness.admit(asks("c", "b"), NOW + 1)) == [1, 0]

        using(broker, work)

    def test_of_those_who_come_together_the_first_in_the_queue_is_first(
        self, broker: Valkey
    ) -> None:
        async def work(politeness: Politeness) -> list[float]:
            await politeness.admit(asks(*range(5)), NOW)
            return waits(await politeness.admit(asks(4, 3, 2, 1), NOW + 10))

        assert using(broker, work) == [3, 2, 1, 0]

    def test_when_the_host_lags_the_order_stays(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            await politeness.admit(asks(*range(10)), NOW)
            # All are due, and one request still holds the only place.
            answers = await politeness.admit(asks(*reversed(range(1, 10))), NOW + 39)
            assert waits(answers) == sorted(waits(answers), reverse=True)
            assert waits(await politeness.admit(asks(*reversed(range(1, 10))), NOW + 40)) == [
                *map(float, range(8, 0, -1)),
                0,
            ]

        using(broker, work, at_once=1)

    def test_a_place_that_is_not_taken_lapses(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            await politeness.admit(asks("a", "gone", "gone too"), NOW)
            lapsed = NOW + 2 + LATENESS + 1
            assert waits(await politeness.admit(asks("newest", "next"), lapsed)) == [0, 1]

        using(broker, work)

    def test_those_who_do_not_come_keep_nobody_waiting(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            await politeness.admit(asks("a", "gone", "gone too"), NOW)
            assert waits(await politeness.admit(asks("new"), NOW + 5.9)) > [0]
            assert waits(await politeness.admit(asks("newer"), NOW + 6)) == [0]

        using(broker, work)

    def test_a_clock_that_is_set_back_bars_nobody(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            await politeness.admit(asks("a"), NOW)
            assert waits(await politeness.admit(asks("b"), NOW - 3_600)) == [1]

        using(broker, work)


class TestAHostThatIsSlow:
    def test_waiting_does_not_run_away(self, broker: Valkey) -> None:
        """Fifty wait behind two that hang, and look in each time they are told to."""

        async def work(politeness: Politeness) -> tuple[int, float]:
            answers = await politeness.admit(asks(*range(52)), NOW)
            assert waits(answers)[:2] == [0, 0]
            due = {who: wait for who, wait in enumerate(waits(answers)) if wait}
            asked = longest = 0
            for second in range(1, int(LIVES)):
                comers = [who for who, wait in due.items() if wait <= second]
                asked += len(comers)
                answers = await politeness.admit(asks(*comers), NOW + second) if comers else []
                assert tokens(answers) == []
                due |= {
                    who: second + wait for who, wait in zip(comers, waits(answers), strict=True)
                }
                longest = max(longest, max(due.values()) - second)
            return asked, longest

        asked, longest = using(broker, work, spacing_seconds=0)
        assert asked < 50 * LIVES / 5
        assert longest <= LIVES * 50 / 2

    def test_is_looked_in_on_the_less_the_longer_it_hangs(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> list[float]:
            await politeness.admit(asks("a", "b", "c", "d"), NOW)
            return [
                waits(await politeness.admit(asks("c"), NOW + second))[0] for second in (1, 5, 20)
            ]

        assert using(broker, work, spacing_seconds=0) == [0.5, 2.5, 10]

    def test_a_crowd_beyond_the_longest_queue_has_no_place(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            crowd = waits(await politeness.admit(asks(*range(1_200)), NOW))
            assert crowd[: LONGEST_QUEUE + 1] == list(range(LONGEST_QUEUE + 1))
            beyond = crowd[LONGEST_QUEUE + 1 :]
            assert all(LONGEST_QUEUE <= wait <= 2 * LONGEST_QUEUE for wait in beyond)
            assert len(set(beyond)) > 250  # spread
            # Who has a place keeps it, however slow the host turns out to be.
            again = waits(await politeness.admit(asks(*range(1, 901)), NOW + 30))
            assert max(again) <= LONGEST_QUEUE
            assert again == sorted(again)

        using(broker, work, at_once=1)


class TestLanes:
    def test_pages_that_wait_do_not_stand_before_feeds(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            pages = asks(*range(300), lane="fetch")
            assert waits(await politeness.admit(pages, NOW))[-1] == 299
            assert waits(await politeness.admit(asks("feed"), NOW + 1)) == [0]
            assert waits(await politeness.admit(asks("feed 2"), NOW + 1.5)) == [0.5]

        using(broker, work, at_once=8)

    def test_a_crawl_delay_spaces_pages_not_feeds(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            pages = asks("a", "b", "c", lane="fetch", crawl_delay=10)
            assert waits(await politeness.admit(pages, NOW)) == [0, 10, 20]
            assert waits(await politeness.admit(asks("feed"), NOW + 1)) == [0]
            # Between a feed and a page lies the host's own spacing.
            page = asks("b", lane="fetch", crawl_delay=10)
            assert waits(await politeness.admit(asks("feed 2"), NOW + 9.5)) == [0]
            assert waits(await politeness.admit(page, NOW + 10)) == [0.5]
            assert waits(await politeness.admit(page, NOW + 10.5)) == [0]

        using(broker, work, at_once=8)

    def test_a_crawl_delay_below_the_setting_changes_nothing(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> list[float]:
            return waits(await politeness.admit(asks("a", "b", lane="fetch", crawl_delay=0.1), NOW))

        assert using(broker, work, spacing_seconds=3) == [0, 3]


class TestSettings:
    def test_a_host_may_have_its_own_numbers(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            one = asks(*range(4), host="one.example:81")
            assert waits(await politeness.admit(one, NOW)) == [0, 10, 20, 30]
            many = await politeness.admit(asks(*range(6), host="xn--bcher-kva.example"), NOW)
            assert len(tokens(many)) == 5
            other = asks(*range(3), host="one.example")
            assert waits(await politeness.admit(other, NOW)) == [0, 1, 2]

        using(
            broker,
            work,
            hosts={
                "One.example:81": HostSettings(spacing_seconds=10),
                "bücher.example:443": HostSettings(at_once=5, spacing_seconds=0),
            },
        )

    def test_what_has_no_host_is_not_held_up(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            nowhere = asks("a", "b", "c", host="")
            answers = await politeness.admit([*nowhere, *asks("d")], NOW)
            assert waits(answers) == [0, 0, 0, 0]
            assert waits(await politeness.admit(nowhere, NOW)) == [0, 0, 0]
            await politeness.release([("", answer.token or "") for answer in answers[:3]])
            assert waits(await politeness.admit(asks("e"), NOW)) == [1]

        using(broker, work)
        assert not any(b"host::" in key for key in broker.client().keys("*"))


class TestTheBroker:
    def test_a_batch_is_one_round_trip(self, broker: Valkey) -> None:
        def calls(command: str) -> int:
            stats = broker.client().info("commandstats")
            return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))

        async def work(politeness: Politeness) -> None:
            await politeness.admit(asks("warm", host="warm.example"))
            before = calls("evalsha")
            batch = [ask for n in range(100) for ask in asks(n, host=f"{n}.example")]
            assert len(tokens(await politeness.admit(batch))) == 100
            assert calls("evalsha") == before + 1
            assert await politeness.admit([]) == []
            assert await politeness.admit(asks("nowhere", host=""))
            assert calls("evalsha") == before + 1

        using(broker, work)

    def test_its_clock_counts_and_everything_runs_out_by_itself(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            several = [Ask(HOST, 0.3, lane, str(n)) for lane in ("a", "b") for n in range(4)]
            admitted, *refused = await politeness.admit(several)
            assert admitted.token
            assert not tokens(refused)

        using(broker, work, spacing_seconds=0.2)
        with broker.client() as client:
            for key in client.keys("*"):
                longest = 600 if key.endswith((b":tokens", b":starts")) else 902_000
                assert 0 < client.pttl(key) <= longest, key
            waiting.until(lambda: len(client.keys("*")) == 4, "tokens and starts run out", 10)

    def test_without_a_queue_nothing_is_left(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            answers = await politeness.admit([Ask(HOST, 0.2, "poll", "a")])
            await politeness.release(tokens(answers))

        using(broker, work, spacing_seconds=0.2)
        with broker.client() as client:
            waiting.until(lambda: client.dbsize() == 0, "all keys run out", 10)

    def test_it_may_forget_the_script(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            await politeness.admit(asks("a"), NOW)
            broker.client().script_flush()
            assert waits(await politeness.admit(asks("b"), NOW)) == [1]

        using(broker, work)

    def test_it_may_forget_everything(self, broker: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            first = await politeness.admit(asks("a", "b", "c"), NOW)
            broker.client().flushall()
            await politeness.release(tokens(first))
            # Queued anew, whoever it was, and all of them in turn.
            assert waits(await politeness.admit(asks("c", "b"), NOW)) == [0, 1]
            assert waits(await politeness.admit(asks("b"), NOW + 1)) == [0]

        using(broker, work)

    def test_a_broker_out_of_reach_is_an_error_until_it_is_back(self, valkey: Valkey) -> None:
        async def work(politeness: Politeness) -> None:
            first = await politeness.admit(asks("a"))
            valkey.kill9()
            with pytest.raises((RedisError, OSError)):
                await politeness.admit(asks("b"))
            with pytest.raises((RedisError, OSError)):
                await politeness.release(tokens(first))
            valkey.start()
            assert len(await politeness.admit(asks("b"))) == 1

        using(valkey, work)


@dataclass
class Rows:
    """Rows that ask one host, each whenever it is told to, on a dispatcher's ticks."""

    arrivals: list[float]
    takes: list[float]  # seconds its request takes; more than `LIVES`: its process was killed
    late: list[float]  # seconds after its time that a row looks in
    gives_up: list[bool]  # it is removed after its first answer
    lanes: list[str]
    began: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    asked: int = 0

    async def run(self, politeness: Politeness, host: str, most_asks: int) -> None:
        """Until each has been admitted, or `most_asks` were made."""
        due = [(at, row) for row, at in enumerate(self.arrivals)]
        under_way: list[tuple[float, str]] = []
        heapq.heapify(due)
        while due and self.asked < most_asks:
            time = due[0][0]
            comers = [heapq.heappop(due)[1] for _ in range(len(due)) if due and due[0][0] <= time]
            while under_way and under_way[0][0] <= time:
                await politeness.release([(host, heapq.heappop(under_way)[1])])
            self.asked += len(comers)
            answers = await politeness.admit(
                [Ask(host, LIVES, self.lanes[row], str(row)) for row in comers], NOW + time
            )
            for row, answer in zip(comers, answers, strict=True):
                if answer.token:
                    self.began.append(time)
                    self.ended.append(time + min(self.takes[row], LIVES))
                    if self.takes[row] < LIVES:
                        heapq.heappush(under_way, (time + self.takes[row], answer.token))
                elif not self.gives_up[row]:
                    at = time + answer.wait.total_seconds() + self.late[row]
                    heapq.heappush(due, (at, row))

    @property
    def most_at_once(self) -> int:
        changes = sorted([(at, 1) for at in self.began] + [(at, -1) for at in self.ended])
        most = number = 0
        for _, change in changes:
            number += change
            most = max(most, number)
        return most


def _lists(elements: st.SearchStrategy[Any], size: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(elements, min_size=size, max_size=size)


_ROWS = st.integers(1, 30).flatmap(
    lambda size: st.builds(
        Rows,
        arrivals=_lists(st.floats(0, 30), size),
        takes=_lists(st.sampled_from([0.1, 1.0, 5.0, 30.0, 100.0]), size),
        late=_lists(st.floats(0, 3), size),
        gives_up=_lists(st.sampled_from([False, False, False, True]), size),
        lanes=_lists(st.sampled_from(["poll", "poll", "fetch"]), size),
    )
)


class TestAnyCrowd:
    count = 0

    @settings(max_examples=40)
    @given(rows=_ROWS, at_once=st.integers(1, 3), spacing=st.sampled_from([0.0, 0.3, 1.0, 7.0]))
    def test_is_served_politely_and_to_the_last(
        self, server: Valkey, rows: Rows, at_once: int, spacing: float
    ) -> None:
        TestAnyCrowd.count += 1
        host = f"crowd{TestAnyCrowd.count}.example"

        async def work(politeness: Politeness) -> None:
            await rows.run(politeness, host, most_asks=3_000)

        using(server, work, at_once=at_once, spacing_seconds=spacing)
        assert rows.most_at_once <= at_once
        gaps = [after - before for before, after in zip(rows.began, rows.began[1:], strict=False)]
        # To the microsecond, as waits are told: the sums of the test's own times are not exact.
        assert all(round(gap, 6) >= spacing for gap in gaps)
        assert len(rows.began) >= rows.gives_up.count(False)

    def test_of_a_steady_stream_none_waits_for_ever(self, server: Valkey) -> None:
        """Nine newcomers in ten seconds for ten minutes, at a host that takes one a second."""
        number = 540
        rows = Rows(
            arrivals=[row / 0.9 for row in range(number)],
            takes=[0.5] * number,
            late=[row % 10 / 10 for row in range(number)],
            gives_up=[False] * number,
            lanes=["poll"] * number,
        )

        async def work(politeness: Politeness) -> None:
            await rows.run(politeness, "stream.example", most_asks=30 * number)

        using(server, work)
        assert len(rows.began) == number
        assert max(rows.began) < 900


def test_several_processes_hold_to_it_together_and_killed_ones_leak_nothing(
    broker: Valkey,
) -> None:
    def start(name: str, requests: int, takes: float, lives: float) -> subprocess.Popen[str]:
        arguments = [broker.url, name, *map(str, (requests, takes, lives))]
        command = [sys.executable, "-m", "tests.http.guest", *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    victims = [start(f"victim {n}", 1, takes=300, lives=2) for n in range(2)]
    with broker.client() as client:
        tokens = f"kabar:host:{guest.HOST}:tokens"
        waiting.until(lambda: client.zcard(tokens) == 2, "the victims are admitted", 30)
    for victim in victims:
        victim.kill()
        victim.communicate()
    guests = [start(f"guest {n}", 8, takes=0.04, lives=60) for n in range(3)]
    requests = [json.loads(line) for one in guests for line in one.communicate()[0].splitlines()]
    assert [one.returncode for one in guests] == [0, 0, 0]
    assert len({request["began"] for request in requests}) == 24
    rows = Rows([], [], [], [], [])
    rows.began = sorted(request["began"] for request in requests)
    rows.ended = [request["ended"] for request in requests]
    assert rows.most_at_once == guest.SETTINGS.at_once
    gaps = [after - before for before, after in zip(rows.began, rows.began[1:], strict=False)]
    assert min(gaps) >= guest.SETTINGS.spacing_seconds - 1e-5  # sums of floating-point numbers
