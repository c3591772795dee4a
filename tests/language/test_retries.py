"""When engines that gave no answer are asked again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.language.translate import TranslateOutcome, Translation, settle
from worker.reasons import Reason

WAITS = (5, 60, 600)
MADE = Translation("water", "x", "x-1")
PARTS = {"en": (MADE, MADE), "fr": None}
RETRY = TranslateOutcome(7, "retry", PARTS, Reason.TIMEOUT, "x: no answer")


def seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)


@pytest.mark.parametrize(
    ("attempt", "asked", "wait"),
    [
        (1, None, 5),
        (2, None, 60),
        (3, None, 600),
        (1, 2, 5),
        (1, 30, 30),
        (2, 30, 60),
        (1, 86_400, 600),  # no longer than the longest of our own
        (0, None, 5),
    ],
)
def test_the_wait_is_the_longer_of_ours_and_theirs(
    attempt: int, asked: float | None, wait: float
) -> None:
    outcome = replace(RETRY, retry_after=seconds(asked))
    assert settle(outcome, attempt, WAITS) == replace(RETRY, retry_after=seconds(wait))


@pytest.mark.parametrize(("attempt", "waits"), [(4, WAITS), (1, ())])
def test_after_the_last_one_it_stays_as_it_is(attempt: int, waits: tuple[float, ...]) -> None:
    settled = settle(RETRY, attempt, waits)
    assert (settled.result, settled.reason) == ("untranslated", Reason.ENGINE_FAILED)
    assert settled.detail == f"x: no answer (timeout); asked {attempt} times"
    assert settled.translations == PARTS


@pytest.mark.parametrize("result", ["translated", "untranslated"])
def test_what_is_decided_stays_so(result: str) -> None:
    outcome = replace(RETRY, result=result)
    assert settle(outcome, 99, ()) == outcome


@given(
    st.lists(st.floats(0, 31_536_000), max_size=6),
    st.none() | st.floats(0, 1e9),
    st.integers(1, 20),
)
def test_no_article_is_asked_about_for_ever(
    waits: list[float], asked: float | None, attempt: int
) -> None:
    settled = settle(replace(RETRY, retry_after=seconds(asked)), attempt, waits)
    assert (settled.result == "retry") is (attempt <= len(waits))
    if settled.result == "retry":
        assert settled.retry_after is not None
        least, most = timedelta(seconds=waits[attempt - 1]), timedelta(seconds=max(waits))
        assert least <= settled.retry_after <= most
