from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from worker.language import identify
from worker.language.identify import Identified, are_twins, primary, usual, weigh

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


class TestHost:
    """What a host mostly writes, when the text leaves a doubt."""

    INDONESIAN: ClassVar = {"id": 200}

    def test_an_indonesian_host_is_indonesian_in_doubt(self) -> None:
        assert identify("Harga naik") is None
        assert weigh("Harga naik", None, self.INDONESIAN) == Identified("id", "host")
        assert weigh("Persib vs Persija 2-1", "en-US", self.INDONESIAN).language == "id"

    def test_and_not_when_the_text_says_something_else(self) -> None:
        assert weigh(ENGLISH, None, self.INDONESIAN) == Identified("en", "text", is_sure=True)
        assert identify("この川は火曜日の夜に氾濫し", None, self.INDONESIAN) == "ja"

    def test_what_it_cannot_be_it_is_not(self) -> None:
        assert identify("Harga naik", None, {"ja": 200}) is None

    def test_without_a_letter_it_cannot_be_told(self) -> None:
        assert identify("2026", "id", self.INDONESIAN) is None

    @pytest.mark.parametrize(
        ("seen", "language"),
        [
            ({}, None),
            ({"id": 19}, None),
            ({"id": 20}, "id"),
            ({"id": 18, "en": 2}, "id"),
            ({"id": 17, "en": 3}, None),
            ({"id": 10, "en": 10}, None),
        ],
    )
    def test_a_host_has_a_usual_language(self, seen: dict[str, int], language: str | None) -> None:
        assert usual(seen) == language


class TestTwins:
    """Languages that are taken for each other."""

    # py3langid: ms 0.60, id 0.40; and ms 0.82
    EITHER = "sebagai satu standar umum keberhasilan untuk semua bangsa dan semua negara"
    NEARLY_MALAY = "Para ibu dan anak-anak berhak mendapat perawatan dan bantuan istimewa."

    def test_what_is_declared_decides(self) -> None:
        assert weigh(self.EITHER, "id") == Identified("id", "declared")
        assert weigh(self.EITHER, "ms") == Identified("ms", "text", is_sure=True)

    def test_a_twin_has_to_be_surer(self) -> None:
        assert identify(self.NEARLY_MALAY) == "ms"
        assert identify(self.NEARLY_MALAY, "id") == "id"
        assert identify(INDONESIAN, "ms") == "id"

    def test_twins_count_together(self) -> None:
        told = "प्रत्येक व्यक्ति को प्रत्येक देश"  # none of hi, ne, sa and gom has a half
        assert identify(told) in {"hi", "ne", "sa", "gom"}

    def test_are_told_from_strangers(self) -> None:
        assert are_twins("id", "ms")
        assert are_twins("id", "id")
        assert not are_twins("id", "en")
        assert not are_twins("en", "en")


def test_by_what_it_was_told() -> None:
    assert weigh(INDONESIAN, "en") == Identified("id", "text", is_sure=True)
    assert weigh("Harga naik", "id") == Identified("id", "declared")
    assert weigh("", "id") == Identified(None, "nothing")


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("in-ID", "id"), ("iw", "he"), ("fil-PH", "tl"), ("zh-Hant-TW", "zh"), ("EN_us", "en"),
        (" id ", "id"), ("", None), ("-", None), (None, None),
    ],
)  # fmt: skip
def test_old_and_odd_tags(tag: str | None, language: str | None) -> None:
    assert primary(tag) == language


def test_addresses_and_names_of_accounts_say_nothing() -> None:
    links = "https://example.com/the-latest-news-of-the-day @theofficialnews #breakingnews "
    assert weigh(links + INDONESIAN[:40]) == weigh(INDONESIAN[:40])
    assert identify(links) is None


def test_letters_among_digits_are_no_language() -> None:
    for declared in (None, "id"):
        assert identify("a1b2c3d4e5f6 0x1f 77 88", declared) is None


def test_a_longer_look_settles_what_the_beginning_leaves_open() -> None:
    assert identify("Harga naik " + "- " * 250 + INDONESIAN) == "id"
