import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from worker.language import identify

INDONESIAN = "Presiden mengatakan bahwa harga beras akan turun bulan depan karena panen raya."
ENGLISH = "The minister said that the price of rice would fall next month after the harvest."
MALAY = "Menteri berkata harga minyak dan gas akan naik pada bulan hadapan kerana cukai baharu."


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (INDONESIAN, "id"),
        (ENGLISH, "en"),
        (MALAY, "ms"),
        ("Le ministre a déclaré que le prix du riz baisserait le mois prochain.", "fr"),
        ("Река вышла из берегов во вторник вечером, и жители ушли на второй этаж.", "ru"),
        ("この川は火曜日の夜に氾濫し、住民は家具を二階に移した。", "ja"),
    ],
)
def test_a_sentence_says_it(text: str, language: str) -> None:
    assert identify(text) == language
    assert identify(text.upper() if language == "ru" else f"  {text}\n\n") == language


@pytest.mark.parametrize("text", ["", "   \n", "2026 11:24 3,5%", "— … !", "\u200b", "٣٤"])
@pytest.mark.parametrize("declared", [None, "id", "en"])
def test_without_a_letter_it_cannot_be_told(text: str, declared: str | None) -> None:
    assert identify(text, declared) is None


@pytest.mark.parametrize("declared", ["en", "ms", "fr", "zz", "", "-", "not a tag", None])
def test_what_is_declared_does_not_win_over_a_clear_text(declared: str | None) -> None:
    assert identify(INDONESIAN, declared) == "id"


def test_what_is_declared_wins_in_doubt() -> None:
    assert identify("Hotel Paris 2026", "id") == "id"
    assert identify("Harga naik", "ms") == "ms"
    assert identify("Harga naik", "id") == "id"
    assert identify("Harga naik") is None


@pytest.mark.parametrize("declared", ["id-ID", "id_ID", "ID", "id-Latn-ID"])
def test_a_tag_is_taken_by_its_language(declared: str) -> None:
    assert identify("Harga naik", declared) == "id"


def test_what_is_declared_does_not_win_when_it_is_far_off() -> None:
    assert identify("Harga naik", "ja") is None


def test_the_beginning_is_enough() -> None:
    assert identify(INDONESIAN * 20 + ENGLISH * 1_000) == "id"


@hypothesis_settings(max_examples=60)
@given(st.text(st.characters()), st.none() | st.text(max_size=12))
def test_any_text_gives_a_tag_or_none(text: str, declared: str | None) -> None:
    language = identify(text, declared)
    assert language is None or language.isalpha()
    assert language == identify(text, declared)
