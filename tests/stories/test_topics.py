import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.stories import topics


@pytest.mark.parametrize(
    ("section", "tags", "found"),
    [
        (None, [], ()),
        ("Ekonomi", ["inflasi", "Bank Indonesia"], ("Ekonomi", "inflasi", "Bank Indonesia")),
        ("Ekonomi", ["EKONOMI", "ekonomi", "Straße", "STRASSE"], ("Ekonomi", "Straße")),
        ("  Berita \n Daerah ", ["#banjir", "# ", "", "\u00a0"], ("Berita Daerah", "banjir")),
        ("x" * 101, ["y" * 100], ("y" * 100,)),
        ("E\u0301cole", ["\u00c9cole"], ("\u00c9cole",)),
    ],
)
def test_section_and_tags(section: str | None, tags: list[str], found: tuple[str, ...]) -> None:
    assert topics(section, tags) == found


@given(st.none() | st.text(), st.lists(st.text(), max_size=80))
def test_whatever_a_page_says(section: str | None, tags: list[str]) -> None:
    found = topics(section, tags)
    assert len(found) <= 50
    assert all(one.strip() == one and 0 < len(one) <= 100 for one in found)
    assert len({one.casefold() for one in found}) == len(found)
    assert set(topics(None, found)) == set(found)
