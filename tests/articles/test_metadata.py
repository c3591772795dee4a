"""What pages say of their article: the whole chain, a page a feature."""

import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.articles.trees import URL, ld, meta, page, read, tree
from worker.articles import metadata
from worker.articles.credits import Credits
from worker.articles.metadata import Image, Metadata, Pages

WIB = timezone(timedelta(hours=7))
H1 = "<h1>Jembatan Lama Dibuka Lagi</h1>"


def article(**properties: object) -> str:
    return ld(json.dumps({"@context": "https://schema.org", "@type": "NewsArticle", **properties}))


class TestWhole:
    def test_a_page_with_everything(self) -> None:
        found = read(
            f"""{H1}
            <div class="byline">Penulis: <b>Naya Zuhdi</b> | Editor: <b>Alfian Adi</b></div>
            <div>Sabtu, 22 Januari 2022 | 16:57 WIB</div>
            <figure><img src="/foto/jembatan.jpg?w=300">
            <figcaption>Warga di jembatan. (ANTARA FOTO/Adi Sono/foc.)</figcaption></figure>
            <a href="?page=all">Tampilkan Semua</a>
            <ul><li><a href="/lain">Lain</a>
            <time datetime="2022-01-24T10:00+07:00"></time></li></ul>""",
            article(
                headline="Jembatan Lama Dibuka Lagi",
                author={"@type": "Person", "name": "Lembah Raya"},
                publisher={"@type": "Organization", "name": "Lembah Raya"},
                datePublished="2022-01-22",
                dateModified="2022-01-22T18:05:44+07:00",
                keywords="jembatan, semarang",
                articleSection=["Daerah", "Kota"],
                articleBody="Jembatan lama dibuka.\n\nWarga &amp; pedagang.",
                isAccessibleForFree="True",
                image={"@type": "ImageObject", "url": "/foto/jembatan.jpg"},
            )
            + meta("og:site_name", "Lembah Raya")
            + meta("description", "Dibuka &amp;amp; ramai.")
            + f'<link rel="canonical" href="{URL}"><link rel="next" href="?page=2">'
            + "<title>Jembatan Lama Dibuka Lagi Halaman 1 - Lembah Raya</title>",
        )
        assert found == Metadata(
            title="Jembatan Lama Dibuka Lagi",
            site_name="Lembah Raya",
            description="Dibuka & ramai.",
            authors=("Naya Zuhdi",),
            editor="Alfian Adi",
            publisher="Lembah Raya",
            published_at=datetime(2022, 1, 22, 16, 57, tzinfo=WIB),
            modified_at=datetime(2022, 1, 22, 18, 5, tzinfo=WIB),
            zone_written=True,
            section="Daerah",
            tags=("jembatan", "semarang"),
            image=Image(
                "https://www.lembahraya.example/foto/jembatan.jpg",
                "Warga di jembatan.",
                "ANTARA FOTO/Adi Sono/foc.",
            ),
            language="id",
            canonical_url=URL,
            pages=Pages(next=f"{URL}?page=2", all=f"{URL}?page=all"),
            article_body="Jembatan lama dibuka.\n\nWarga & pedagang.",
            is_free=True,
            kind="NewsArticle",
        )

    def test_a_page_with_nothing(self) -> None:
        assert read(language="") == Metadata()

    def test_the_tree_stays_as_it_was(self) -> None:
        raw = page(H1 + "<p>Isi <!-- a --><b>b</b></p>", meta("author", "Naya"))
        parsed = tree(raw)
        before = etree.tostring(parsed)
        metadata.read(parsed, raw, URL)
        assert etree.tostring(parsed) == before


class TestTitle:
    def test_the_heading_where_json_ld_was_cut(self) -> None:
        long = "Jembatan lama di tepi kota dibuka lagi setelah lama ditutup" + " air pasang" * 5
        assert read(f"<h1>{long}</h1>", article(headline=long[:105])).title == long

    def test_entities_escaped_twice(self) -> None:
        assert (
            read(head=article(headline="Naya &amp;#039;Adi&amp;#039; Zuhdi")).title
            == "Naya 'Adi' Zuhdi"
        )

    def test_the_second_article_of_an_endless_page(self) -> None:
        head = article(headline="Lain", url="https://www.lembahraya.example/lain") + article(
            headline="Jembatan", mainEntityOfPage={"@id": URL}
        )
        assert read(head=head).title == "Jembatan"

    def test_markup_in_the_heading(self) -> None:
        assert (
            read("<h1>Jembatan <em>Lama</em> Dibuka<br>Lagi</h1>").title
            == "Jembatan Lama DibukaLagi"
        )


