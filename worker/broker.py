"""The broker's address, in the words of whoever is to use it."""

import re
from urllib.parse import parse_qs, urlsplit

KEY_PREFIX = "kabar:"  # of all our keys, on a server that others may use too

# Up to the last `@`: a password that ought to have been percent-encoded is hidden whole.
_PASSWORD = re.compile(r"(?<=//)([^/?#@:]*):.*@", re.DOTALL)
_PARAMETER = re.compile(r"([?&]\w*password=)[^&#]*", re.IGNORECASE)


def redis_url(url: str) -> str:
    """Kombu's `redis+socket://…?virtual_host=N` in redis-py's words; other URLs as they are."""
    parts = urlsplit(url)
    if parts.scheme != "redis+socket":
        return url
    database = parse_qs(parts.query).get("virtual_host", ["0"])[0]
    # Not by urlunsplit: it leaves `//` out where no user is named, and redis-py insists on it.
    return f"unix://{parts.netloc}{parts.path}?db={database}"


def masked(url: str) -> str:
    """`url` (or what was meant to be one) without its password."""
    return _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))
