import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.stories import Wording, content_hash, is_reworded

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


LONG = " ".join(f"word{number}" for number in range(200))


def put(text: str, *places: int) -> str:
    """`text` with other words at these places."""
    return " ".join(
        "changed" if place in places else word for place, word in enumerate(text.split())
    )


class TestReworded:
    @pytest.mark.parametrize(
        ("title", "text"),
        [
            ("Bridge opened", TEXT),
            ("BRIDGE opened!", TEXT.upper()),
            ("Bridge opened", TEXT.replace(" ", "\n\n")),
        ],
        ids=["the same", "case and marks", "paragraphs"],
    )
    def test_the_same_wording(self, title: str, text: str) -> None:
        assert not is_reworded(Wording("Bridge opened", TEXT), Wording(title, text))

    @pytest.mark.parametrize(
        ("new", "reworded"),
        [
            (LONG.replace("word100", "changed"), False),
            (f"{LONG} Editor: the date was mended.", False),
            (LONG.removesuffix(" word199"), False),
            (put(LONG, 40, 80, 120), False),
            (put(LONG, 40, 80, 120, 160), True),
            (f"{LONG} {' '.join(f'more{number}' for number in range(40))}", True),
            (" ".join(LONG.split()[:170]), True),
            (" ".join(reversed(LONG.split())), True),
            ("", True),
        ],
        ids=["one", "a note", "an end", "three", "four", "a paragraph", "less", "order", "nothing"],
    )  # fmt: skip
    def test_how_much_of_a_text_may_change(self, new: str, reworded: bool) -> None:
        for before, after in ((LONG, new), (new, LONG)):
            assert is_reworded(Wording("Title", before), Wording("Title", after)) is reworded

    def test_a_title_counts_by_itself(self) -> None:
        assert is_reworded(Wording("Twelve hurt", LONG), Wording("Twenty hurt", LONG))

    @pytest.mark.parametrize("text", ["", "One", "Two words", "…"])
    def test_short_texts(self, text: str) -> None:
        assert not is_reworded(Wording("", text), Wording("", text.upper()))
        assert is_reworded(Wording("", text), Wording("", f"{text} besides"))

    @given(st.text(), st.text())
    def test_it_does_not_matter_which_was_first(self, one: str, other: str) -> None:
        first, second = Wording("T", one), Wording("T", other)
        assert is_reworded(first, second) == is_reworded(second, first)
        assert not is_reworded(first, first)
