"""OPML: what is read of lists as readers write them, what is refused, and there and back again."""

import codecs
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from worker.errors import KabarError
from worker.feeds import opml
from worker.feeds.declared import Declared, clean_tags
from worker.feeds.opml import Subscription

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
A, B = "https://example.org/feed", "https://example.net/feed"


def feeds(outlines: str, head: str = '<opml version="2.0"><head/><body>') -> tuple[Declared, ...]:
    """The feeds of a list whose outlines can all be used."""
    read = opml.read(f"{head}{outlines}</body></opml>".encode())
    assert read.problems == ()
    return read.feeds


class TestFeeds:
    def test_a_feed_with_all_its_attributes(self) -> None:
        outline = (
            f'<outline type="rss" text="Berita" title="B" xmlUrl=" {A} " htmlUrl="https://x/"/>'
        )
        assert feeds(outline) == (Declared(A, "Berita"),)

    @pytest.mark.parametrize(
        "names",
        [
            'text="" title="Berita"',
            'title="Berita"',
            'text="  Ber\tita&#10;" title="x"'.replace("\t", ""),
            'TEXT="Berita"',
        ],
    )
    def test_a_title(self, names: str) -> None:
        assert feeds(f'<outline {names} xmlUrl="{A}"/>') == (Declared(A, "Berita"),)

    @pytest.mark.parametrize("names", ["", 'text=""', f'text="{A}"', f'title=" {A} "'])
    def test_none(self, names: str) -> None:
        assert feeds(f'<outline {names} xmlUrl="{A}"/>') == (Declared(A),)

    @pytest.mark.parametrize(
        "outline",
        [
            f'<outline xmlurl="{A}"/>',
            f'<outline XMLURL="{A}"/>',
            f'<Outline xmlUrl="{A}"></Outline>',
            f'<outline type="RSS" url="{A}"/>',
            f'<outline type="atom" url="{A}"/>',
        ],
    )
    def test_names_of_elements_and_attributes(self, outline: str) -> None:
        assert feeds(outline.replace("Outline", "OUTLINE")) == (Declared(A),)
        assert feeds(outline.replace("Outline", "outline")) == (Declared(A),)

    @pytest.mark.parametrize(
        ("url", "meant"),
        [
            ("feed:https://example.org/feed", A),
            ("feed://example.org/feed", "http://example.org/feed"),
            ("FEED:HTTPS://example.org/feed", "HTTPS://example.org/feed"),
        ],
    )
    def test_the_scheme_feed(self, url: str, meant: str) -> None:
        assert feeds(f'<outline xmlUrl="{url}"/>') == (Declared(meant),)

    def test_one_listed_twice_has_the_tags_of_both(self) -> None:
        outline = f'<outline xmlUrl="{A}" text="{{}}"/>'
        listed = (
            f'<outline text="x">{outline.format("")}</outline><outline xmlUrl="{B}"/>'
            f'<outline text="y">{outline.format("Berita")}{outline.format("News")}</outline>'
        )
        assert feeds(listed) == (Declared(A, "Berita", tags=("x", "y")), Declared(B))

    def test_what_is_no_feed_is_passed_over(self) -> None:
        listed = (
            '<outline text="an empty folder"/><outline type="link" url="https://example.org/"/>'
            '<outline type="include" url="https://example.org/list.opml"/><note/>'
        )
        assert feeds(listed) == ()


class TestFolders:
    def test_folders_within_folders(self) -> None:
        listed = (
            f'<outline text="Asia"><outline text="Indonesia "><outline xmlUrl="{A}"/></outline>'
            f'<outline xmlUrl="{B}"/></outline><outline xmlUrl="https://example.com/"/>'
        )
        assert feeds(listed) == (
            Declared(A, tags=("Asia/Indonesia",)),
            Declared(B, tags=("Asia",)),
            Declared("https://example.com/"),
        )

    def test_a_folder_without_a_name_is_none(self) -> None:
        listed = f'<outline><outline title="x"><outline xmlUrl="{A}"/></outline></outline>'
        assert feeds(listed) == (Declared(A, tags=("x",)),)

    def test_categories_are_tags(self) -> None:
        """By commas, each a path or a name (OPML 2.0)."""
        listed = f'<outline text="x"><outline xmlUrl="{A}" category="/a/b,c, ,x,/,/ /"/></outline>'
        assert feeds(listed) == (Declared(A, tags=("x", "a/b", "c")),)

    def test_deep_nesting_keeps_what_a_tag_has_room_for(self) -> None:
        folder = '<outline text="a folder">'
        (feed,) = feeds(f'{folder * 200}<outline xmlUrl="{A}"/>{"</outline>" * 200}')
        assert len(feed.tags[0]) <= 200
        assert feed.tags[0].startswith("a folder/a folder/")

    def test_nesting_beyond_all_bounds_ends_the_list(self) -> None:
        deep = "<outline>" * 100_000
        read = opml.read(f'<opml><body><outline xmlUrl="{A}"/>\n{deep}'.encode())
        assert read.feeds == (Declared(A),)
        assert "line 2: not well-formed: Excessive depth" in read.problems[0]


