"""Datelines, and paragraphs that only look as if they had one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import dateline

REST = "Jembatan lama dibuka lagi."


class TestDatelines:
    @pytest.mark.parametrize(
        ("before", "place", "source", "brand"),
        [
            ("SEMARANG, LEMBAH.com - ", "Semarang", None, "LEMBAH.com"),
            ("Semarang (ANTARA) - ", "Semarang", "ANTARA", None),
            ("LEMBAH.CO, Jakarta - ", "Jakarta", None, "LEMBAH.CO"),
            ("LEMBAHRAYA.COM - ", None, None, "LEMBAHRAYA.COM"),
            ("LEMBAHRAYA.COM, SEMARANG - ", "Semarang", None, "LEMBAHRAYA.COM"),
            ("LEMBAH.CO.ID, SEMARANG -- ", "Semarang", None, "LEMBAH.CO.ID"),
            ("WASHINGTON (AP) — ", "Washington", "AP", None),
            ("PARIS, Jan 22 (Reuters) - ", "Paris", "Reuters", None),
            ("Jakarta, 22/1 (ANTARA) - ", "Jakarta", "ANTARA", None),
            ("KUALA LUMPUR, 22 Jan (Bernama) -- ", "Kuala Lumpur", "Bernama", None),
            ("Berlin/Brüssel (dpa/lby) - ", "Berlin/Brüssel", "dpa", None),
            ("Jakarta, CNN Indonesia -- ", "Jakarta", None, "CNN Indonesia"),
            ("Washington, D.C. (AFP) - ", "Washington, D.C.", "AFP", None),
            ("LA CROSSE, Wis. (AP) — ", "La Crosse, Wis.", "AP", None),
            ("NEW YORK, NY (AP) — ", "New York, NY", "AP", None),
            ("(ANTARA) - ", None, "ANTARA", None),
            ("SEMARANG - ", "Semarang", None, None),
            ("Semarang – ", "Semarang", None, None),
            ("新华社北京1月22日电 ", "北京", "Xinhua", None),
            ("Semarang (EFE).- ", "Semarang", "EFE", None),
            ("КЕДРОВКА, 5 декабря. /ТАСС/. ", "Кедровка", "TASS", None),
            ("SEMARANG, December 5. /TASS/. ", "Semarang", "TASS", None),
            ("/ТАСС/. ", None, "TASS", None),
            ("Semarang /dpa/ - ", "Semarang", "dpa", None),
            ("Lembang (Kabar Desa) - ", "Lembang", "Kabar Desa", None),
        ],
    )
    def test_taken_off(
        self, before: str, place: str | None, source: str | None, brand: str | None
    ) -> None:
        assert dateline.read(before + REST) == dateline.Dateline(place, source, brand, REST)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            REST,
            "Budi - yang datang terlambat - meminta maaf.",
            "Budi - Ani dan Cici - datang terlambat.",
            "Ia tiba (kemarin) - begitu katanya.",
            "Der Mann (45) - ein Lehrer - kam spät.",
            "Jakarta-Bandung kini hanya sejam.",
            "Presiden Republik Indonesia Raya - Jembatan lama dibuka.",
            "Baca juga: Jembatan lama",
            "PDI - Jembatan lama dibuka.",
            "Semarang /Solo/ dibuka.",
        ],
    )
    def test_left_alone(self, text: str) -> None:
        assert dateline.read(text) == dateline.Dateline(None, None, None, text)

    @given(st.text(alphabet="ABab.,-–() /'\n1:com", max_size=400))
    def test_never_longer_than_it_was(self, text: str) -> None:
        assert text.endswith(dateline.read(text).rest)
