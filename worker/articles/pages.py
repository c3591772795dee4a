"""Articles over several pages: find what else belongs to one, and gather it.

Only what stands at the article's own address counts, with a paging mark added to it: whatever a
page calls "next", the next article is none of its parts.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlencode, urljoin, urlsplit

from worker.articles.blocked import without_scripts
from worker.articles.page import Page

if TYPE_CHECKING:
    from lxml.html import HtmlElement

MOST_PARTS = 20

_MOST_BYTES = 20_000_000  # of all parts; then no other is asked for
_WHOLE = 0  # the number of the part that is all of them
_NEW_PROSE = 200  # characters; one page with less than that does not show the whole article
_SAME_PROSE = 0.9  # of an earlier page's: it is that page again
_SHORTEST_PROSE = 60  # characters of a piece of text
_MOST_LINKS = 3_000
_MOST_ANCESTORS = 6
_LONGEST_WORDS = 60  # characters of a link's text
_LONGEST_URL = 2_000

_NUMBER = r"(?P<number>[2-9]|[1-9][0-9]{1,2})"
_ALL = r"(?P<whole>all|semua|full|komplettansicht|single-?page|einzelseite|vollansicht)"
_WORD = r"page|pages|halaman|hal|seite|pagina|página|pag|pg|p|strona|sayfa|laman"
_PARAMETERS = re.compile(
    r"page|halaman|hal|seite|pagina|pag|pg|page_?no|paged|page_?num|strona|sayfa|laman"
)
_WHOLE_PARAMETERS = re.compile(r"show_?all|view_?all|single(?:_?page)?|one_?page|full_?page")
_WHOLE_VALUES = re.compile(r"all|semua|full|komplett|komplettansicht|complete|single")
_BELOW = re.compile(rf"/(?:(?:{_WORD})[-/_]?)?{_NUMBER}/?|/(?:(?:{_WORD})[-/_])?{_ALL}/?")
_BESIDE = re.compile(rf"[-_,](?:(?:{_WORD})[-_]?)?{_NUMBER}")
_EXTENSION = re.compile(r"\.(?:s?html?|php|aspx?|jsp)$")

_ARROWS = r"[\s<>«»‹›→▶►|.…-]{0,10}"
_NEXT = re.compile(
    rf"{_ARROWS}(?:(?:baca )?(?:halaman |laman )?(?:selanjutnya|berikutnya|lanjut(?:kan)?)|"
    r"next(?: page)?|weiter(?:lesen)?|nächste seite|(?:página )?siguiente|(?:page )?suivante?|"
    r"(?:pagina )?successiva|volgende(?: pagina)?|próxima(?: página)?|następna(?: strona)?|"
    r"sonraki(?: sayfa)?|далее|следующая(?: страница)?|التالية?|(?:halaman )?seterusnya|"
    rf"次へ|次の?ページ(?:へ)?|下一页|下一頁|trang sau|अगला)?{_ARROWS}",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\D{0,15}(\d{1,3})(?:\D{1,15}\d{1,3})?\D{0,3}")

# A gallery's pictures, a list's pages and an article's comments are numbered too.
_LISTS = re.compile(
    r"/(?:tags?|topi[ck]s?|kategori|category|categories|indeks|index|search|cari|author|penulis|"
    r"archive|arsip|fotos?|photos?|photogallery|galler(?:y|ies)|galeri|bilder|bildergalerie|"
    r"fotostrecke|slideshow|diaporama|forum|thread)(?=[/.?]|$)|"
    r"/(?:blogs?|news|berita|artikel|articles?|actualites?|noticias|nachrichten)/?$",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"comment|komentar|kommentar|disqus|reply|gallery|galeri|slide|carousel|related|terkait",
    re.IGNORECASE,
)
_HREF = re.compile(rb"""\shref\s{0,9}=\s{0,9}["']?\s{0,9}([^"'<>\s]{1,2000})""", re.IGNORECASE)
_LINK = re.compile(rb"<link\b([^<>]{1,2000})>", re.IGNORECASE)
_TRACKERS = re.compile(
    r"utm_\w+|at_\w+|fbclid|gclid|ref|source|from|cmpid|ocid|xtor", re.IGNORECASE
)
_PROSE = re.compile(rb">([^<>]{%d,})(?=<)" % _SHORTEST_PROSE)


class Following(NamedTuple):
    """What belongs to an article, too: its next part, or all of it on one page (`whole`)."""

    url: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Gathered:
    """The pages of an article in reading order; `missing` says what could not be had of it."""

    pages: tuple[Page, ...]
    missing: str = ""


async def gather(first: Page, ask: Callable[[str], Awaitable[Page | None]]) -> Gathered:
    """The article that begins on `first`: all of it on one page if there is such, else part by
    part, `MOST_PARTS` at most.

    `ask` gives the page at a URL, or None where it cannot be had.
    """
    pages = [first]
    asked: set[str] = set()
    while wanted := await asyncio.to_thread(following, pages, asked):
        if len(pages) == MOST_PARTS or sum(len(page.body) for page in pages) > _MOST_BYTES:
            return Gathered(tuple(pages), f"it has more than {len(pages)} parts")
        asked.add(wanted.url)
        came = await ask(wanted.url)
        if came is not None and await asyncio.to_thread(_brings_more, came, pages, wanted):
            if wanted.whole:
                return Gathered((came,))
            pages.append(came)
        elif not wanted.whole:
            missing = "" if came else f"part {len(pages) + 1} could not be fetched"
            return Gathered(tuple(pages), missing)
    return Gathered(tuple(pages))


def following(pages: Sequence[Page], asked: Collection[str] = ()) -> Following | None:
    """What to fetch after the parts `pages`: None when these are all.

    A page that shows the whole article is asked for before its second part. `asked` are URLs that
    were asked for already, and are not again.
    """
    first, last = pages[0], pages[-1]
    addresses = _addresses(first)
    own = _numbered(urlsplit(first.url), addresses)
    if not addresses or own == _WHOLE:
        return None
    known = {*asked, *(page.url for page in pages)}
    marks = [mark for mark in _marks(last, addresses) if mark.url not in known]
    if len(pages) == 1:
        for mark in marks:
            if mark.number == _WHOLE:
                return Following(mark.url, whole=True)
    for mark in marks:
        if mark.number == (own or 1) + len(pages):
            return Following(mark.url, whole=False)
    return None


class _Mark(NamedTuple):
    number: int  # of the part
    url: str


def _addresses(first: Page) -> tuple[SplitResult, ...]:
    """Where the article stands without any paging mark: what it was fetched from, and what it
    calls its own on the same host; () for what has pages of another kind.
    """
    urls = [first.url, _canonical(first)]
    parts = [_unpaged(urlsplit(url)) for url in urls if url]
    if any(_LISTS.search(part.path) for part in parts):
        return ()
    same = [part for part in parts if _host(part) == _host(parts[0]) and len(part.path) > 1]
    # The shortest first: a page's own URL may be a part's of what it calls canonical.
    return tuple(sorted(dict.fromkeys(same), key=lambda part: len(part.geturl())))


def _canonical(page: Page) -> str:
    for link in _LINK.findall(page.body):
        if b"canonical" in link.lower() and (href := _HREF.search(b" " + link)):
            return _absolute(_text_of(href[1]), page.url)
    return ""


def _unpaged(url: SplitResult) -> SplitResult:
    """`url` without the parameter that asks for the first page, or for all."""
    pairs = parse_qsl(url.query, keep_blank_values=True)
    kept = [(n, v) for n, v in pairs if v != "1" and _by_parameter(n, v) != _WHOLE]
    return url if kept == pairs else url._replace(query=urlencode(kept))


def _marks(page: Page, addresses: Sequence[SplitResult]) -> list[_Mark]:
    """The links of `page` to parts of the article at `addresses`, in the page's order."""
    hrefs = {_absolute(_text_of(href), page.url) for href in _HREF.findall(page.body)}
    if all(_numbered(urlsplit(url), addresses) is None for url in hrefs):
        return []  # most pages: they need not be parsed
    found: list[_Mark] = []
    for link in islice(_parse(page).iter("a", "link"), _MOST_LINKS):
        url = _absolute(link.get("href") or "", page.url)
        number = _numbered(urlsplit(url), addresses) if url else None
        if number is not None and (number == _WHOLE or _is_pager(link, number)):
            found.append(_Mark(number, url))
    return found


def _numbered(url: SplitResult, addresses: Sequence[SplitResult]) -> int | None:
    """Which part of the article at `addresses` is at `url`; `_WHOLE` for all of it on one page."""
    for address in addresses:
        if _host(url) == _host(address) and (number := _number(url, address)) is not None:
            return number
    return None


def _number(url: SplitResult, address: SplitResult) -> int | None:
    path, own = url.path.rstrip("/"), address.path.rstrip("/")
    given = parse_qsl(url.query, keep_blank_values=True)
    asked = parse_qsl(address.query, keep_blank_values=True)
    added = [pair for pair in given if pair not in asked]
    if any(pair not in given and not _TRACKERS.fullmatch(pair[0]) for pair in asked):
        return None
    if path == own:
        return _by_parameter(*added[0]) if len(added) == 1 else None
    return None if added else _by_path(path, own)


def _by_parameter(name: str, value: str) -> int | None:
    name, value = name.lower(), value.lower()
    if _WHOLE_PARAMETERS.fullmatch(name):
        return None if value in {"0", "false", "no"} else _WHOLE
    if _WHOLE_VALUES.fullmatch(value):
        return _WHOLE if name == "view" or _PARAMETERS.fullmatch(name) else None
    return int(value) if _PARAMETERS.fullmatch(name) and re.fullmatch(_NUMBER, value) else None


def _by_path(path: str, own: str) -> int | None:
    """`/title/2`, `/title/komplettansicht`, `/title-2.html`."""
    extension = _EXTENSION.search(own)
    stem = own[: extension.start()] if extension else own
    if path.startswith(own) and (found := _BELOW.fullmatch(path, len(own))):
        return _WHOLE if found["whole"] else int(found["number"])
    if not extension or not path.startswith(stem) or not path.endswith(extension[0]):
        return None
    found = _BESIDE.fullmatch(path, len(stem), len(path) - len(extension[0]))
    return int(found["number"]) if found else None


def _is_pager(link: "HtmlElement", number: int) -> bool:
    """Whether a link with the shape of a part's is one: by its relation, its number or its word,
    and where it stands.
    """
    if urlsplit(link.get("href") or "").fragment:
        return False
    around = islice(link.iterancestors(), _MOST_ANCESTORS)
    if any(_OTHERS.search(f"{e.get('class', '')} {e.get('id', '')}") for e in around):
        return False
    if "next" in (link.get("rel") or "").lower().split():
        return True
    if link.tag == "link":
        return False
    text = " ".join(link.text_content().split())[:_LONGEST_WORDS]
    text = text or link.get("title", "") or link.get("aria-label", "")
    digits = _DIGITS.fullmatch(text)
    return int(digits[1]) == number if digits else bool(text and _NEXT.fullmatch(text))


def _brings_more(came: Page, pages: Sequence[Page], wanted: Following) -> bool:
    """Whether a page has what is not on `pages`; a part that holds one of them is that one again,
    with other comments or teasers.
    """
    proses = [_prose(page) for page in pages]
    seen = set().union(*proses)
    now = _prose(came)
    if sum(map(len, now - seen)) < (_NEW_PROSE if wanted.whole else _SHORTEST_PROSE):
        return False
    return wanted.whole or not any(_share(prose, now) > _SAME_PROSE for prose in proses)


def _share(prose: set[bytes], other: set[bytes]) -> float:
    size = sum(map(len, prose))
    return sum(map(len, prose & other)) / size if size else 0.0


def _prose(page: Page) -> set[bytes]:
    return {b" ".join(text.split()) for text in _PROSE.findall(without_scripts(page.body))}


def _parse(page: Page) -> "HtmlElement":
    import lxml.html
    from lxml.etree import ParserError

    parser = lxml.html.HTMLParser(encoding="utf-8")  # URLs and numbers are ASCII
    try:
        return lxml.html.document_fromstring(page.body, parser=parser)
    except (ParserError, ValueError):
        return lxml.html.Element("html")


def _absolute(href: str, base: str) -> str:
    """`href` as an absolute URL without a fragment; empty for what leads nowhere."""
    try:
        url = urljoin(base, href.strip())
        parts = urlsplit(url)
    except ValueError:
        return ""
    is_page = parts.scheme in {"http", "https"} and len(url) <= _LONGEST_URL
    return parts._replace(fragment="").geturl() if is_page else ""


def _text_of(href: bytes) -> str:
    return href.decode("utf-8", "replace").replace("&amp;", "&").replace("&#38;", "&")


def _host(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2].lower().removeprefix("www.")
