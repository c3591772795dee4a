"""Lists of feeds as OPML (http://opml.org/spec2.opml), with folders as tags.

A folder within a folder is one tag, `Asia/Indonesia`, and a feed with several tags stands in each
of their folders: so an exported list comes back as it was.
"""

import codecs
import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from lxml import etree
from w3lib.encoding import resolve_encoding

from worker.errors import KabarError
from worker.feeds.declared import LONGEST_TAG, LONGEST_TITLE, Declared, check_url, clean_tags

MOST_BYTES = 100_000_000  # some 300,000 feeds

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_LABEL = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_DECLARATION = re.compile(r"\A<\?xml[^>]*\?>")
_DOCTYPE = re.compile(r"<!DOCTYPE[^>\[]{0,2000}(\[[^\]]{0,2000}\])?\s*>", re.IGNORECASE)
_ENTITY = re.compile(r"<!ENTITY", re.IGNORECASE)
_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});)(\w+;)?")
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # XML section 2.2
_BLANK = re.compile(r"[\s\x00-\x20\x7f-\x9f]+")
_FEED_SCHEME = re.compile(r"\Afeed:(//)?", re.IGNORECASE)
_FEED_TYPES = frozenset({"rss", "rss1", "atom", "feed"})
_FEED_ROOTS = frozenset({"rss", "feed", "rdf"})