class TestPeople:
    @pytest.mark.parametrize(
        "author",
        [
            "Naya Zuhdi",
            ["Naya Zuhdi"],
            {"@type": "Person", "name": "Naya Zuhdi"},
            {"@type": "Person", "givenName": "Naya", "familyName": "Zuhdi"},
            [{"@type": "Person", "name": ["Naya Zuhdi"]}, {"@type": "Person", "name": ""}],
            {"@id": "#naya"},
        ],
    )
    def test_json_ld(self, author: object) -> None:
        person = ld('{"@type": "Person", "@id": "#naya", "name": "Naya Zuhdi"}')
        assert read(head=article(author=author) + person).authors == ("Naya Zuhdi",)

    def test_an_organisation_is_one(self) -> None:
        author = {"@type": "Organization", "name": "Kota dan Desa"}
        assert read(head=article(author=author)).authors == ("Kota dan Desa",)

    @pytest.mark.parametrize(
        "body",
        [
            f'{H1}<span class="author-name">Oleh Naya Zuhdi</span>',
            f'{H1}<a rel="author" href="/naya">Naya Zuhdi</a>',
            f'{H1}<span itemprop="author"><span itemprop="name">Naya Zuhdi</span></span>',
            f'{H1}<p>\n  By Naya Zuhdi,\n in <a href="/kota">Kota</a></p>',
            f"{H1}<p class=title>Reporter Naya Zuhdi</p><p class=title>Editor Adi</p>",
            f"{H1}<div><b>Penulis:</b> <a>Naya Zuhdi</a></div>",
            f"{H1}<div><b>Penulis</b> <a>Naya Zuhdi</a> <b>Editor</b> <a>Adi</a></div>",
            f'<span class="byline">Naya Zuhdi</span>{H1}',
        ],
    )
    def test_bylines_of_the_page(self, body: str) -> None:
        assert read(body).authors == ("Naya Zuhdi",)
        # Neither the portal nor an account of its CMS is one.
        portal = article(author={"@type": "Person", "name": "Lembahraya"})
        assert read(body, portal).authors == ("Naya Zuhdi",)
        assert read(body, article(author="Lembahraya Com Developer")).authors == ("Naya Zuhdi",)

    def test_the_portal_where_nobody_else_signs(self) -> None:
        head = article(author="Lembah Raya", publisher={"name": "Lembah Raya"})
        assert read(H1, head).authors == ("Lembah Raya",)

    def test_the_editor_is_no_author(self) -> None:
        head = article(author="Alfian Adi", editor={"name": "Alfian Adi"})
        found = read(H1, head)
        assert (found.authors, found.editor) == ((), "Alfian Adi")

    def test_an_agency_beside_the_author(self) -> None:
        byline = "<div>Par <span itemprop='author'>Gwen Le Bihan</span> avec AFP</div>"
        found = read(f"{H1}{byline}<p>Ils sont <b>venus</b> avec EFE</p>")
        assert (found.authors, found.credited_sources) == (("Gwen Le Bihan",), ("AFP",))
        found = read(f"{H1}<p class='byline'>Par <b>Gwen Le Bihan</b> avec EFE</p>")
        assert found.credited_sources == ("EFE",)

    def test_labels_in_a_caption_are_of_its_picture(self) -> None:
        assert (
            read(f"{H1}<figure><figcaption>Kota / Penulis: Pixabay</figcaption></figure>").authors
            == ()
        )

    def test_an_agency_that_signs_is_a_source(self) -> None:
        found = read(H1, article(author={"@type": "Organization", "name": "Antara"}))
        assert (found.authors, found.credited_sources) == (("Antara",), ("ANTARA",))

    def test_an_agency_beside_the_paper_is_a_source_only(self) -> None:
        head = article(author="Lembah Raya", publisher={"name": "Lembah Raya"})
        found = read(f'{H1}<span class="byline">Antara</span>', head)
        assert (found.authors, found.credited_sources) == (("Lembah Raya",), ("ANTARA",))

    def test_whom_the_page_calls_the_reporter(self) -> None:
        body = f"{H1}<p>Penulis: Naya Zuhdi</p>"
        assert read(body, article(author="Heri Adi")).authors == ("Naya Zuhdi",)

    def test_a_source_in_a_meta(self) -> None:
        assert read(head=meta("source", "Aljazeera")).credited_sources == ("Al Jazeera",)
        assert read(head=meta("source", "Lembahraya")).credited_sources == ()


