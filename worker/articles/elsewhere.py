"""Pages that only lead to the article: meta refreshes, AMP twins, the wrappers of aggregators."""

import re
from html import unescape
from urllib.parse import SplitResult, urljoin, urlsplit

from worker.articles.blocked import without_scripts
from worker.articles.page import Page

_HEAD = 200_000  # bytes of a page that are looked at
_LONGEST_WAIT = 10  # seconds until a refresh; pages that renew themselves wait for longer
_LITTLE = 600  # bytes of words; a page with more is no mere wrapper
_TINY = 4_000  # bytes; a larger one that scripts are to fill moves on at a click
_LONGEST_URL = 2_000

_META = re.compile(rb"<meta\b([^<>]{1,3000})>", re.IGNORECASE)
_LINK = re.compile(rb"<link\b([^<>]{1,3000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    rb"""([a-z:-]{1,30})\s{0,9}=\s{0,9}(?:"([^"]{0,2500})"|'([^']{0,2500})'|([^\s"'<>]{1,2500}))""",
    re.IGNORECASE,
)
_REFRESH = re.compile(
    r"""\s*(\d{1,4})(?:\.\d*)?\s*[;,]\s*(?:url\s*=\s*)?["']?\s*((?!url\s*=)[^"'\s]+)""",
    re.IGNORECASE,
)
_AMP = re.compile(
    rb"<html\b(?:[^<>]{0,500}\s)?(?:amp|amp4ads|\xe2\x9a\xa1)(?:[\s=>])", re.IGNORECASE
)
_MOVES = re.compile(
    rb"""\blocation(?:\.href)?(?:\.(?:replace|assign)\(|\s{0,5}=)\s{0,5}["'](https?:[^"'<>\s]{5,2000})["']"""
)
_TAG = re.compile(rb"<[^<>]{0,4000}>")


def elsewhere(page: Page) -> str | None:
    """Where the article stands that `page` only leads to; None when it stands there itself.

    A meta refresh of a page, the canonical of an AMP page on its own site; and of a page of next to
    no words whatever leads to another one: its canonical, a script, a refresh for want of scripts.
    """
    head = page.body[:_HEAD]
    url = _refresh(_without_noscript(head), page.url) or _canonical(head, page.url)
    if url is None and len(page.body) <= _TINY and _is_wrapper(head):
        url = _refresh(head, page.url) or _script(head, page.url)
        url = url if url and _site(urlsplit(url)) != _site(urlsplit(page.url)) else None
    return url if url and url != page.url else None


def _script(head: bytes, base: str) -> str | None:
    """`location.replace("https:\\/\\/news.example\\/a")`"""
    found = _MOVES.search(head)
    url = found[1].decode("utf-8", "replace").replace("\\/", "/") if found else ""
    return _absolute(url, base)


def _refresh(head: bytes, base: str) -> str | None:
    for meta in _META.findall(head):
        attributes = _attributes(meta)
        if attributes.get("http-equiv", "").lower() != "refresh":
            continue
        found = _REFRESH.match(attributes.get("content", ""))
        if found and int(found[1]) <= _LONGEST_WAIT:
            return _absolute(found[2], base)
    return None


def _canonical(head: bytes, base: str) -> str | None:
    declared = next(
        (
            attributes.get("href", "")
            for attributes in map(_attributes, _LINK.findall(head))
            if attributes.get("rel", "").lower() == "canonical"
        ),
        "",
    )
    url = _absolute(declared, base)
    if url is None or urlsplit(url).path in {"", "/"}:
        return None
    on_its_site = _site(urlsplit(url)) == _site(urlsplit(base))
    if _AMP.search(head):
        return url if on_its_site else None
    return url if not on_its_site and _is_wrapper(head) else None


def _is_wrapper(head: bytes) -> bool:
    words = _TAG.sub(b" ", without_scripts(head))
    return len(head) < _HEAD and len(b" ".join(words.split())) < _LITTLE


def _without_noscript(head: bytes) -> bytes:
    """What stands in `noscript` is for browsers without scripts: "go to the other site"."""
    kept, position, lower = [], 0, head.lower()
    while (begin := lower.find(b"<noscript", position)) >= 0:
        kept.append(head[position:begin])
        position = lower.find(b"</noscript", begin)
        if position < 0:
            return b"".join(kept)
    return b"".join([*kept, head[position:]])


def _attributes(tag: bytes) -> dict[str, str]:
    return {
        name.decode().lower(): unescape((double or single or bare).decode("utf-8", "replace"))
        for name, double, single, bare in _ATTRIBUTE.findall(tag)
    }


def _absolute(href: str, base: str) -> str | None:
    try:
        url = urljoin(base, href.strip())
        parts = urlsplit(url)
    except ValueError:
        return None
    if not href or parts.scheme not in {"http", "https"} or len(url) > _LONGEST_URL:
        return None
    return parts._replace(fragment="").geturl()


def _site(url: SplitResult) -> str:
    """The host without what marks a variant of the same site."""
    return re.sub(r"^(?:(?:www|m|mobile|amp)\.)+(?=[^.]+\.)", "", url.netloc.lower())
