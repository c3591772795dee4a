"""Summaries: the publisher's description where it is one, else the lead, in whole sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.language import Summary, summarize
from worker.language.sentences import split
from worker.language.summarize import candidates
from worker.settings import ProcessSettings

SETTINGS = ProcessSettings(summary_sentences=4, summary_characters=600)

TITLE = "Jembatan lama di Lembah dibuka lagi"
BODY = [
    "Jembatan lama di tepi kota Lembah dibuka lagi untuk warga pada Selasa setelah enam bulan.",
    "Bupati Rani Wulandari memotong pita dan menyeberang lebih dulu bersama murid sekolah dasar.",
    "Biaya perbaikan Rp3,5 miliar ditanggung pemerintah daerah dan sumbangan para pedagang pasar.",
    "Truk masih dilarang lewat sampai uji beban selesai pada bulan depan.",
    "Sungai di bawahnya dikeruk supaya banjir tahun lalu tidak terulang.",
]
TEXT = f"{BODY[0]} {BODY[1]}\n\n{BODY[2]} {BODY[3]}\n\n{BODY[4]}"
OWN_WORDS = "Warga Lembah kembali bisa menyeberang sungai tanpa memutar sejauh dua puluh kilometer."
LONG_OWN = (
    f"{OWN_WORDS} Bupati berharap pasar di seberang ramai lagi, dan meminta pedagang menjaga"
    " kebersihan jembatan yang baru selesai diperbaiki itu."
)


def made(text: str = TEXT, language: str | None = "id", **more: object) -> tuple[str, str]:
    found = summarize(text, language, SETTINGS, **more)  # type: ignore[arg-type]
    assert found is not None
    return found.method, found.text


class TestLead:
    def test_two_sentences_that_say_enough(self) -> None:
        assert len(f"{BODY[0]} {BODY[1]}") < 200
        assert made() == ("lead", " ".join(BODY[:3]))
        short = " ".join(["Itu kata seorang warga."] * 5)
        assert made(short) == ("lead", " ".join(["Itu kata seorang warga."] * 4))
        longer = f"{BODY[0][:-1]} yang penuh banjir dan lumpur. {BODY[1]}"
        assert made(f"{longer} {BODY[2]}") == ("lead", longer)

    def test_no_more_than_the_settings_say(self) -> None:
        one = ProcessSettings(summary_sentences=1)
        assert summarize(TEXT, "id", one) == Summary(BODY[0], "lead")
        narrow = ProcessSettings(summary_characters=len(BODY[0]) + 1 + len(BODY[1]))
        assert summarize(TEXT, "id", narrow) == Summary(f"{BODY[0]} {BODY[1]}", "lead")
        narrower = ProcessSettings(summary_characters=len(BODY[0]) + len(BODY[1]))
        assert summarize(TEXT, "id", narrower) == Summary(BODY[0], "lead")

    @pytest.mark.parametrize("text", ["", "  ", "\n\n\n"])
    def test_no_text_no_summary(self, text: str) -> None:
        assert summarize(text, "id", SETTINGS) is None
        assert summarize(text, "id", SETTINGS, title="Judul") is None

    @pytest.mark.parametrize(
        "before",
        [
            "SEMARANG, KOMPAS.com - ",
            "Semarang (ANTARA) - ",
            "INFOLEMBAH.COM - ",
            "JAKARTA — ",
        ],
    )
    def test_datelines_are_left_out(self, before: str) -> None:
        assert made(before + TEXT) == made()
        assert made(f"Foto: jembatan\n\n{before}{TEXT}") == made()

    @pytest.mark.parametrize(
        "line",
        [
            "Baca juga: Banjir di Lembah, Ratusan Warga Mengungsi ke Balai Desa.",
            "Foto: Warga menyeberangi jembatan lama di tepi kota Lembah.",
            "Oleh Rani Wulandari",
            "Penulis: Budi",
            "Selasa, 24 November 2026 | 16.57 WIB",
            "Warga menyeberangi jembatan lama di tepi kota Lembah",
            "Jembatan lama di Lembah dibuka lagi.",
            "Begini kata bupati.",
            "Artikel ini telah tayang di Kabar Lembah dengan judul yang sama.",
            "Jembatan di Lembah yang rusak itu akhirnya...",
        ],
    )
    def test_what_is_not_the_news_is_skipped(self, line: str) -> None:
        assert made(f"{line}\n\n{TEXT}", title=TITLE) == made()
        assert line not in candidates(f"{BODY[0]}\n\n{line}\n\n{BODY[1]}", "id", TITLE)

    def test_but_not_when_there_is_nothing_else(self) -> None:
        assert made("Oleh Rani Wulandari") == ("lead", "Oleh Rani Wulandari")
        assert made("Baca juga: Banjir di Lembah.") == ("lead", "Baca juga: Banjir di Lembah.")

    def test_a_sentence_longer_than_a_summary_is_cut_at_a_clause(self) -> None:
        clause = "kata warga yang menunggu di tepi sungai sejak pagi"
        long = ", ".join([clause] * 20) + "."
        method, text = made(f"{long} {BODY[0]}")
        assert (method, text) == ("lead", ", ".join([clause] * 11) + "…")
        assert made("kata " * 400)[1] == ("kata " * 119).strip() + "…"
        assert made("x" * 2_000)[1] == "x" * 599 + "…"

    def test_the_rest_is_never_cut_to_fit(self) -> None:
        assert made(f"{BODY[0]} Lalu {'kata ' * 200}selesai. {BODY[1]}") == ("lead", BODY[0])

    def test_a_script_without_blanks_says_it_in_half_of_the_characters(self) -> None:
        sentence = "この川は火曜日の夜に氾濫し、住民は家具を二階に移して一晩を過ごしたという。"
        method, text = made(sentence * 12, "ja")
        assert (method, text) == ("lead", sentence * 3)
        assert 100 <= len(text) < 150

    def test_only_the_beginning_is_looked_at(self) -> None:
        assert made(TEXT + BODY[0] * 10_000) == made()
        assert len(candidates(f"{TEXT}\n\n" * 10_000, "id")) == 40

    def test_surrogates_are_no_error(self) -> None:
        assert made("Satu \ud83d ini dan lalu itu.") == ("lead", "Satu ? ini dan lalu itu.")


class TestDescription:
    def test_of_enough_words_stands_alone(self) -> None:
        assert made(descriptions=[LONG_OWN]) == ("publisher", LONG_OWN)

    def test_a_short_one_is_followed_by_the_lead(self) -> None:
        method, text = made(descriptions=[OWN_WORDS])
        assert method == "lead+publisher"
        assert text == f"{OWN_WORDS} {BODY[0]} {BODY[1]}"

    def test_and_not_by_what_it_says_itself(self) -> None:
        opening = BODY[0].replace("dibuka lagi", "kini dibuka lagi")
        method, text = made(descriptions=[f"{opening} Warga menari."])
        assert method == "lead+publisher"
        assert text == f"{opening} Warga menari. {BODY[1]}"

    def test_nor_is_it_told_beside_a_lead_that_contains_it(self) -> None:
        shorter = "Jembatan lama di tepi kota Lembah dibuka lagi untuk warga."
        for copied in (shorter, BODY[0], f"{BODY[1]}"):
            assert made(descriptions=[copied]) == made()

    def test_the_first_that_passes_is_taken(self) -> None:
        assert made(descriptions=["", TITLE, LONG_OWN, BODY[4]]) == ("publisher", LONG_OWN)
        assert made(descriptions=["", TITLE]) == made()

    @pytest.mark.parametrize(
        "cut",
        [
            "Biaya perbaikan Rp3,5 miliar ditanggung pemerintah dae…",
            "Biaya perbaikan Rp3,5 miliar ditanggung pemer...",
            "Biaya perbaikan Rp3,5 miliar ditanggung pemerintah [&hellip;]",
            "Biaya perbaikan Rp3,5 miliar ditanggung pemerintah […] Selengkapnya",
            "Biaya perbaikan Rp3,5 miliar ditanggung pemerintah",
            "Biaya perbaikan Rp3,5 miliar ditanggung [...] The post A. B! appeared first on X.",
        ],
    )
    def test_what_is_cut_short_is_completed_from_the_lead(self, cut: str) -> None:
        _, text = made(descriptions=[f"{OWN_WORDS} {cut}"])
        assert text.startswith(f"{OWN_WORDS} {BODY[2]}")
        assert "…" not in text

    def test_what_cannot_be_completed_is_left_out(self) -> None:
        for cut in ("Biaya perbaikan Rp4 miliar ditanggung…", "Dan lalu…", "Biaya…"):
            assert made(descriptions=[f"{OWN_WORDS} {cut}"]) == made(descriptions=[OWN_WORDS])
            assert made(descriptions=[cut]) == made()

    @pytest.mark.parametrize(
        "description",
        [
            "Warga Lembah senang sekali.",
            "Warga Lembah kembali bisa menyeberang sungai tanpa memutar jauh lagi seperti dulu",
            "Warga Lembah kembali bisa menyeberang sungai tanpa memutar jauh lagi seperti…",
            f"{TITLE}.",
            f"{OWN_WORDS} Baca juga berita lain di sini.",
            "Kabar Lembah adalah situs berita terkini dan terpercaya soal jembatan warga.",
            "Redaksi menyajikan informasi olahraga, hiburan, teknologi, gaya hidup dan kesehatan.",
            "The old bridge at the edge of the town of Lembah was opened again for all on Tuesday.",
            f"{OWN_WORDS} {'Itu kata bupati kepada warga yang berkumpul di jembatan. ' * 30}",
        ],
    )
    def test_what_is_no_description_is_not_taken(self, description: str) -> None:
        assert made(descriptions=[description], title=TITLE) == made(title=TITLE)

    @pytest.mark.parametrize(
        "decorated",
        [
            f"  {LONG_OWN.replace(' ', '  ')}\n",
            f"Kabar Lembah - {LONG_OWN}",
            f"{LONG_OWN} | KABAR LEMBAH",
            f"LEMBAH, KABARLEMBAH.com - {LONG_OWN}",
            f"<p>{LONG_OWN}</p><img src='x'>",
            LONG_OWN.replace("Bupati", "&#66;upati"),
        ],
    )
    def test_what_stands_around_it_is_taken_off(self, decorated: str) -> None:
        found = made(descriptions=[decorated], publisher="Kabar Lembah")
        assert found == ("publisher", LONG_OWN)

    def test_a_malay_description_of_an_indonesian_text_is_no_foreign_one(self) -> None:
        malay = (
            "Penduduk Lembah kini boleh menyeberangi sungai semula kerana jambatan lama itu telah"
            " dibaiki oleh kerajaan tempatan, dan bupati berharap pasar akan menjadi lebih meriah"
            " daripada tahun lepas."
        )
        assert made(descriptions=[malay])[0] == "publisher"

    def test_without_a_text_there_is_it_alone(self) -> None:
        assert made("", descriptions=[OWN_WORDS]) == ("publisher", OWN_WORDS)

    def test_its_later_sentences_are_left_out_where_there_is_no_place(self) -> None:
        narrow = ProcessSettings(summary_characters=120)
        found = summarize(TEXT, "id", narrow, descriptions=[LONG_OWN])
        assert found == Summary(OWN_WORDS, "publisher")


WORDS = st.sampled_from(
    ["kata", "Dr.", "3.5", "Ya!", "lalu", "“Apa?”", "a.b", "…", "é", "Jembatan", "dibuka lagi.",
     "Foto:", "JAKARTA -", "Baca juga", "川が。", "warga di sana pulang."]
)  # fmt: skip
PROSE = st.lists(st.lists(WORDS, max_size=12).map(" ".join), max_size=6)
TEXTS = (
    st.text(st.characters(), max_size=300) | PROSE.map("\n\n".join) | PROSE.map(". ".join)
)  # fmt: skip


def test_nothing_follows_a_sentence_that_was_cut() -> None:
    text = (
        "The council spoke of the old bridge, and of the harbour and the market hall that nobody "
        "in the town has used for years. It meets again on Monday."
    )
    summary = summarize(text, "en", ProcessSettings(summary_characters=80))
    assert summary == Summary("The council spoke of the old bridge…", "lead")


@given(
    TEXTS,
    st.lists(TEXTS, max_size=2),
    st.sampled_from(["id", "en", "ja", "th", "ar", "xx", None]),
    st.builds(
        ProcessSettings,
        summary_sentences=st.integers(1, 6),
        summary_characters=st.integers(80, 600),
    ),
)
def test_a_summary_is_whole_sentences_in_their_order(
    text: str, descriptions: list[str], language: str | None, settings: ProcessSettings
) -> None:
    lead = summarize(text, language, settings)
    assert (lead is None) == (not candidates(text, language))
    if lead:
        assert_is_told_from(lead, candidates(text, language), settings)
    found = summarize(text, language, settings, title="Ya", descriptions=descriptions)
    assert found == summarize(text, language, settings, title="Ya", descriptions=descriptions)
    assert found is not None or lead is None
    if found:
        assert found.method in {"lead", "publisher", "lead+publisher"}
        assert len(found.text) <= settings.summary_characters


def assert_is_told_from(summary: Summary, sentences: list[str], settings: ProcessSettings) -> None:
    """The first so many of `sentences`; or the beginning of the first, where that is too long."""
    assert summary.method == "lead"
    wholes = ["".join("".join(sentences[:n]).split()) for n in range(1, len(sentences) + 1)]
    if "".join(summary.text.split()) not in wholes:
        assert len(sentences[0]) > settings.summary_characters // 2
        assert sentences[0].startswith(summary.text.removesuffix("…"))


@given(PROSE.map("\n\n".join), st.sampled_from(["id", "en", "ja"]))
def test_candidates_are_sentences_of_the_text_in_their_order(text: str, language: str) -> None:
    every = [" ".join(one.split()) for one in split(text, language)]
    place = 0
    for candidate in candidates(text, language):
        place = next(n for n in range(place, len(every)) if every[n].endswith(candidate)) + 1
