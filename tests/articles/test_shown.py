"""Tags and section of pages that show them and declare none."""

import pytest

from tests.articles.trees import meta, read

H1 = "<h1>Jembatan Lama Dibuka Lagi</h1>"
TAGS = "<a href='/tag/jembatan'>#jembatan</a> <a href='/tag/kota'>kota</a>"


class TestTags:
    @pytest.mark.parametrize(
        "box",
        [
            f"<div class='post-tags'><span>Tags</span>{TAGS}</div>",
            f"<div class='tag-box'><ul><li>{TAGS}</li></ul></div>",
            f"<div id='topik'>{TAGS}</div>",
            f"<div class='tags'>{TAGS.replace('href', 'rel=tag href').replace('/tag/', '/')}</div>",
        ],
    )
    def test_the_list_behind_the_headline(self, box: str) -> None:
        other = "<div class='tags'><a href='/tag/lain'>lain</a></div>"
        assert read(f"{other}{H1}<p>Isi</p>{box}{other}").tags == ("jembatan", "kota")

    @pytest.mark.parametrize(
        "box",
        [
            f"<p>Warga {TAGS} datang.</p>",
            f"<div class='tags trending'>{TAGS}</div>",
            f"<div class='tags-popular'>{TAGS}</div>",
            f"<div class='vintage'>{TAGS}</div>",
            "<div class='tags'><a href='/berita/lain'>Lain</a></div>",
        ],
    )
    def test_other_links_are_none(self, box: str) -> None:
        assert read(H1 + box).tags == ()

    def test_declared_ones_win(self) -> None:
        body = f"{H1}<div class='tags'>{TAGS}</div>"
        assert read(body, meta("keywords", "air")).tags == ("air",)


class TestSection:
    @pytest.mark.parametrize(
        "trail",
        [
            "<div class='breadcrumb'><a href='/'>Lembah</a> / <a href='/daerah'>Daerah</a></div>",
            "<nav aria-label='Breadcrumb'><a href='/x'>Beranda</a> <a href='/d'>Daerah</a></nav>",
            "<ol class='breadcrumbs'><li><a href='/d'>Daerah</a><li><a href='/d/k'>Kota</a></ol>",
        ],
    )
    def test_the_first_of_the_breadcrumb(self, trail: str) -> None:
        assert read(trail + H1).section == "Daerah"
        assert read(trail + H1, meta("article:section", "Kota")).section == "Kota"

    @pytest.mark.parametrize(
        "trail",
        [
            "<div class='breadcrumb'><a href='/'>Lembah</a></div>",
            "<div class='breadcrumb'>Daerah</div>",
            "<div class='menu'><a href='/daerah'>Daerah</a></div>",
            "<div class='breadcrumb'><a href='?page=2'>Jembatan Lama Dibuka Lagi</a></div>",
        ],
    )
    def test_none(self, trail: str) -> None:
        assert read(trail + H1).section is None
