"""Article pages as two kinds of sites serve them: a regional news site with all its furniture
(`data/regional.html`), and a plain one with JSON-LD (`data/plain.html`).
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache, lru_cache
from html import escape
from importlib import resources
from itertools import count, islice
from string import Template

from worker.demo.article import Article

WIB = timezone(timedelta(hours=7), "WIB")

_MONTHS = (
    *("Januari", "Februari", "Maret", "April", "Mei", "Juni"),
    *("Juli", "Agustus", "September", "Oktober", "November", "Desember"),
)
_TEMPLATES = {"id": "regional.html", "en": "plain.html"}
_PROMOTED_AFTER = (2, 5)  # paragraphs behind which a regional site puts a "Baca Juga" line
_IN_A_BOX = 5
_STEP = 512


@dataclass(frozen=True)
class Link:
    """A headline of another article, for the boxes and promotion lines of a page."""

    title: str
    url: str


def render(
    article: Article,
    *,
    site: str,
    url: str,
    promoted: Sequence[Link] = (),
    related: Sequence[Link] = (),
    weight_bytes: int = 0,
) -> str:
    """The page of `article` on `site` as HTML, with `url` as its canonical URL.

    `promoted` are the "Baca Juga" lines of a regional page, `related` fills the boxes, newest
    first; where there are too few, headlines without an article stand in. A page lighter than
    `weight_bytes` is filled up to about that with what pages are heavy of: half of it scripts and
    styles, half menus.
    """
    fields = _fields(article, site, url) | _furniture_fields(article, related)
    fields["paragraphs"] = "\n".join(_paragraphs(article, _filled(promoted, article.language)))
    template = _template(article.language)
    page = template.substitute(fields, head_padding="", body_padding="")
    missing = weight_bytes - len(page.encode())
    if missing <= 0:
        return page
    return template.substitute(
        fields, head_padding=_scripts(missing // 2), body_padding=_menus(missing - missing // 2)
    )


def indonesian_date(at: datetime) -> str:
    """A time as Indonesian sites write it: `22 Januari 2022, 16:57 WIB`."""
    local = at.astimezone(WIB)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}, {local:%H:%M} WIB"


def _fields(article: Article, site: str, url: str) -> dict[str, str]:
    at = article.published_at
    texts = {
        "site": site,
        "url": url,
        "title": article.title,
        "summary": article.summary,
        "keywords": ", ".join(article.tags),
        "section": article.section,
        "section_name": article.section.replace("-", " ").title(),
        "author": article.author,
        "author_slug": re.sub(r"\W+", "-", article.author.lower()),
        "editor": article.editor,
        "source": article.source,
        "slug": article.slug,
        "caption": article.caption,
        "credit": article.credit,
        "date": indonesian_date(at) if article.language == "id" else f"{at:%d %B %Y, %H:%M} UTC",
        "published": at.isoformat(),
        "year": str(at.year),
    }
    return {name: escape(text) for name, text in texts.items()} | {
        "json_ld": _json_ld(article, site, url)
    }


def _json_ld(article: Article, site: str, url: str) -> str:
    data = {
        "@context": "https://schema.org",
        "@type": "NewsArticle",
        "headline": article.title,
        "description": article.summary,
        "datePublished": article.published_at.isoformat(),
        "author": [{"@type": "Person", "name": article.author}],
        "publisher": {"@type": "Organization", "name": site},
        "mainEntityOfPage": url,
        "inLanguage": article.language,
    }
    return json.dumps(data, ensure_ascii=False).replace("</", "<\\/")


def _furniture_fields(article: Article, related: Sequence[Link]) -> dict[str, str]:
    sections = _furniture(article.language)["sections"]
    links = list(islice(_filled(related, article.language), 2 * _IN_A_BOX))
    latest, popular = links[:_IN_A_BOX], links[_IN_A_BOX:]
    return {
        "sections": _items((name, f"/{name.lower()}") for name in sections),
        "tags": _items((tag, f"/tag/{tag.lower().replace(' ', '-')}") for tag in article.tags),
        "latest": "\n".join(_teaser(link, article.published_at) for link in latest),
        "popular": _items((link.title, link.url) for link in popular),
    }


def _paragraphs(article: Article, promoted: Iterator[Link]) -> Iterator[str]:
    first, *rest = article.paragraphs
    yield f"<p><strong>{escape(article.dateline)}</strong> - {escape(first)}</p>"
    for number, paragraph in enumerate(rest, start=2):
        yield f"<p>{escape(paragraph)}</p>"
        if article.language == "id" and number in _PROMOTED_AFTER:
            link = next(promoted)
            yield (
                f'<p><strong>Baca Juga: <a href="{escape(link.url)}">{escape(link.title)}</a>'
                "</strong></p>"
            )


def _teaser(link: Link, at: datetime) -> str:
    return (
        f'<div class="latest__item"><h4><a href="{escape(link.url)}">{escape(link.title)}</a></h4>'
        f'<date class="latest__date">{indonesian_date(at)}</date></div>'
    )


def _items(links: Iterable[tuple[str, str]]) -> str:
    return "\n".join(
        f'<li><a href="{escape(url)}">{escape(title)}</a></li>' for title, url in links
    )


def _filled(links: Sequence[Link], language: str) -> Iterator[Link]:
    """`links`, then stand-ins without end."""
    yield from links
    headlines = _furniture(language)["related"]
    for number in count():
        yield Link(headlines[number % len(headlines)], f"/arsip/{number}")


@cache
def _furniture(language: str) -> Mapping[str, Sequence[str]]:
    file = resources.files(__package__).joinpath("data", "furniture.toml")
    furniture: Mapping[str, Sequence[str]] = tomllib.loads(file.read_text("utf-8"))[language]
    return furniture


@cache
def _template(language: str) -> Template:
    file = resources.files(__package__).joinpath("data", _TEMPLATES[language])
    return Template(file.read_text("utf-8"))


def _scripts(size: int) -> str:
    rules = _repeated(".c{0}{{margin:0 {0}px;color:#{0:06x}}}\n", size // 2)
    code = _repeated("window.q=window.q||[];q.push(['slot',{0},'/ads/{0}',true]);\n", size // 2)
    return f"<style>\n{rules}</style>\n<script>\n{code}</script>"


def _menus(size: int) -> str:
    item = '<li class="menu__item menu__item--{0}"><a class="menu__link" href="/m/{0}">Menu</a>\n'
    item += '<ul class="menu__sub"><li><a href="/m/{0}/a">A</a></li></ul></li>\n'
    return f'<nav class="menu" hidden><ul class="menu__list">\n{_repeated(item, size)}</ul></nav>'


def _repeated(line: str, size: int) -> str:
    """About `size` bytes of `line`, each with its own number."""
    return _repeated_to_the_step(line, -(-size // _STEP) * _STEP)


@lru_cache(maxsize=32)  # pages of one weight need a few sizes only
def _repeated_to_the_step(line: str, size: int) -> str:
    numbers = range(1, 1 + size // len(line.format(1000)))
    return "".join(line.format(number) for number in numbers)
