"""The broker's address, in the words of whoever is to use it."""

from urllib.parse import parse_qs, urlsplit, urlunsplit


def redis_url(url: str) -> str:
    """Kombu's `redis+socket://…?virtual_host=N` in redis-py's words; other URLs as they are."""
    parts = urlsplit(url)
    if parts.scheme != "redis+socket":
        return url
    database = parse_qs(parts.query).get("virtual_host", ["0"])[0]
    return urlunsplit(parts._replace(scheme="unix", query=f"db={database}"))


def masked(url: str) -> str:
    """`url` without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))
