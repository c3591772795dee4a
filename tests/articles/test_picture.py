"""Captions of pictures, and the credits that they end with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.articles.trees import meta, read
from worker.articles.picture import Image

URL = "https://www.lembahraya.example/a.jpg"
HEAD = meta("og:image", "/a.jpg") + meta("og:site_name", "Harian Lembah Raya")


def shown(caption: str) -> tuple[str | None, str | None]:
    figure = f"<figure><img src='/a.jpg'><figcaption>{caption}</figcaption></figure>"
    image = read(f"<h1>Jembatan Lama Dibuka Lagi</h1>{figure}", HEAD).image
    assert image is not None
    assert image.url == URL
    return image.caption, image.credit


CAPTION = "Warga di jembatan."


@pytest.mark.parametrize(
    ("behind", "credit"),
    [
        (" (Foto: Dok. Desa)", "Dok. Desa"),
        (" (ANTARA FOTO/Adi Sono/foc.)", "ANTARA FOTO/Adi Sono/foc."),
        (".(LR/Naya Zuhdi)"[1:], "LR/Naya Zuhdi"),
        (" (Lembah Raya)", "Lembah Raya"),
        (" (Harian)", "Harian"),
        (" (lembahraya)", "lembahraya"),
        (" (AFP)", "AFP"),
        (" Photograph: Naya Zuhdi/The Ledger", "Naya Zuhdi/The Ledger"),
        (" Photo : Naya Zuhdi", "Naya Zuhdi"),
        (" Foto: Naya Zuhdi (Keystone)", "Naya Zuhdi (Keystone)"),
        (" Фото: Игорь Лапин", "Игорь Лапин"),
        (" Photo by Naya Zuhdi.", "Naya Zuhdi"),
        (" © Naya Zuhdi/dpa", "Naya Zuhdi/dpa"),
        (" | Foto: Naya Zuhdi", "Naya Zuhdi"),
        (" / NAYA ZUHDI", "NAYA ZUHDI"),
        (" NAYA ZUHDI / AFP", "NAYA ZUHDI / AFP"),
        (" LEMBAH/Naya Zuhdi", "LEMBAH/Naya Zuhdi"),
        (" - Gambar Warta Lembah", "Gambar Warta Lembah"),
        (" – REUTERS", "REUTERS"),
        ("（警視庁提供）", "警視庁提供"),
        ("<br>LEMBAH RAYA/NAYA ZUHDI", "LEMBAH RAYA/NAYA ZUHDI"),
        ("<p>Foto: Naya Zuhdi</p>", "Naya Zuhdi"),
    ],
)
def test_credits_behind_a_caption(behind: str, credit: str) -> None:
    assert shown(CAPTION + behind) == (CAPTION, credit)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("LEMBAH RAYA/NAYA<br>Warga, <b>Jumat</b> (12/8/2022).", "Warga, Jumat (12/8/2022)."),
        ("<div>Foto: Naya</div>Warga di <i>tepi</i> kota", "Warga di tepi kota"),
        ("Warga di tepi kota<br>LEMBAH RAYA/NAYA", "Warga di tepi kota"),
        ("Foto: Warga di jembatan (Naya/lembah)", "Warga di jembatan"),
    ],
)
def test_credits_on_a_line_or_around_a_caption(caption: str, expected: str) -> None:
    found, credit = shown(caption)
    assert found == expected
    assert credit in {"LEMBAH RAYA/NAYA", "Naya", "Naya/lembah"}


@pytest.mark.parametrize(
    "caption",
    [
        CAPTION,
        "Warga di jembatan, Jumat (12/8/2022).",
        "Warga di jembatan (kiri) dan pedagang (kanan)",
        "Warga di jembatan. Naik 10/20 kali sejak kemarin pagi",
        "Warga - yang datang terlambat - di jembatan",
        "Telefoto warga di jembatan",
        "Warga tersenyum. Foto: di situ semua orang ingin ikut berdiri sejak pagi",
    ],
)
def test_captions_without_a_credit(caption: str) -> None:
    assert shown(caption) == (caption, None)


def test_lines_are_joined() -> None:
    assert shown("Warga di jembatan.<br/>Mereka <b>datang</b> pagi.<!-- x -->") == (
        "Warga di jembatan. Mereka datang pagi.",
        None,
    )


def test_a_label_before_a_long_caption() -> None:
    found = shown("Foto: Warga dari tujuh desa menyeberang jembatan lama itu kemarin")
    assert found == ("Warga dari tujuh desa menyeberang jembatan lama itu kemarin", None)


def test_the_credit_in_a_declared_caption() -> None:
    head = meta("og:image", "/a.jpg") + meta("og:image:alt", "Warga. LEMBAH/Naya Zuhdi")
    assert read(head=head).image == Image(URL, "Warga.", "LEMBAH/Naya Zuhdi")


@given(st.text(alphabet="Ab/.()（ -:©Foto", max_size=120))
def test_nothing_is_made_up(caption: str) -> None:
    for found in shown(caption):
        assert found is None or found.replace(" ", "") in caption.replace(" ", "")
