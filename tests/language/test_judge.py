import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.language.judge import Verdict, judge

DATA = Path(__file__).parents[2] / "bench" / "data"

SAID = (
    "Pemerintah Kota Semarang menaikkan tarif air mulai 1 Februari 2022. Warga diminta melapor "
    "sebelum pukul 16.00 WIB. Kenaikan itu sekitar Rp3,5 juta per tahun."
)
GOOD = (
    "The Semarang city government is raising water rates from February 1, 2022. Residents were "
    "asked to report before 4 p.m. The increase is about Rp3.5 million a year."
)
FRENCH = (
    "La ville de Semarang augmente le prix de l'eau. Les habitants doivent se manifester avant "
    "seize heures. La hausse est d'environ trois millions de roupies par an."
)
LANGUAGES = ("id", "en", "zh", "ar", "th", "ja", "xx", "", "zh-Hans", "no-such-language")


def of(output: str, said: str = SAID, source: str = "id", target: str = "en") -> Verdict:
    return judge(said, output, source, target)


def test_a_good_translation_passes_as_it_is() -> None:
    assert of(GOOD) == Verdict(GOOD, (), ())


def test_good_translations_pass_both_ways() -> None:
    rows = [("id", *row) for row in read("id-en.tsv")] + read("pairs.tsv") + read("heldout.tsv")
    alarms = []
    for language, text, english in rows:
        for said, output, pair in (
            (text, english, (language, "en")),
            (english, text, ("en", language)),
        ):
            verdict = judge(said, output, *pair)
            if verdict.hard or verdict.soft:
                alarms.append((pair, verdict))
    assert not alarms
    assert len(rows) > 300


def read(name: str) -> list[tuple[str, ...]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file, "excel-tab", quoting=csv.QUOTE_NONE)]


@pytest.mark.parametrize(
    ("output", "gate"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        (GOOD.replace("water", "wa\ufffdter"), "junk"),
        (GOOD.replace("water", "<unk>"), "junk"),
        (GOOD.replace("water", "<0xC3>"), "junk"),
        (GOOD[: int(0.7 * len(GOOD))], "length"),
        (GOOD * 3, "length"),
        (GOOD.replace("water ", "north-north north north north north "), "repetition"),
        (SAID, "copy"),
        (FRENCH, "language"),
        (f"{GOOD} See https://example.com/more.", "invented"),
        (f"{GOOD} Write to news@example.com.", "invented"),
        (f"{GOOD} Follow @kabar_demo.", "invented"),
        (f"{GOOD} Call 0812 3456 7890.", "invented"),
        ("I'm sorry, but I cannot translate this.", "preamble"),
    ],
)
def test_what_fails_is_not_shown(output: str, gate: str) -> None:
    assert gate in of(output).hard


@pytest.mark.parametrize(
    ("output", "gate"),
    [
        (GOOD.replace("3.5", "4.5"), "numbers"),
        (GOOD.replace("2022", "2023"), "numbers"),
        (GOOD.replace("Rp3.5 million", "three and a half million"), "numbers"),
        (GOOD.removesuffix("."), "length"),
        (f"As you wished, translated into English. {GOOD}", "preamble"),
    ],
)
def test_what_is_doubtful_is_shown_with_a_mark(output: str, gate: str) -> None:
    verdict = of(output)
    assert verdict.hard == ()
    assert gate in verdict.soft


@pytest.mark.parametrize(
    "around",
    [
        "Sure! Here is the translation:\n{}",
        "Sure! {}",
        "Translation: {}",
        "**English translation:**\n{}",
        "Berikut adalah terjemahannya: {}",
        "Voici la traduction :\n\n{}",
        "{}\n\nNote: I kept the names as they are.",
        "{} Let me know if you need anything else!",
    ],
)
def test_what_is_around_the_translation_is_taken_off_and_marked(around: str) -> None:
    assert of(around.format(GOOD)) == Verdict(GOOD, (), ("preamble",))


def test_a_fence_quotes_and_entities_are_taken_off() -> None:
    assert of(f"```text\n{GOOD}\n```").text == GOOD
    assert of(f"“{GOOD}”").text == GOOD
    assert of(GOOD.replace("city government", "city&#39;s government")).text.startswith(
        "The Semarang city's"
    )


def test_entities_are_taken_off_where_the_original_has_an_ampersand() -> None:
    output = "R&amp;D spending rose this year in Jakarta."
    assert of(output, "Belanja R&D naik tahun ini di Jakarta.").text == output.replace("amp;", "")


def test_byte_pieces_are_folded() -> None:
    verdict = of(GOOD.replace("city", "<0xC3><0xA9>lite city"))
    assert verdict == Verdict(GOOD.replace("city", "élite city"), (), ())


def test_a_headline_of_names_alone_may_stay_as_it_is() -> None:
    assert of("Persija 3-1 Persib", "Persija 3-1 Persib").hard == ()
    headline = "Harga Beras Naik Lagi, Ini Penyebabnya"
    assert of(headline, headline).hard == ("copy",)


def test_a_headline_that_breaks_off_is_not_shown() -> None:
    said = "Gempa Guncang Jakarta, Warga Berhamburan ke Luar Rumah"
    assert of("Quake Shakes Jakarta, Residents Run Out of Their Homes", said).soft == ()
    assert of("Quake Shakes Jakarta, Residents Run Out of", said).hard == ("length",)
    assert of("Quake Shakes Jakarta,", said).hard == ("length",)


def test_a_site_that_the_original_does_not_name_is_invented() -> None:
    said = "Pengumuman lengkap dapat dibaca di situs kompas.com mulai Senin."
    assert of("The full announcement can be read on kompas.com from Monday.", said).hard == ()
    verdict = of("The full announcement can be read on tempo.co.id from Monday.", said)
    assert "invented" in verdict.hard


