"""Parsed pages for the tests of what is read off them."""

from datetime import datetime, tzinfo

from lxml import html

from worker.articles import metadata
from worker.articles.metadata import Metadata

URL = "https://www.lembahraya.example/berita/jembatan-lama-123"


def tree(raw: str) -> html.HtmlElement:
    return html.document_fromstring(
        raw.encode("utf-8", "replace"), parser=html.HTMLParser(encoding="utf-8")
    )


def page(body: str = "", head: str = "", language: str = "id") -> str:
    return f'<html lang="{language}"><head>{head}</head><body>{body}</body></html>'


def read(
    body: str = "",
    head: str = "",
    *,
    url: str = URL,
    language: str = "id",
    zone: tzinfo | None = None,
    now: datetime | None = None,
) -> Metadata:
    raw = page(body, head, language)
    return metadata.read(tree(raw), raw, url, zone=zone, now=now)


def ld(json: str) -> str:
    return f'<script type="application/ld+json">{json}</script>'


def meta(name: str, content: str) -> str:
    return f'<meta name="{name}" content="{content}">'
