"""URLs as keys: two spellings of one address are one article."""

import hashlib
from urllib.parse import urldefrag

import courlan


def url_key(url: str) -> str:
    """The key (64 hex digits) of `url`: the same whatever its fragment, trackers, default port and
    order of parameters.
    """
    bare = urldefrag(url).url
    return hashlib.sha256(courlan.normalize_url(bare).encode("utf-8", "surrogatepass")).hexdigest()
