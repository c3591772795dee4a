"""A text in pieces: nothing is lost, nothing is too long, paragraphs stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.language.translate.pieces import fold_bytes, put_together, take_apart


def letters(text: str) -> str:
    return "".join(text.replace("\0", "").split())


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=2_000),
    st.sampled_from(["id", "en", "zh", "th"]),
)
def test_no_letter_is_lost_and_no_piece_is_too_long(text: str, language: str) -> None:
    pieces = take_apart(text, language)
    assert letters("".join(pieces.sentences)) == letters(text)
    assert all(0 < len(one) <= 350 for one in pieces.sentences)
    assert letters(put_together(pieces, pieces.sentences, "en")) == letters(text)


def test_lines_and_paragraphs_stay() -> None:
    pieces = take_apart("\nSatu. Dua.\n\n  Tiga\nempat.\n", "id")
    assert pieces.sentences == ("Satu.", "Dua.", "Tiga", "empat.")
    made = put_together(pieces, ["One.", "Two.", "Three", "four."], "en")
    assert made == "\nOne. Two.\n\n  Three\nfour.\n"


def test_abbreviations_end_no_sentence() -> None:
    text = "Menurut dr. Sari, Jl. Sudirman ditutup pukul 22.00 WIB. Warga memutar."
    assert len(take_apart(text, "id").sentences) == 2


@pytest.mark.parametrize(
    ("mark", "expected"),
    [("; ", ";"), (", ", ","), (": ", ":"), ("、", "、"), (" ", "ab")],
)
def test_a_long_sentence_is_cut_behind_a_clause_else_at_a_blank(mark: str, expected: str) -> None:
    text = mark.join(["ab" * 20] * 30)
    first = take_apart(text, "id").sentences[0]
    assert 116 < len(first) <= 350
    assert first.endswith(expected)


def test_numbers_and_times_are_no_clauses() -> None:
    text = "Rp3,5 22:00 " * 60
    assert all(one.endswith(("3,5", "22:00")) for one in take_apart(text, "id").sentences)


def test_what_has_neither_is_cut_all_the_same() -> None:
    pieces = take_apart("a" * 1_000, "id")
    assert [len(one) for one in pieces.sentences] == [350, 350, 300]


def test_scripts_with_a_token_a_letter_are_cut_sooner() -> None:
    assert max(map(len, take_apart("政府" * 300, "zh-Hans").sentences)) == 110


def test_no_blanks_between_sentences_of_chinese() -> None:
    pieces = take_apart("One. Two.", "en")
    assert put_together(pieces, ["一。", "二。"], "zh-Hans") == "一。二。"


def test_a_sentence_of_which_nothing_came_is_no_translation() -> None:
    pieces = take_apart("One. Two.", "en")
    assert put_together(pieces, ["Satu.", " "], "id") == ""


@pytest.mark.parametrize(
    ("made", "folded"),
    [
        ("I <0xC3><0xA9> eat", "I é eat"),
        ("<0xF0><0x9F><0x99><0x82>", "🙂"),
        ("a<0xC3>b", "ab"),
        ("a<0xC3><0x28>b", "a(b"),
        ("<0xZZ> <0x1>", "<0xZZ> <0x1>"),
        ("<0xe2><0x82><0xac>", "€"),
    ],
)
def test_bytes_become_letters_and_what_is_no_utf_8_is_dropped(made: str, folded: str) -> None:
    assert fold_bytes(made) == folded