class TestWithCredits:
    def test_lines_name_the_reporter_where_the_page_names_the_editor(self) -> None:
        said = Metadata(authors=("Heri Adi",), credited_sources=("AFP",))
        found = metadata.with_credits(said, Credits(("Naya Zuhdi",), "Heri Adi", ("AFP", "AP")))
        assert (found.authors, found.editor) == (("Naya Zuhdi",), "Heri Adi")
        assert found.credited_sources == ("AFP", "AP")

    def test_or_the_paper(self) -> None:
        said = Metadata(authors=("Lembah Raya",), publisher="Lembah Raya")
        assert metadata.with_credits(said, Credits(("Naya",))).authors == ("Naya",)
        assert metadata.with_credits(said, Credits()).authors == ("Lembah Raya",)

    def test_who_signed_stays(self) -> None:
        said = Metadata(authors=("Naya",), editor="Adi")
        assert metadata.with_credits(said, Credits(("Budi",), "Cici")) == said


class TestDates:
    @pytest.mark.parametrize(
        ("head", "body"),
        [
            (article(datePublished="2022-01-22T16:57:12+07:00"), ""),
            (article(datePublished="Sat, 22 Jan 2022 16:57:12 +0700"), ""),
            (article(datePublished=["2022-01-22T09:57:00.000Z"]), ""),
            (ld('{"@type": "WebPage", "datePublished": "2022-01-22 16:57"}'), ""),
            (meta("article:published_time", "2022-01-22T16:57:12+07:00"), ""),
            (meta("content_PublishedDate", "2022-01-22 16:57:12"), ""),
            (meta("sailthru.date", "2022-01-22T09:57:12Z"), ""),
            (article(datePublished="2022-01-22") + meta("date", "2022-01-22 16:57"), ""),
            (article(datePublished="2022-01-22"), f"{H1}<p>22 Jan 2022, 16:57 WIB</p>"),
            ("", f'<time itemprop="datePublished" datetime="2022-01-22T16:57+07:00"></time>{H1}'),
            ("", f'{H1}<time datetime="2022-01-22T16:57+07:00">kemarin</time>'),
            ("", f"{H1}<time>22 Januari 2022 16:57</time>"),
            ("", f"{H1}<div>Lembah.com - 22/01/2022, 16:57 WIB</div>"),
            ("", f"{H1}<div><span>Sabtu, 22 Januari 2022</span> <span>16:57 WIB</span></div>"),
            ("", f"<div>Sabtu, 22 Januari 2022 | 16:57 WIB</div>{H1}"),
        ],
    )
    def test_where_they_stand(self, head: str, body: str) -> None:
        teaser = "<ul><li><a>Lain</a><time datetime='2022-01-25T10:00+07:00'></time></li></ul>"
        found = read(body + "<p>Isi.</p>" * 20 + teaser, head)
        assert found.published_at == datetime(2022, 1, 22, 16, 57, tzinfo=WIB)

    @pytest.mark.parametrize(
        ("path", "day"), [("/2022/01/22/jembatan", 22), ("/20220121/jembatan", 21)]
    )
    def test_in_the_address(self, path: str, day: int) -> None:
        found = read(H1, url=f"https://www.lembahraya.example{path}")
        assert found.published_at == datetime(2022, 1, day, tzinfo=ZoneInfo("Asia/Jakarta"))

    def test_the_last_resort(self) -> None:
        found = read(
            H1 + "<p>isi</p>" * 250 + "<p class='date'>Posted on January 22, 2022</p>",
            language="en",
        )
        assert found.published_at == datetime(2022, 1, 22, tzinfo=UTC)

    def test_its_january_is_a_year_only(self) -> None:
        found = read(H1, '<meta itemprop="copyrightYear" content="2022">')
        assert found.published_at is None

    def test_scripts_show_nothing(self) -> None:
        body = f"{H1}<script>at = '2021-01-01 10:00'</script><p>22 Januari 2022 16:57</p>"
        assert read(body).published_at == datetime(2022, 1, 22, 16, 57, tzinfo=WIB)

    def test_zone_of_the_site(self) -> None:
        head = article(datePublished="2022-01-22 16:57")
        tokyo = ZoneInfo("Asia/Tokyo")
        assert read(head=head, zone=tokyo).published_at == datetime(
            2022, 1, 22, 16, 57, tzinfo=tokyo
        )
        assert not read(head=head).zone_written

    def test_none_is_to_come(self) -> None:
        now = datetime(2022, 1, 23, tzinfo=UTC)
        head = article(datePublished="2022-02-22T10:00Z") + meta("date", "2022-01-22T09:57Z")
        assert read(head=head, now=now).published_at == datetime(2022, 1, 22, 9, 57, tzinfo=UTC)

    def test_ago(self) -> None:
        now = datetime(2022, 1, 22, 11, 57, tzinfo=UTC)
        found = read(H1 + "<span>2 jam yang lalu</span>", now=now)
        assert found.published_at == datetime(2022, 1, 22, 16, 57, tzinfo=WIB)

    def test_a_change_before_publication_is_none(self) -> None:
        head = article(datePublished="2022-01-22T10:00Z", dateModified="2022-01-21T10:00Z")
        found = read(head=head)
        assert (found.published_at, found.modified_at) == (
            datetime(2022, 1, 22, 10, tzinfo=UTC),
            None,
        )

    def test_a_change_in_the_minute_of_publication(self) -> None:
        head = article(datePublished="2022-01-22T10:00:05Z", dateModified="2022-01-22T10:00:40Z")
        found = read(head=head)
        assert found.modified_at == found.published_at == datetime(2022, 1, 22, 10, tzinfo=UTC)

    def test_a_change_alone_is_the_publication(self) -> None:
        found = read(head=article(dateModified="2022-01-22T10:00Z"))
        assert (found.published_at, found.modified_at) == (
            datetime(2022, 1, 22, 10, tzinfo=UTC),
            None,
        )


