"""Plain text of what attributes, JSON and markup hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  a \n b\xa0c ", "a b c"),
        ("A &amp; B", "A & B"),
        ("A &amp;amp; B", "A & B"),
        ("<b>A</b> &lt;i&gt;B&lt;/i&gt;", "A B"),
        ("a < b and c > d", "a < b and c > d"),
        ("Jem\xadbat\u200ban\0\x07\ud800", "Jembatan"),
        ("&#0;&#xD800;a", "\ufffd\ufffda"),
        (None, ""),
        (3, ""),
        (["a"], ""),
    ],
)
def test_line(value: object, expected: str) -> None:
    assert plain.line(value) == expected


@given(st.text(max_size=200), st.integers(1, 50))
def test_lines_are_single_and_short(value: str, longest: int) -> None:
    found = plain.line(value, longest)
    assert len(found) <= longest
    assert found == found.strip()
    assert "\n" not in found
    found.encode()


def test_key() -> None:
    assert (
        plain.key("Al-Jazeera, English!") == plain.key("AL JAZEERA ENGLISH") == "aljazeeraenglish"
    )