@dataclass(frozen=True, slots=True)
class Opml:
    """A list that was read: its feeds, each URL once, and a line for each that cannot be used."""

    feeds: tuple[Declared, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A feed as a list names it."""

    url: str
    title: str | None = None
    site_url: str | None = None
    tags: tuple[str, ...] = ()


def read(body: bytes) -> Opml:
    """Read an OPML document of any version, as forgiving as it can be done safely.

    Raises `KabarError` when it is none, or one that declares entities of its own.
    """
    text = _decoded(body)
    if _ENTITY.search(text):
        raise KabarError("it declares entities of its own, which no list of feeds needs")
    root, broken = _parsed(text)
    _refuse_others(root)
    feeds: dict[str, Declared] = {}
    problems = []
    for line, outline, folders in _outlines(root):
        try:
            if feed := _feed(outline, folders):
                feeds[feed.url] = _merged(feeds.get(feed.url), feed)
        except KabarError as error:
            problems.append(f"line {line}: {error}")
    return Opml(tuple(feeds.values()), (*problems, *broken))


def web_url(url: str) -> str:
    """`url` with http in place of the scheme `feed`, by which browsers hand feeds to readers."""
    return _FEED_SCHEME.sub(lambda found: "http://" if found[1] else "", url)


def write(subscriptions: Iterable[Subscription], now: datetime) -> bytes:
    """An OPML 2.0 document, UTF-8, with the title and time that its head has."""
    root = etree.Element("opml", version="2.0")
    head = etree.SubElement(root, "head")
    etree.SubElement(head, "title").text = "Feeds"
    etree.SubElement(head, "dateCreated").text = format_datetime(now)
    folders = {"": etree.SubElement(root, "body")}
    for subscription in subscriptions:
        for tag in subscription.tags or ("",):
            etree.SubElement(_folder(folders, tag), "outline", _attributes(subscription))
    document: bytes = etree.tostring(
        root, xml_declaration=True, encoding="UTF-8", pretty_print=True
    )
    return document


def _decoded(body: bytes) -> str:
    """The text: valid UTF-8 wins over the label, as with feeds. Keeps the count of lines."""
    for mark, name in _MARKS.items():
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        label = _LABEL.search(body[:1024])
        encoding = resolve_encoding(label[1].decode()) if label else None
        return body.decode(encoding or "cp1252", "replace")


def _parsed(text: str) -> tuple[Any, list[str]]:
    """The root, and what was wrong where the parser gave up on the rest."""
    start = text.lstrip()
    above = "\n" * text[: len(text) - len(start)].count("\n")
    # Neither is of use: the text is decoded, and no DTD is read. HTML's own stops the parser.
    content = _DOCTYPE.sub(_lines, _DECLARATION.sub(_lines, start), count=1)
    mended = _AMPERSAND.sub(_character, _UNUSABLE.sub("", content))
    parser = etree.XMLParser(
        encoding="utf-8", recover=True, resolve_entities=False, no_network=True, huge_tree=False,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring((above + mended).encode(), parser)
    except etree.XMLSyntaxError as error:
        raise KabarError(f"no OPML: {error.msg}") from None
    if root is None:
        raise KabarError("no OPML: the document is empty")
    errors = [error for error in parser.error_log if error.level >= etree.ErrorLevels.FATAL]
    return root, [f"line {error.line}: not well-formed: {error.message}" for error in errors[:1]]


def _lines(removed: re.Match[str]) -> str:
    return "\n" * removed[0].count("\n")


def _character(reference: re.Match[str]) -> str:
    # HTML's names of characters, and the bare `&` of many a URL: XML knows neither.
    if (name := reference[1]) and (character := html.entities.html5.get(name)):
        return html.escape(character)
    return f"&amp;{name or ''}"


def _refuse_others(root: Any) -> None:
    name = _local(root)
    if name == "opml":
        return
    if name == "html":
        raise KabarError("an HTML page, not an OPML list of feeds")
    if name in _FEED_ROOTS:
        raise KabarError("a feed, not an OPML list of feeds: `kabar feeds add` takes its URL")
    raise KabarError(f"no OPML: its outermost element is <{name}>")


def _outlines(root: Any) -> Iterator[tuple[int, Mapping[str, str], tuple[str, ...]]]:
    """Each outline: its line, its attributes by lower-case name, the names of its folders."""
    folders: list[str] = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if _local(element) != "outline":
            continue
        if event == "end":
            folders.pop()
            continue
        attributes = {name.lower(): value for name, value in element.attrib.items()}
        yield element.sourceline, attributes, tuple(folders)
        folders.append(_name(attributes.get("text")) or _name(attributes.get("title")))


def _local(element: Any) -> str:
    name: str = etree.QName(element).localname
    return name.lower()


def _feed(outline: Mapping[str, str], folders: tuple[str, ...]) -> Declared | None:
    """The feed that an outline stands for; None when it is a folder, or something else."""
    is_feed = outline.get("type", "").strip().lower() in _FEED_TYPES
    url = outline.get("xmlurl") or (outline.get("url") if is_feed else None)
    title = _name(outline.get("text")) or _name(outline.get("title"))
    if url is None:
        if is_feed or "xmlurl" in outline:
            raise KabarError(f"{title!r} has no URL")
        return None
    url = web_url(url.strip())
    check_url(url)
    return Declared(url, None if title == url else title or None, tags=_tags(outline, folders))


def _tags(outline: Mapping[str, str], folders: tuple[str, ...]) -> tuple[str, ...]:
    names = ["/".join(folders), *outline.get("category", "").split(",")]
    named = (_name(name)[:LONGEST_TAG].strip("/ ") for name in names)
    return clean_tags(filter(None, named))


def _merged(known: Declared | None, feed: Declared) -> Declared:
    if known is None:
        return feed
    return replace(
        known, title=known.title or feed.title, tags=clean_tags([*known.tags, *feed.tags])
    )


def _name(text: str | None) -> str:
    return _BLANK.sub(" ", text or "").strip()[:LONGEST_TITLE].strip()


def _folder(folders: dict[str, Any], path: str) -> Any:
    if path not in folders:
        above, _, name = path.rpartition("/")
        folders[path] = etree.SubElement(_folder(folders, above), "outline", text=name)
    return folders[path]


def _attributes(subscription: Subscription) -> dict[str, str]:
    title = subscription.title or subscription.url
    given = {
        "type": "rss",
        "text": title,
        "title": title,
        "xmlUrl": _UNUSABLE.sub(lambda found: quote(found[0], errors="replace"), subscription.url),
        "htmlUrl": subscription.site_url or "",
    }
    return {key: _UNUSABLE.sub("", value) for key, value in given.items() if value}