class TestPictures:
    def test_declared(self) -> None:
        assert read(head=meta("og:image", "/a.jpg")).image == Image(
            "https://www.lembahraya.example/a.jpg"
        )
        shot = {"url": "https://x.example/a.jpg", "caption": "Kota", "creditText": "Naya"}
        assert read(head=article(image=[shot])).image == Image(
            "https://x.example/a.jpg", "Kota", "Naya"
        )

    def test_shown(self) -> None:
        picture = "<img data-src='/a.jpg' src='data:x'>"
        figure = f"<figure>{picture}<figcaption>Foto: Dok. PDAM</figcaption></figure>"
        assert read(H1 + figure).image == Image(
            "https://www.lembahraya.example/a.jpg", None, "Dok. PDAM"
        )

    @pytest.mark.parametrize(
        "url", ["data:image/png;base64,xx", "http://[", "ftp://a/b", " ", "https://a/" + "b" * 2000]
    )
    def test_no_picture(self, url: str) -> None:
        assert read(head=meta("og:image", url)).image is None

    def test_a_caption_of_another_picture(self) -> None:
        body = H1 + "<div><img src='/lain.jpg'><div class='caption'>Pasar (Lain/Foto)</div></div>"
        assert read(body, meta("og:image", "/a.jpg")).image.caption is None


