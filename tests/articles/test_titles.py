"""Headlines and what sites add to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import plain, titles

SITE = {plain.key(one) for one in ("Lembah Raya", "lembahraya.com", "lembahraya")}
LONG = (
    "Jembatan lama di tepi kota dibuka lagi setelah ditutup tiga bulan "
    + "karena air " * 4
    + "naik"
)


class TestTidy:
    @pytest.mark.parametrize(
        "title",
        [
            "Jembatan Dibuka - Lembah Raya",
            "Jembatan Dibuka | Lembah Raya",
            "Jembatan Dibuka — Lembahraya.com",
            "Lembah Raya: Jembatan Dibuka".replace(":", " |"),
            "Jembatan Dibuka Halaman all - Lembahraya.com",
            "Jembatan Dibuka - Halaman 2",
            "Jembatan Dibuka (Halaman 2 dari 3)",
            "Jembatan Dibuka - Page 2 of 3 | Lembah Raya",
            "Jembatan Dibuka - Daerah - Lembah Raya",
            "Jembatan Dibuka｜Lembah Raya",
        ],
    )
    def test_the_site_and_the_part_go(self, title: str) -> None:
        assert titles.tidy(title, SITE, "Daerah") == "Jembatan Dibuka"

    @pytest.mark.parametrize(
        "title",
        ["Jembatan - Dibuka", "Lembah Raya", "Jembatan Lembah Raya", "Jembatan Dibuka - Daerah",
         "Harga: Naik", "Ini Halaman Rumah", ""],
    )  # fmt: skip
    def test_the_rest_stays(self, title: str) -> None:
        assert titles.tidy(title, SITE, "Daerah") == title

    @given(st.text(alphabet="ab -|:–Lembah Raya", max_size=200))
    def test_never_longer(self, title: str) -> None:
        assert titles.tidy(title, SITE, "Daerah") in title


def choose(declared: str = "", shared: str = "", shown: str = "", whole: str = "") -> str:
    return titles.choose([declared], [shared], [shown] if shown else [], whole, SITE)


class TestChoose:
    def test_json_ld_then_shared_then_shown_then_title(self) -> None:
        assert choose("A", "B", "C", "D") == "A"
        assert choose("", "B", "C", "D") == "B"
        assert choose("", "", "C", "D") == "C"
        assert choose("", "", "", "D - Lembah Raya") == "D"
        assert choose() == ""

    @pytest.mark.parametrize("end", ["", "…", "..."])
    def test_a_headline_cut_at_110_characters(self, end: str) -> None:
        assert choose(LONG[:104] + end, LONG, LONG) == LONG
        assert choose(LONG[:104] + end, "", LONG) == LONG
        assert choose(LONG[:104] + end) == LONG[:104] + end

    def test_a_tail_that_is_not_shown(self) -> None:
        assert choose(
            "", "Jembatan Lama Dibuka Lagi * Koran * oleh Adi", "Jembatan Lama Dibuka Lagi"
        ) == ("Jembatan Lama Dibuka Lagi")
        assert choose("Jembatan Lama Dibuka Lagi Besok", "", "Jembatan Lama Dibuka Lagi") == (
            "Jembatan Lama Dibuka Lagi Besok"
        )

    def test_the_site_is_no_headline(self) -> None:
        assert (
            choose("Lembah Raya", "lembahraya.com", "Lembah Raya", "Jembatan - Lembah Raya")
            == "Jembatan"
        )
