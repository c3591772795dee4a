import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.stories import content_hash

TEXT = (
    "The old bridge at the edge of town was opened again on Tuesday morning, three months after "
    "a flood had cracked one of its piers and closed it."
)


@pytest.mark.parametrize(
    "same",
    [
        TEXT.upper(),
        TEXT.replace(" ", "\n\n"),
        TEXT.replace(",", ""),
        f"“{TEXT.rstrip('.')}!” …",
        TEXT.replace("flood", "ﬂood"),
        TEXT.replace(" ", "\u00a0"),
    ],
    ids=["case", "spacing", "marks", "quotes", "ligature", "no-break spaces"],
)
def test_the_same_words(same: str) -> None:
    assert content_hash(same) == content_hash(TEXT) is not None


@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("three", "four"),
        TEXT.replace("old bridge", "bridge old"),
        TEXT + " Again",
        TEXT.replace("Tuesday", "Tues day"),
    ],
    ids=["a word", "their order", "their number", "their bounds"],
)
def test_other_words(other: str) -> None:
    assert content_hash(other) != content_hash(TEXT)


@pytest.mark.parametrize("text", ["", "   ", "… — !", "word " * 19])
def test_a_text_too_short(text: str) -> None:
    assert content_hash(text) is None
    assert content_hash(f"{text} {'word ' * 20}") is not None


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_has_a_hash_or_none(text: str, more: str) -> None:
    found = content_hash(f"{text} {TEXT} {more}")
    assert found is not None
    assert len(found) == 64
    assert content_hash(text) is None or len(text) >= 39


def test_one_text_under_two_titles_is_no_copy() -> None:
    assert content_hash(TEXT, "Harga beras naik") != content_hash(TEXT, "Jembatan dibuka")
    assert content_hash(TEXT, "Harga beras naik") == content_hash(TEXT, "HARGA beras  naik!")
