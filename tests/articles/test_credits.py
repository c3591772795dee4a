"""Lines of credits, and the table of agencies."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import credits as credit_lines
from worker.articles.credits import Credits, agency

TABLE = Path(__file__).parents[2] / "config" / "sources.toml"


class TestLines:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("Penulis: Naya Zuhdi | Editor: Heri Adi", Credits(("Naya Zuhdi",), "Heri Adi")),
            ("Rep: Sinta Ayu/ Red: Budi Raya", Credits(("Sinta Ayu",), "Budi Raya")),
            (
                "Pewarta: Ani Wulan Editor: Budi Raya COPYRIGHT © ANTARA 2022",
                Credits(("Ani Wulan",), "Budi Raya"),
            ),
            ("Pewarta: Ani dan Budi", Credits(("Ani", "Budi"))),
            ("Penulis Riska Sono Editor Khairina", Credits(("Riska Sono",), "Khairina")),
            ("Reporter Andi Wijaya", Credits(("Andi Wijaya",))),
            ("Editor Rina Ayu", Credits(editor="Rina Ayu")),
            ("Editor: Alfian Adi", Credits(editor="Alfian Adi")),
            ("Red: Budi", Credits(editor="Budi")),
            ("Sumber: Aljazeera", Credits(sources=("Al Jazeera",))),
            ("Sumber: PDAM", Credits(sources=("PDAM",))),
            ("Source: Reuters, AP", Credits(sources=("Reuters", "AP"))),
            ("Quelle: dpa/AFP", Credits(sources=("dpa", "AFP"))),
            ("Rep: Antara", Credits(sources=("ANTARA",))),
            ("aja/PAP", Credits(sources=("PAP",))),
            ("(dpa/lno)", Credits(sources=("dpa",))),
            ("(AFP)", Credits(sources=("AFP",))),
        ],
    )
    def test_credits(self, line: str, expected: Credits) -> None:
        assert credit_lines.read([line]) == expected

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "(ams/sip)",
            "(*)",
            "***",
            "Menurut sumber: warga akan pindah pada hari Senin.",
            "Foto: Dok. PDAM",
            "Editor itu datang terlambat dan meminta maaf kepada semua orang.",
            "Jembatan lama dibuka lagi. " * 12 + "Editor: Budi",
        ],
    )
    def test_lines_without_any(self, line: str) -> None:
        assert credit_lines.read([line]) == Credits()

    def test_lines_together(self) -> None:
        lines = [
            "Penulis: Naya",
            "Sumber: Aljazeera",
            "(AFP)",
            "Sumber: Al Jazeera",
            "Editor: Budi",
            "Editor: Cici",
        ]
        assert credit_lines.read(lines) == Credits(("Naya",), "Budi", ("Al Jazeera", "AFP"))

    def test_an_editor_is_no_author(self) -> None:
        assert credit_lines.read(["Penulis: Budi | Editor: Budi"]) == Credits((), "Budi")

    @given(st.text(alphabet="Editor: Penulis|Sumber/,.()ab© ", max_size=250))
    def test_never_raises(self, line: str) -> None:
        assert isinstance(credit_lines.read([line]), Credits)


class TestSigned:
    @pytest.mark.parametrize(
        ("text", "sources"),
        [
            ("Warga pulang. EFE", ("EFE",)),
            ("Warga pulang. AFP/Reuters.", ("AFP", "Reuters")),
            ("“Warga pulang.” (ant/AFP)", ("AFP",)),
            ("Warga pulang! -- BERNAMA", ("Bernama",)),
            ("住民が帰った。（共同）", ("Kyodo",)),
        ],
    )
    def test_agencies_behind_the_last_sentence(self, text: str, sources: tuple[str, ...]) -> None:
        rest, found = credit_lines.signed(text)
        assert found == sources
        assert rest in {"Warga pulang.", "“Warga pulang.”", "Warga pulang!", "住民が帰った。"}

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "EFE",
            "Warga pulang. (ams/sip)",
            "Warga pulang. Ani",
            "Warga pulang, kata AFP",
            "Warga pulang (AFP)",
            "Warga pulang. Reuters menulis itu kemarin.",
        ],
    )
    def test_other_ends_stay(self, text: str) -> None:
        assert credit_lines.signed(text) == (text, ())

    @given(st.text(alphabet="AFPap.。 （）()-/EFE", max_size=120))
    def test_only_the_end_is_taken(self, text: str) -> None:
        rest, found = credit_lines.signed(text)
        assert text.startswith(rest)
        assert bool(found) == (rest != text)


class TestHelped:
    @pytest.mark.parametrize(
        ("byline", "sources"),
        [
            ("Par Gwen Le Bihan avec AFP", ("AFP",)),
            ("avec AFP et Reuters", ("AFP", "Reuters")),
            ("Von Naya Zuhdi (mit dpa)", ("dpa",)),
            ("By Naya Zuhdi with Ani", ()),
            ("Par Gwen avec Naya et AFP", ()),
            ("avec AFP, il est venu", ()),
            ("", ()),
        ],
    )
    def test_bylines(self, byline: str, sources: tuple[str, ...]) -> None:
        assert credit_lines.helped(byline) == sources


class TestAgencies:
    @pytest.mark.parametrize(
        ("written", "name"),
        [
            ("Aljazeera", "Al Jazeera"),
            ("LKBN ANTARA", "ANTARA"),
            ("antaranews.com", "ANTARA"),
            ("Agence France-Presse", "AFP"),
            ("The Associated Press", "AP"),
            ("新华社", "Xinhua"),
            ("(dpa)", "dpa"),
            ("Anadolu Ajansı", "Anadolu"),
            ("Ani", None),
            ("Ap", None),
            ("PDAM", None),
            ("", None),
        ],
    )
    def test_names(self, written: str, name: str | None) -> None:
        assert agency(written) == name

    def test_no_spelling_stands_for_two(self) -> None:
        seen: dict[str, str] = {}
        for group in tomllib.loads(TABLE.read_text("utf-8")).values():
            for name, others in group.items():
                for spelling in (name, *others):
                    assert seen.setdefault(spelling, name) == name
                    assert agency(spelling) == name
