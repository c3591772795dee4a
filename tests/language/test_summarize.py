import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.language import Summary, summarize
from worker.settings import ProcessSettings

SETTINGS = ProcessSettings(summary_sentences=3, summary_characters=600)


def summary(text: str, language: str | None = "id", settings: ProcessSettings = SETTINGS) -> str:
    found = summarize(text, language, settings)
    assert found is not None
    assert found.method == "lead"
    return found.text


def test_the_first_sentences_in_their_order() -> None:
    assert summary("Satu ini. Dua ini! Tiga ini? Empat ini.") == "Satu ini. Dua ini! Tiga ini?"
    one = ProcessSettings(summary_sentences=1)
    assert summary("Satu ini. Dua ini.", settings=one) == "Satu ini."


@pytest.mark.parametrize("text", ["", "  ", "\n\n\n"])
def test_no_text_no_summary(text: str) -> None:
    assert summarize(text, "id", SETTINGS) is None


def test_a_paragraph_ends_a_sentence() -> None:
    assert summary("Tanpa titik\n\nBerikutnya. Lalu.\n\n") == "Tanpa titik Berikutnya. Lalu."


def test_no_sentence_is_cut_to_fit() -> None:
    text = f"Satu ini. {'kata ' * 200}selesai. Tiga ini."
    assert summary(text) == "Satu ini."


def test_the_first_sentence_stays_whole() -> None:
    first = f"{'kata ' * 500}selesai."
    assert summary(f"{first} Dua ini.") == first


@pytest.mark.parametrize("language", ["id", "en", "ja", "xx", "", None])
def test_any_language_has_sentences(language: str | None) -> None:
    assert summary("One is here. Two is here.", language) == "One is here. Two is here."


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        (
            "id",
            [
                "Ketua panitia, dr. Siti Rahma, mengatakan biaya Rp3,5 juta ditanggung kota.",
                "Acara mulai pukul 22.00 WIB di Balai Kota.",
                "Harga naik 3.5 persen sejak Januari.",
                "Kalimat keempat tidak ikut.",
            ],
        ),
        (
            "id",
            [
                "Prof. Dr. H. Amir, S.H., M.H. berkata begitu.",
                "Warga pulang.",
                "Jalan sepi.",
                "Hujan turun.",
            ],
        ),
        (
            "en",
            [
                "Dr. Smith paid $3.5 million to the U.S. Treasury on Jan. 5 at noon.",
                "Mr. Jones left.",
                "Nobody saw him go.",
                "It rained.",
            ],
        ),
        ("ja", ["川が氾濫した。", "住民は逃げた。", "朝に水が引いた。", "雨は止んだ。"]),
    ],
)
def test_abbreviations_times_and_sums_end_no_sentence(language: str, sentences: list[str]) -> None:
    joint = "" if language == "ja" else " "
    assert summary(joint.join(sentences), language) == " ".join(sentences[:3])


def test_surrogates_are_no_error() -> None:
    assert summary("Satu \ud83d ini. Dua ini.") == "Satu ? ini. Dua ini."


words = st.lists(st.sampled_from(["kata", "Dr.", "3.5", "Ya!", "lalu", "“Apa?”", "a.b", "…", "é"]))


@given(
    st.one_of(
        st.text(st.characters()),
        st.lists(words.map(" ".join), max_size=6).map("\n\n".join),
        st.lists(words.map(" ".join), max_size=6).map(". ".join),
    ),
    st.sampled_from(["id", "en", "ja", "ar", "xx", None]),
    st.builds(
        ProcessSettings,
        summary_sentences=st.integers(1, 6),
        summary_characters=st.integers(80, 600),
    ),
)
def test_a_summary_is_how_the_text_begins(
    text: str, language: str | None, settings: ProcessSettings
) -> None:
    found = summarize(text, language, settings)
    if found is None:
        assert not text.strip()
        return
    told = text.encode("utf-8", "replace").decode()
    assert "".join(told.split()).startswith("".join(found.text.split()))
    assert found.text
    only_first = summarize(text, language, settings.model_copy(update={"summary_sentences": 1}))
    assert isinstance(only_first, Summary)
    assert found == only_first or len(found.text) <= settings.summary_characters