class TestOthers:
    def test_amp(self) -> None:
        head = f'<link rel="canonical" href="{URL}">'
        raw = page(H1, head).replace("<html", "<html amp")
        found = metadata.read(tree(raw), raw, URL + "/amp")
        assert (found.canonical_url, found.amp_of) == (URL, URL)

    @pytest.mark.parametrize(
        ("value", "free"),
        [
            ("False", False),
            (False, False),
            ("http://schema.org/True", True),
            ("", None),
            ("x", None),
        ],
    )
    def test_free(self, value: object, free: bool | None) -> None:
        assert read(head=article(isAccessibleForFree=value)).is_free is free

    def test_kinds(self) -> None:
        assert (
            read(head=article()).kind is None
            or read(head=article(headline="a")).kind == "NewsArticle"
        )
        assert read(head=ld('{"@type": "CollectionPage"}')).kind == "CollectionPage"
        assert read(head=ld('{"@type": "ItemList"}')).kind == "ItemList"
        assert read(head=meta("og:type", "website")).kind == "website"

    def test_tags(self) -> None:
        assert read(head=article(keywords=["Kota", "Banjir Rob"])).tags == ("Kota", "Banjir Rob")
        assert read(head=meta("article:tag", "Kota") + meta("article:tag", "Rob")).tags == (
            "Kota",
            "Rob",
        )
        assert read(head=meta("keywords", "kota, rob ,kota")).tags == ("kota", "rob")

    def test_languages(self) -> None:
        assert read().language == "id"
        assert read(head=meta("og:locale", "ms_MY"), language="").language == "ms_MY"
        assert read(head=article(headline="a", inLanguage="jv"), language="").language == "jv"


class TestHostilePages:
    @pytest.mark.parametrize(
        "raw",
        [
            "<h1>a</h1>" * 50_000,
            "<meta name=author content='By a, b and c'>" * 50_000,
            f"{H1}{'<div>' * 100_000}2 jam{'</div>' * 100_000}",
            f"{H1}<div>{'22/01/2022 ' * 200_000}</div>",
            f"{H1}{'<figcaption>Foto: x</figcaption>' * 20_000}",
            f"<h1>{'Editor: ' * 100_000}</h1>",
            f"<h1>{'<b>a' * 50_000}</h1>",
            f"<title>{' - Lembah' * 100_000}</title>",
            ld('{"@type":"NewsArticle","author":[' + '"By a and b, ",' * 50_000 + "]}"),
            ld('{"@type":"NewsArticle","articleBody":"' + "<a &amp;amp; \\n" * 50_000 + '"}'),
            f"{H1}<a href='?page=all'>" + "<a href='all'>x</a>" * 50_000,
        ],
    )
    def test_ends(self, raw: str) -> None:
        # Were any of it quadratic, the suite's own limit would end the test.
        assert isinstance(metadata.read(tree(raw), raw, URL), Metadata)

    _PIECES = st.sampled_from(
        [
            H1,
            "<time datetime='",
            "2022-01-22",
            "'>",
            "</time>",
            "<meta property='og:title' content='",
            "<script type='application/ld+json'>",
            '{"@type": "NewsArticle", "author": ',
            '[{"@id": ',
            "1",
            "}]",
            '"url": [3, {"@id": 7}]',
            "null",
            ",",
            "</script>",
            "<figure><img src='http://[/'>",
            "<figcaption>",
            "Foto: ",
            "\ud800",
            "\0",
            "&#0;",
            "&#xD800;",
            "<base href='http://['>",
            "<link rel=canonical href='//['>",
            "Penulis: ",
            "Editor",
            " | ",
            "a",
            "<svg><title>x</title></svg>",
            "<h1>",
            "<a href='all'>",
            "<!--",
            "-->",
        ]
    )

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(_PIECES, max_size=30), st.sampled_from([URL, "", "http://[", "x", "https://a/\0"])
    )
    def test_never_raises(self, pieces: list[str], url: str) -> None:
        raw = "<html><body>" + "".join(pieces)
        found = metadata.read(tree(raw), raw, url, now=datetime(2022, 1, 22, tzinfo=UTC))
        assert isinstance(found, Metadata)

    @settings(max_examples=200, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "@id",
                            "@type",
                            "@list",
                            "@value",
                            "name",
                            "url",
                            "author",
                            "headline",
                            "datePublished",
                            "image",
                            "keywords",
                            "publisher",
                            "articleBody",
                            "isAccessibleForFree",
                            "mainEntityOfPage",
                            "editor",
                            "inLanguage",
                        ]
                    ),
                    inner,
                    max_size=5,
                )
            ),
        )
    )
    def test_never_raises_whatever_json_ld_holds(self, value: object) -> None:
        head = ld(json.dumps(value)) + article(
            author=value, image=value, publisher=value, url=value, datePublished=value
        )
        assert isinstance(read(H1, head), Metadata)
