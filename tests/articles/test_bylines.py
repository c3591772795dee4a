"""Names out of bylines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import bylines


class TestNames:
    @pytest.mark.parametrize(
        ("written", "names"),
        [
            ("Ada Lind", ("Ada Lind",)),
            ("By Ada Lind and Bo Ek", ("Ada Lind", "Bo Ek")),
            ("Von Ada Lind und Bo Ek, Malmö", ("Ada Lind", "Bo Ek", "Malmö")),
            ("Por Ada Lind y Bo Ek", ("Ada Lind", "Bo Ek")),
            ("Par Ada Lind et Bo Ek", ("Ada Lind", "Bo Ek")),
            ("Door Ada Lind en Bo Ek", ("Ada Lind", "Bo Ek")),
            ("Di Ada Lind e Bo Ek", ("Ada Lind", "Bo Ek")),
            ("Oleh: Ada Lind dan Bo Ek", ("Ada Lind", "Bo Ek")),
            ("Ada Lind; Bo Ek & Cy Ro", ("Ada Lind", "Bo Ek", "Cy Ro")),
            ("Ada Lind | ada@lembah.example | @adalind", ("Ada Lind",)),
            ("Ada Lind (Korrespondentin)", ("Ada Lind",)),
            ("Ada Lind, Staff Writer", ("Ada Lind",)),
            ("Ada Lind - Lembah Raya", ("Ada Lind",)),
            ("Ada Lind, Jr.", ("Ada Lind, Jr.",)),
            ("ADA LIND, ADA LIND", ("ADA LIND",)),
            ("김수진 기자", ("김수진",)),
            ("山田 太郎", ("山田 太郎",)),
            ("srf/hosb;kesm", ("srf/hosb", "kesm")),
            ("Jean-Luc O’Hara", ("Jean-Luc O’Hara",)),
            ("Marianne Andersen", ("Marianne Andersen",)),
        ],
    )
    def test_people(self, written: str, names: tuple[str, ...]) -> None:
        assert bylines.names(written) == names

    @pytest.mark.parametrize(
        "written",
        ["", " ", "https://lembah.example/ada", "@lembah", "admin", "jdadmin", "Tim Lembah 01",
         "Lembah Com Developer", "Redaksi", "12345", "Staff Writer", "By", "-", "x" * 100],
    )  # fmt: skip
    def test_nobody(self, written: str) -> None:
        assert bylines.names(written) == ()

    @given(st.text(max_size=500) | st.text(alphabet="By,;&()[]@ \nab.-", max_size=500))
    def test_names_are_short_and_single(self, written: str) -> None:
        found = bylines.names(written)
        assert len(set(found)) == len(found) <= 20
        assert all(2 <= len(name) <= 90 for name in found)


def test_union() -> None:
    assert bylines.union([("Ada Lind",), (), ("ADA LIND", "Bo Ek")]) == ("Ada Lind", "Bo Ek")


@pytest.mark.parametrize("junk", ["Twitter Facebook", "5 min", "Lesezeit", "a b c d e f g"])
def test_what_is_shown_beside_names(junk: str) -> None:
    assert not bylines.may_be_shown(junk)
    assert bylines.may_be_shown("Ada Lind")
