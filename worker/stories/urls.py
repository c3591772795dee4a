"""URLs as keys: the spellings of one address are one article.

Only the key is normalised, never the URL that is fetched. Parameters are dropped by an exact list:
`id`, `p` or `source` name the article on some sites, and a rule that drops them makes a whole site
one article.
"""

import hashlib
import re
from urllib.parse import urlsplit

from w3lib.url import canonicalize_url

from worker.stories.wrappers import unwrapped

_HOST_PREFIX = re.compile(r"^(?:www|m|mobile|amp)\.(?=[^.]+\.)")
_PATH_NOISE = re.compile(
    r"(?:/amp|\.amp(?=\.html$|$)|;jsessionid=[^/?]*)(?=/?$|\.html$)", re.IGNORECASE
)
_SLASHES = re.compile(r"/{2,}")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

_TRACKER_PREFIXES = ("utm_", "at_", "ns_", "mtm_", "pk_", "_hs", "guce_")
_TRACKERS = frozenset(
    {
        "fbclid", "gclid", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "igshid", "mc_cid",
        "mc_eid", "cmp", "cmpid", "ocid", "xtor", "ftag", "traffic_source", "ref_src", "smid",
        "spm", "phpsessid", "__twitter_impression", "usqp", "amp_js_v", "amp_gsa",
    }
)  # fmt: skip
_TRACKING_VALUES = frozenset(
    {("track", "rss"), ("source", "rss"), ("ref", "rss"), ("ref", "home"), ("output", "amp")}
)


def url_key(url: str) -> str:
    """The key (64 hex digits) of `url`: the same whatever its scheme, fragment, trackers, default
    port, order of parameters, mobile or AMP variant, and whoever wraps it.
    """
    return hashlib.sha256(_normal(unwrapped(url)).encode("utf-8", "surrogatepass")).hexdigest()


def same_site(url: str, other: str) -> bool:
    """Whether both URLs are on one host, its `www.` and mobile variants included."""
    host = _host(url)
    return host is not None and host == _host(other)


def is_home(url: str) -> bool:
    """Whether `url` is a site's front page, which is no article's address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.path in {"", "/"} and not parts.query


def _normal(url: str) -> str:
    try:
        # Only this one entity: by HTML's rules for the others, `&copy=1` holds one as well.
        parts = urlsplit(canonicalize_url(url.strip().replace("&amp;", "&")))
        host = _bare(parts.scheme, parts.netloc)
    except ValueError:  # such as a broken IPv6 literal: its own key
        return url
    path = _SLASHES.sub("/", _PATH_NOISE.sub("", parts.path)).rstrip("/")
    query = "&".join(pair for pair in parts.query.split("&") if pair and not _is_tracker(pair))
    return f"{host}{path}?{query}" if query else f"{host}{path}"


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return _bare(parts.scheme, parts.netloc) or None


def _bare(scheme: str, netloc: str) -> str:
    host = netloc.rpartition("@")[2].lower().removesuffix(_DEFAULT_PORTS.get(scheme, ":"))
    return _HOST_PREFIX.sub("", host)


def _is_tracker(pair: str) -> bool:
    name, _, value = pair.lower().partition("=")
    return (
        name in _TRACKERS or name.startswith(_TRACKER_PREFIXES) or (name, value) in _TRACKING_VALUES
    )
