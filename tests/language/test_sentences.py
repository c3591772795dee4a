"""Sentences: where they end is in tests/data/language/sentences, a sentence a line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from worker.language import sentences
from worker.language.lists import lists
from worker.language.sentences import ends_cut_short, ends_whole, split

DATA = Path(__file__).parents[1] / "data" / "language" / "sentences"
WITHOUT_BLANKS = {"ja", "zh"}


TEXTS = [
    (path.stem, text.split("\n"))
    for path in sorted(DATA.glob("*.txt"))
    for text in path.read_text("utf-8").strip().split("\n\n")
]


@pytest.mark.parametrize(("language", "expected"), TEXTS)
def test_sentences_end_where_a_reader_would_end_them(language: str, expected: list[str]) -> None:
    joint = "" if language in WITHOUT_BLANKS else " "
    found = split(joint.join(expected), language)
    assert [sentence.strip() for sentence in found] == expected


@pytest.mark.parametrize("language", ["id", "en", "th", "ja", "xx", "", "../common", None])
def test_any_language_has_sentences(language: str | None) -> None:
    assert split("One is here. Two is here.", language) == ["One is here. ", "Two is here."]


def test_white_space_stays_with_its_sentence() -> None:
    assert split("  One is.  \n\n\n Two is.\n") == ["  One is.  \n\n\n ", "Two is.\n"]
    assert split(" \n\n ") == [" \n\n "]
    assert split("") == []


def test_a_blank_line_ends_a_sentence_and_a_line_does_not() -> None:
    assert split("no full stop\n\nnext") == ["no full stop\n\n", "next"]
    assert split("no full\nstop. Next.") == ["no full\nstop. ", "Next."]


def test_a_quote_that_is_long_or_never_closed_is_split() -> None:
    said = "He said it again and again. "
    assert split(f"“{said * 3}Then he left.” Nobody came.", "en") == [
        f"“{said * 3}Then he left.” ",
        "Nobody came.",
    ]
    assert split(f"“{said * 12}Then he left.” Nobody came.", "en") == [
        f"“{said}",
        *[said] * 11,
        "Then he left.” ",
        "Nobody came.",
    ]
    assert len(split(f"“{said * 3}Then he left.", "en")) == 4


def test_small_letters_join_no_more_than_is_readable() -> None:
    assert split("we went there. then home.", "en") == ["we went there. then home."]
    assert len(split("we went there, and then home. " * 40, "en")) < 10


def test_an_unpunctuated_script_is_split_at_blanks_where_it_is_long() -> None:
    line = "ชาวบ้านหนีน้ำท่วมไปอยู่ชั้นสอง "
    assert split(line * 3, "th") == [line * 3]
    found = split(line * 30, "th")
    assert len(found) > 3
    assert all(len(sentence) <= 200 and sentence.endswith(" ") for sentence in found)
    assert split("ก" * 500, "th") == ["ก" * 500]


@pytest.mark.parametrize(
    "text", ["A\u2028. B", "Vitamin A\xa0. Lalu.", "\u3000A\u3000.\u3000B", "U.S\x85."]
)
def test_what_makes_sentencex_panic_is_split_all_the_same(text: str) -> None:
    assert "".join(split(text, "en")) == text


def test_a_panic_of_sentencex_leaves_the_text_in_one_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segment = sentences.segment

    def unprepared(language: str, text: str) -> list[str]:
        found: list[str] = segment(language, "A\u2028. B")
        return found

    monkeypatch.setattr(sentences, "segment", unprepared)
    assert split("One is. Two is.", "en") == ["One is. Two is."]


PIECES = st.sampled_from(
    [*"aBÉé .!?\t“”„«»\"'1「」…\u200b🙂)(A.ßйЖ।。؟ا-–,’\u0301ไ", "Dr", "No", "U.S", "vs", "e.g",
     "\u00a0", "\u2028", "\u3000", "\n", "\r", "\n\n", "\ud83d", "PT.", " lalu", "\0", "10", "3."]
)  # fmt: skip


@hypothesis_settings(max_examples=400)
@given(
    st.lists(PIECES, max_size=60).map("".join) | st.text(st.characters()),
    st.sampled_from(["id", "en", "de", "fr", "th", "ja", "ar", "ru", "xx", None]),
)
def test_no_character_is_lost(text: str, language: str | None) -> None:
    found = split(text, language)
    assert "".join(found) == text
    assert all(sentence.strip() for sentence in found) or not text.strip()


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=12).map("".join))
def test_no_character_of_a_long_paragraph_is_lost(piece: str) -> None:
    text = piece * (12_000 // len(piece))
    assert "".join(split(text, "en")) == text


@pytest.mark.parametrize(
    "piece", ["(", "“", "“ab. ", "1. ", "a.", "「川。", "\n", "a. b ", "“a. ”"]
)
def test_sentencex_never_gets_much_at_once(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = sentences.segment
    given: list[int] = []

    def counted(language: str, text: str) -> list[str]:
        given.append(len(text))
        found: list[str] = segment(language, text)
        return found

    monkeypatch.setattr(sentences, "segment", counted)
    text = piece * (200_000 // len(piece))
    assert "".join(split(text, "id")) == text
    assert max(given) <= 4_000
    assert sum(given) <= 4 * len(text)


def test_the_end_of_a_sentence() -> None:
    for whole in ("Ya.", "Ya?", "“Ya!”", "(Ya.)", "是。", "「はい。」", "हाँ।", "Ya…", "لماذا؟"):
        assert ends_whole(whole), whole
    for part in ("Ya", "Ya,", "Ya:", "“Ya”", ""):
        assert not ends_whole(part), part
    assert [ends_cut_short(text) for text in ("a…", "a...", "a…”", "a.", "a")] == [True] * 3 + [
        False
    ] * 2


def test_lists_are_those_of_the_language_and_of_all() -> None:
    assert {"Dr", "dr", "PT", "Prof", "a.n"} <= lists("id").abbreviations
    assert "PT" not in lists("en").abbreviations
    assert "Dr" in lists("xx").abbreviations
    assert "hal" in lists("id").numbered
    assert lists("th").has_no_stops
    assert not lists(None).has_no_stops
