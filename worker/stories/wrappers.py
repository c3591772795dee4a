"""What aggregators and networks hand out in place of a link, where that holds the link itself.

Nobody is asked: a wrapper that only its owner can read (t.co, Google News' links since 2024) stays
as it is, and leads on when it is fetched, or not.
"""

import base64
import re
from collections.abc import Callable
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_WRAPS = 3  # one in another, at most
_WEB = ("http://", "https://")

# Host (all of it), path ("" for any), and which parameters may name the URL.
_BY_PARAMETER = (
    (re.compile(r"(?:www\.|news\.)?google\.[a-z.]{2,6}"), "/url", ("url", "q")),
    (re.compile(r"news\.google\.com"), "/news/url", ("url",)),
    (re.compile(r"(?:www\.)?bing\.com"), "/news/apiclick.aspx", ("url",)),
    (re.compile(r"lm?\.(?:facebook|instagram|messenger)\.com"), "", ("u",)),
    (re.compile(r"out\.reddit\.com"), "", ("url",)),
    (re.compile(r"(?:www\.)?youtube\.com"), "/redirect", ("q",)),
    (re.compile(r"(?:www\.)?linkedin\.com"), "/redir/redirect", ("url",)),
    (re.compile(r"getpocket\.com"), "/redirect", ("url",)),
    (re.compile(r"t\.umblr\.com"), "/redirect", ("z",)),
    (re.compile(r"flipboard\.com"), "/redirect", ("url",)),
    (re.compile(r"away\.vk\.com|vk\.com"), "/away.php", ("to",)),
    (re.compile(r"(?:www\.)?inoreader\.com"), "/redirect", ("url",)),
    (re.compile(r"(?:www\.)?duckduckgo\.com"), "/l", ("uddg",)),
    (re.compile(r"[a-z0-9-]+\.safelinks\.protection\.outlook\.com"), "", ("url",)),
)


def unwrapped(url: str) -> str:
    """The URL that an aggregator's link holds; any other as it is."""
    for _ in range(_WRAPS):
        inner = _wrapped(url)
        if inner is None:
            break
        url = inner
    return url


def _wrapped(url: str) -> str | None:
    try:
        parts = urlsplit(url.strip().replace("&amp;", "&"))
        host = (parts.hostname or "").lower()
    except ValueError:
        return None
    for wrapper, path, names in _BY_PARAMETER:
        if wrapper.fullmatch(host) and (not path or parts.path.rstrip("/") == path):
            named = dict(reversed(parse_qsl(parts.query)))
            found = (named[name] for name in names if name in named)
            return next((one for one in found if one.startswith(_WEB)), None)
    for wrapper, read in _BY_READING:
        if wrapper.fullmatch(host) and (inner := read(parts)):
            return inner if inner.startswith(_WEB) and inner.isprintable() else None
    return None


_NEWS = re.compile(r"(?:/\w+){0,4}/(?:articles|read)/([\w-]{20,2000}=*)", re.ASCII)
_NEWS_START = b'\x08\x13"'  # a protocol buffer: field 1 is 19, field 4 the URL, its length first


def _google_news(parts: SplitResult) -> str:
    """Of the kind that was handed out until 2024: later ones hold a number of Google's."""
    found = _NEWS.fullmatch(parts.path)
    content = _base64(found[1]) if found else b""
    if not content.startswith(_NEWS_START):
        return ""
    at = len(_NEWS_START)
    size, at = content[at], at + 1
    if size >= 0x80 and len(content) > at:  # a varint of two bytes
        size, at = (size & 0x7F) | content[at] << 7, at + 1
    return content[at : at + size].decode("ascii", "replace") if at + size <= len(content) else ""


def _bing(parts: SplitResult) -> str:
    """`/ck/a?…&u=a1aHR0cHM6…`"""
    given = dict(parse_qsl(parts.query)).get("u", "")
    is_link = parts.path == "/ck/a" and given.startswith("a1")
    return _base64(given[2:]).decode("ascii", "replace") if is_link else ""


_YAHOO = re.compile(r"/RU=([^/]{8,2000})/")


def _yahoo(parts: SplitResult) -> str:
    found = _YAHOO.search(parts.path)
    return unquote(found[1]) if found else ""


_AMP = re.compile(r"/(?:amp|[cv])/(?P<secure>s/)?(?P<address>[^/]+\.[^/]+/.+)")


def _amp(parts: SplitResult) -> str:
    """`/amp/s/news.example/a`, in Google's cache `/c/s/news.example/a`."""
    found = _AMP.fullmatch(parts.path)
    if not found:
        return ""
    query = f"?{parts.query}" if parts.query else ""
    return f"http{'s' if found['secure'] else ''}://{found['address']}{query}"


def _base64(text: str) -> bytes:
    bare = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except ValueError:
        return b""


_BY_READING: tuple[tuple[re.Pattern[str], Callable[[SplitResult], str]], ...] = (
    (re.compile(r"news\.google\.com"), _google_news),
    (re.compile(r"(?:www\.)?bing\.com"), _bing),
    (re.compile(r"r\.search\.yahoo\.com"), _yahoo),
    (re.compile(r"(?:www\.)?google\.[a-z.]{2,6}|(?:[a-z0-9-]+\.)?cdn\.ampproject\.org"), _amp),
)
