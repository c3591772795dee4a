"""When engines are left alone, on a clock that is a number."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.language.translate.engines import EngineError
from worker.language.translate.limits import Portions, Rate, Rests
from worker.reasons import Reason

BROKEN = EngineError(Reason.SERVER_ERROR, "500")
PAIR = ("id", "en")
OTHER = ("ja", "en")


def left(rests: Rests, now: float, engine: str = "a", pair: tuple[str, str] = PAIR) -> float:
    rest = rests.of(engine, *pair, now)
    return rest.left(now).total_seconds() if rest else 0.0


def test_after_three_failures_it_rests_and_each_probe_that_fails_doubles_that() -> None:
    rests, now = Rests(), 1_000.0
    slept = []
    for _ in range(9):
        rests.failed("a", *PAIR, BROKEN, now)
        slept.append(left(rests, now))
        now += slept[-1]
        assert left(rests, now) == 0
    assert slept == [0, 0, 30, 60, 120, 240, 480, 600, 600]


def test_a_rest_is_the_engines_with_every_pair_and_no_other_engines() -> None:
    rests = Rests()
    for _ in range(3):
        rests.failed("a", *PAIR, BROKEN, 0)
    assert left(rests, 10, pair=OTHER) == 20
    assert left(rests, 10, engine="b") == 0
    rest = rests.of("a", *OTHER, 10)
    assert rest
    assert rest.error is BROKEN


def test_an_answer_makes_it_sound_again() -> None:
    rests = Rests()
    for _ in range(4):
        rests.failed("a", *PAIR, BROKEN, 0)
    rests.answered("a")
    for _ in range(2):
        rests.failed("a", *PAIR, BROKEN, 100)
    assert left(rests, 100) == 0
    rests.failed("a", *PAIR, BROKEN, 100)
    assert left(rests, 100) == 30


@pytest.mark.parametrize(("failures", "asked", "expected"), [(1, 7, 7), (3, 7, 30), (3, 99, 99)])
def test_what_it_asks_for_counts_when_that_is_longer(
    failures: int, asked: int, expected: float
) -> None:
    rests = Rests()
    busy = EngineError(Reason.RATE_LIMITED, "429", timedelta(seconds=asked))
    for _ in range(failures):
        rests.failed("a", *PAIR, busy, 0)
    assert left(rests, 0) == expected


def test_a_wrong_key_rests_the_engine_at_once_and_for_long() -> None:
    rests = Rests()
    rests.failed("a", *PAIR, EngineError(Reason.UNAUTHORIZED, "401", lasting=True), 0)
    assert left(rests, 0, pair=OTHER) == 600


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (EngineError(Reason.MODEL_MISSING, "none", lasting=True), 30),
        (EngineError(Reason.MODEL_MISSING, "on its way", timedelta(seconds=15)), 15),
        (EngineError(Reason.ENGINE_FAILED, "unusable", lasting=True), 30),
    ],
)
def test_a_model_is_its_pairs_matter_and_never_doubles(error: EngineError, expected: float) -> None:
    rests = Rests()
    for _ in range(5):
        rests.failed("a", *PAIR, error, 0)
    assert left(rests, 0) == expected
    assert left(rests, 0, pair=OTHER) == 0


def test_a_request_that_it_will_never_take_rests_nobody() -> None:
    rests = Rests()
    for _ in range(5):
        rests.failed("a", *PAIR, EngineError(Reason.CLIENT_ERROR, "400", lasting=True), 0)
    assert left(rests, 0) == 0


def test_a_rest_stays_bounded_however_often_it_failed() -> None:
    rests = Rests()
    for _ in range(5_000):
        rests.failed("a", *PAIR, BROKEN, 0)
    assert left(rests, 0) == 600


def test_what_takes_too_long_is_halved_and_what_was_quick_doubles_again() -> None:
    portions, late = Portions(), EngineError(Reason.TIMEOUT, "too long")
    given = []
    for _ in range(6):
        given.append(portions.of("a", 16))
        portions.failed("a", given[-1], late)
    assert given == [16, 8, 4, 2, 1, 1]
    assert portions.of("b", 16) == 16
    portions.answered("a", 20)
    portions.failed("a", 1, BROKEN)
    assert portions.of("a", 16) == 1
    for _ in range(5_000):
        portions.answered("a", 1)
    assert portions.of("a", 16) == 16


@pytest.mark.parametrize(
    ("per_minute", "most", "window"), [(3, 3, 60), (1.5, 1, 60), (0.5, 1, 120)]
)
def test_so_many_in_a_minute(per_minute: float, most: int, window: float) -> None:
    rate = Rate(per_minute)
    for now in range(most):
        assert not rate.left(now)
        rate.take(now)
    assert rate.left(most) == timedelta(seconds=window - most)
    assert not rate.left(window)


@given(
    st.floats(min_value=0.2, max_value=40),
    st.lists(st.floats(min_value=0, max_value=30), max_size=80),
)
def test_no_minute_sees_more_than_is_allowed(per_minute: float, pauses: list[float]) -> None:
    rate, now, asked = Rate(per_minute), 0.0, []
    for pause in pauses:
        now += pause
        if not rate.left(now):
            rate.take(now)
            asked.append(now)
    for first in asked:
        in_a_minute = [at for at in asked if first <= at < first + 59.999]
        assert len(in_a_minute) <= max(1, per_minute)


def test_what_was_asked_beyond_it_is_made_up_for() -> None:
    rate = Rate(2)
    for now in (0, 1, 2, 3, 4):  # several requests in one call of an engine
        rate.take(now)
    assert rate.left(5) == timedelta(seconds=58)