class TestForms:
    @pytest.mark.parametrize(
        "head",
        [
            '<opml version="1.0"><body>',
            '<?xml version="1.0"?>\n<opml><head><title>x</title></head><body>',
            '\n <?xml version="1.0" encoding="utf-8" standalone="yes"?><OPML><Body>',
            '<!DOCTYPE opml SYSTEM "http://example.org/opml.dtd"><opml><body>',
            "<!doctype opml [\n<!ELEMENT opml (head, body)>\n]>\n<opml><body>",
            '<opml xmlns="http://opml.org/spec2"><body>',
            '<!-- mine --><?xml-stylesheet href="a.xsl"?><opml><body>',
        ],
    )
    def test_heads(self, head: str) -> None:
        text = f'{head}<outline xmlUrl="{A}"/></body></opml>'
        if "OPML" in head:
            text = text.replace("</body></opml>", "</Body></OPML>")
        assert opml.read(text.encode()) == opml.Opml((Declared(A),), ())

    def test_outlines_without_a_body(self) -> None:
        read = opml.read(f'<opml><outline xmlUrl="{A}"/></opml>'.encode())
        assert read.feeds == (Declared(A),)

    @pytest.mark.parametrize(
        ("encoding", "mark"),
        [
            ("utf-8", b""),
            ("utf-8", codecs.BOM_UTF8),
            ("utf-16-le", codecs.BOM_UTF16_LE),
            ("utf-16-be", codecs.BOM_UTF16_BE),
            ("iso-8859-1", b""),
            ("windows-1252", b""),
            ("shift_jis", b""),
        ],
    )
    def test_encodings(self, encoding: str, mark: bytes) -> None:
        title = "報知" if encoding == "shift_jis" else "Édition"
        text = (
            f'<?xml version="1.0" encoding="{encoding.removesuffix("-le").removesuffix("-be")}"?>'
            f'<opml><body><outline text="{title}" xmlUrl="{A}"/></body></opml>'
        )
        assert opml.read(mark + text.encode(encoding)).feeds == (Declared(A, title),)

    @pytest.mark.parametrize("label", ["iso-8859-1", "nonsense", "utf-16"])
    def test_valid_utf8_wins_over_the_label(self, label: str) -> None:
        text = (
            f'<?xml version="1.0" encoding="{label}"?><opml><body>'
            f'<outline text="Édition" xmlUrl="{A}"/></body></opml>'
        )
        assert opml.read(text.encode()).feeds == (Declared(A, "Édition"),)

    def test_neither_utf8_nor_labelled(self) -> None:
        text = f'<opml><body><outline text="Édition" xmlUrl="{A}"/></body></opml>'
        assert opml.read(text.encode("latin-1")).feeds == (Declared(A, "Édition"),)

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("a &amp; b &lt;c&gt; &quot;", 'a & b <c> "'),
            ("caf&eacute;&nbsp;&#233; &#xe9;", "café é é"),
            ("a & b &c &nonsense; &;", "a & b &c &nonsense; &;"),
            ("a\x00b\x0b\ufffe", "ab"),
        ],
    )
    def test_references_and_what_xml_has_none_for(self, written: str, meant: str) -> None:
        assert feeds(f'<outline text="{written}" xmlUrl="{A}"/>') == (Declared(A, meant),)

    def test_a_bare_ampersand_in_a_url(self) -> None:
        assert feeds(f'<outline xmlUrl="{A}?a=1&b=2&amp;c=3"/>') == (Declared(f"{A}?a=1&b=2&c=3"),)

    def test_what_breaks_off_is_read_so_far(self) -> None:
        read = opml.read(f'<opml><body>\n<outline xmlUrl="{A}"/>\n<outline xmlUr'.encode())
        assert read.feeds == (Declared(A),)
        (problem,) = read.problems
        assert problem.startswith("line 3: not well-formed: ")

    def test_a_hundred_thousand_feeds(self) -> None:
        outlines = "".join(
            f'<outline type="rss" text="Feed {n}" xmlUrl="https://example.org/{n}"/>\n'
            for n in range(100_000)
        )
        listed = feeds(outlines)
        assert len(listed) == 100_000
        assert listed[-1] == Declared("https://example.org/99999", "Feed 99999")