def test_news_of_a_translation_is_no_preamble() -> None:
    said = "Terjemahan Al-Quran ke bahasa Jawa diluncurkan di Semarang."
    output = "The translation of the Quran into Javanese was launched in Semarang."
    assert of(output, said) == Verdict(output, (), ())


@pytest.mark.parametrize(
    ("said", "output"),
    [
        ("Acara dimulai pukul 19.30 WIB.", "The event begins at 7:30 p.m."),
        ("Sekitar sepuluh juta orang terkena dampak.", "About 10 million people are affected."),
        ("Harganya Rp1.250.000.", "It costs Rp1.25 million."),
        ("Korban berusia 5 tahun.", "The victim is five years old."),
        ("Rapat digelar Senin (17/1).", "The meeting was held on Monday (Jan. 17)."),
        ("Sebanyak ١٢٥٠ pelari ikut.", "A total of 1,250 runners took part."),
        ("Rapat 17/8/2024 pukul 00.30.", "Meeting on August 17, 2024 at 12:30 a.m."),
        ("Dua puluh lima orang tewas.", "25 people died."),
        ("Sebanyak 25 orang tewas.", "Twenty-five people died."),
    ],
)
def test_numbers_in_other_words_are_the_same(said: str, output: str) -> None:
    assert "numbers" not in of(output, said).soft


def test_a_small_number_that_became_another_is_marked() -> None:
    said = "Korban berusia 5 tahun."
    assert of("The victim is 7 years old.", said).soft == ("numbers",)


def test_what_is_translated_in_part_only_is_a_copy() -> None:
    said = "Warga diminta melapor sebelum pukul 16.00 WIB karena kenaikan tarif sekitar Rp3,5 juta."
    output = (
        "Residents are diminta melapor before 4 p.m. karena kenaikan tarif around Rp3.5 million."
    )
    assert "copy" in of(output, said).hard


@pytest.mark.parametrize(
    ("said", "output", "source"),
    [
        ("售价3亿5000万元。", "It costs 350 million yuan.", "zh"),
        ("利益は8億5000万ユーロだった。", "The profit was 850 million euros.", "ja"),
        ("관중은 3만 1500명이었다.", "There were 31,500 spectators.", "ko"),
        ("凌晨5时40分发生事故。", "The accident happened at 5:40 a.m.", "zh"),
        ("L'accident a eu lieu à 5 h 40.", "The accident happened at 5:40 a.m.", "fr"),
        ("Tai nạn xảy ra lúc 17 giờ 40.", "The accident happened at 5:40 p.m.", "vi"),
        ("งานเสร็จในปี 2567", "The work was finished in 2024.", "th"),
        ("मरम्मत पर 35 लाख डॉलर खर्च होंगे।", "Repairs will cost 3.5 million dollars.", "hi"),
    ],
)
def test_numbers_of_other_languages_are_the_same(said: str, output: str, source: str) -> None:
    assert judge(said, output, source, "en").soft == ()


@pytest.mark.parametrize(
    ("said", "output", "source"),
    [
        ("售价3亿5000万元。", "It costs 450 million yuan.", "zh"),
        (
            "경찰이 조사했고 승객 38명이 다쳤다.",
            "Police looked into it, and 83 passengers were hurt.",
            "ko",
        ),
        ("งานเสร็จในปี 2567", "The work was finished in 2027.", "th"),
    ],
)
def test_numbers_of_other_languages_that_became_others_are_marked(
    said: str, output: str, source: str
) -> None:
    assert "numbers" in judge(said, output, source, "en").soft


def test_twins_may_share_their_words() -> None:
    said = "Hujan lebat diperkirakan turun di kawasan pantai malam ini."
    output = "Hujan lebat dijangka turun di kawasan pantai malam ini."
    assert judge(said, output, "id", "ms") == Verdict(output, (), ())


def test_another_engines_translation_speaks_against_a_language_models() -> None:
    wrong = (
        "Schools in the north were closed by order of a judge on Tuesday, 1 2022. Nobody knows "
        "why that was done at 4 p.m. Parents paid Rp3.5 million each."
    )
    assert "disagreement" in judge(SAID, wrong, "id", "en", is_llm=True, second=GOOD).soft
    assert "disagreement" not in judge(SAID, GOOD, "id", "en", is_llm=True, second=GOOD).soft
    assert "disagreement" not in judge(SAID, wrong, "id", "en", second=GOOD).soft


def test_nothing_said_is_nothing_to_judge() -> None:
    assert judge(" ", "Something.", "id", "en") == Verdict("", (), ())


@given(
    st.text(max_size=300),
    st.text(max_size=300),
    st.sampled_from(LANGUAGES),
    st.sampled_from(LANGUAGES),
    st.one_of(st.none(), st.text(max_size=50)),
)
def test_it_never_raises(
    said: str, output: str, source: str, target: str, second: str | None
) -> None:
    verdict = judge(said, output, source, target, is_llm=True, second=second)
    assert len(verdict.text) <= len(output)
    assert not set(verdict.hard) & {"numbers", "disagreement"}


def test_a_number_of_thousands_of_digits_is_judged() -> None:
    assert "numbers" in of("The number is long.", f"Angka {'1' * 5_000} itu panjang.").soft


@given(st.sampled_from(["a", "1 ", "9.", "«", "(0", "@", "012-", "a@-", "http://", "\n"]))
def test_a_long_run_of_anything_is_judged(piece: str) -> None:
    assert isinstance(judge(SAID, f"x{piece * 20_000}y", "id", "en"), Verdict)