class TestProblems:
    def test_each_is_told_with_its_line_and_the_others_are_read(self) -> None:
        read = opml.read(
            b'\n<?xml version="1.0"?><!DOCTYPE\nopml><opml><body>\n'
            b'<outline text="one" xmlUrl="example.org/feed"/>\n'
            b'<outline text="two" xmlUrl="ftp://user:sesame@example.org/"/>\n'
            b'<outline text="three" type="rss"/>\n<outline text="four" xmlUrl=""/>\n'
            b'<outline xmlUrl="' + A.encode() + b'"/>\n</body></opml>'
        )
        assert read.feeds == (Declared(A),)
        assert read.problems == (
            "line 4: 'example.org/feed' is no URL of the form https://host/path",
            "line 5: 'ftp://example.org/' is no URL of the form https://host/path",
            "line 6: 'three' has no URL",
            "line 7: 'four' has no URL",
        )

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "no OPML"),
            (b"  \n", "no OPML"),
            (b"\x00\x01\xff\xfe", "no OPML"),
            (b"https://example.org/feed\n", "no OPML"),
            (b"<!doctype html><html><body><p>news</html>", "an HTML page, not an OPML"),
            (b"<HTML><outline xmlUrl='https://example.org/'/></HTML>", "an HTML page"),
            (b"<rss version='2.0'><channel/></rss>", "a feed, not an OPML"),
            (b"<feed xmlns='http://www.w3.org/2005/Atom'/>", "a feed, not an OPML"),
            (b"<playlist><outline xmlUrl='https://example.org/'/></playlist>", "is <playlist>"),
        ],
    )
    def test_what_is_no_list(self, body: bytes, message: str) -> None:
        with pytest.raises(KabarError, match=message):
            opml.read(body)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    @pytest.mark.parametrize(
        "declared",
        [
            '<!ENTITY a "ha">' + "".join(f'<!ENTITY {c} "{f"&{b};" * 10}">' for b, c in
                                         zip("abcdefgh", "bcdefghi", strict=True)),
            '<!ENTITY i SYSTEM "file:///etc/passwd">',
            '<!ENTITY % i SYSTEM "http://127.0.0.1:9/evil.dtd"> %i;',
        ],
    )  # fmt: skip
    def test_entities_of_its_own(self, declared: str, encoding: str) -> None:
        text = (
            f'<?xml version="1.0"?><!DOCTYPE opml [{declared}]><opml><body>'
            f'<outline text="&i;" xmlUrl="{A}"/></body></opml>'
        )
        with pytest.raises(KabarError, match="declares entities of its own"):
            opml.read(text.encode(encoding))

    def test_no_file_and_no_site_is_asked(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """An external subset and an inclusion are left where they are."""
        secret = tmp_path_factory.mktemp("secret") / "text"
        secret.write_text('<outline xmlUrl="https://example.org/secret"/>')
        listed = (
            f'<opml xmlns:xi="http://www.w3.org/2001/XInclude"><body><xi:include href="{secret}"/>'
            f'<outline xmlUrl="{A}"/></body></opml>'
        )
        assert opml.read(listed.encode()).feeds == (Declared(A),)


class TestWrite:
    def test_a_document_that_is_valid(self) -> None:
        written = opml.write(
            [
                Subscription(A, 'Bed & "B<reakfast>"', "https://example.org/", ("x/y", "z")),
                Subscription(B),
            ],
            NOON,
        )
        assert written.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
        root = etree.fromstring(written)
        assert (root.tag, root.get("version")) == ("opml", "2.0")
        assert [child.tag for child in root] == ["head", "body"]
        assert parsedate_to_datetime(root.findtext("head/dateCreated")) == NOON
        assert [outline.get("text") for outline in root.iter("outline")] == [
            "x", "y", 'Bed & "B<reakfast>"', "z", 'Bed & "B<reakfast>"', B,
        ]  # fmt: skip
        assert {outline.get("text") for outline in root.find("body/outline")} == {"y"}
        feed = root.find("body/outline/outline/outline")
        assert dict(feed.attrib) == {
            "type": "rss", "text": 'Bed & "B<reakfast>"', "title": 'Bed & "B<reakfast>"',
            "xmlUrl": A, "htmlUrl": "https://example.org/",
        }  # fmt: skip

    def test_none(self) -> None:
        assert opml.read(opml.write([], NOON)) == opml.Opml((), ())

    def test_what_xml_cannot_hold(self) -> None:
        written = opml.write([Subscription(f"{A}?\x01", "a\x00b\ud800", tags=("c",))], NOON)
        assert opml.read(written).feeds == (Declared(f"{A}?%01", "ab", tags=("c",)),)


PRINTABLE = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co"))
NAMES = (
    st.text(PRINTABLE, min_size=1, max_size=20)
    .map(lambda text: " ".join(text.split()))
    .filter(lambda text: text not in {"", A})
)
TAGS = st.lists(NAMES.filter(lambda name: name.strip("/ ")), max_size=4).map(clean_tags)
URLS = st.integers(0, 30).map(lambda number: f"https://example.org/feed?a={number}&amp;b=<\">'")
SUBSCRIPTIONS = st.builds(Subscription, URLS, st.none() | NAMES, st.none(), TAGS)


@settings(max_examples=50)
@given(st.lists(SUBSCRIPTIONS, max_size=20, unique_by=lambda subscription: subscription.url))
def test_an_exported_list_comes_back_as_it_was(listed: list[Subscription]) -> None:
    read = opml.read(opml.write(listed, NOON))
    assert read.problems == ()
    back = {feed.url: (feed.title, frozenset(feed.tags)) for feed in read.feeds}
    assert back == {feed.url: (feed.title, frozenset(feed.tags)) for feed in listed}


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_comes_is_a_list_or_an_error(body: bytes) -> None:
    for document in (body, b"<opml>" + body, b"<opml><outline " + body + b"/></opml>"):
        with suppress(KabarError):
            opml.read(document)
