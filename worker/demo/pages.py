"""Article pages as three kinds of sites serve them, each with the furniture of its kind: two sorts
of Indonesian regional sites, the one without JSON-LD and the other with, and an English local one.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from html import escape
from importlib import resources
from itertools import count, islice
from string import Template
from typing import Any
from urllib.parse import urljoin

from worker.demo.article import Article

WIB = timezone(timedelta(hours=7), "WIB")

_PROMOTED_AFTER = (2, 5)  # paragraphs of a part behind which another article is promoted
_IN_A_BOX = 5
_BETWEEN_TEASERS = timedelta(minutes=17)  # where a headline has no time of its own
_STEP = 512
_MENU_ITEM = """\
<li id="menu-item-7{0}" class="menu__item menu__item--{0} menu__item--has-children" \
data-position="{0}"><a class="menu__link menu__link--level-1" data-track="menu|rubrik|{0}" \
href="/rubrik/{0}?utm_source=menu&amp;utm_medium=top&amp;utm_campaign=navigasi">Rubrik {0}</a>
<ul class="menu__sub" aria-label="Rubrik {0}"><li class="menu__item menu__item--level-2">\
<a class="menu__link menu__link--level-2" href="/rubrik/{0}/indeks?page=1" \
data-track="menu|indeks|{0}">Indeks</a></li></ul></li>
"""
_TEASER = """\
<div class="teaser teaser--horizontal teaser--{0}" data-component="teaser" data-position="{0}" \
data-id="7{0:06}" data-track="teaser|foto|{0}">
<div class="teaser__media"><a class="teaser__link" aria-hidden="true" tabindex="-1" \
href="/foto/{0}?utm_source=teaser&amp;utm_medium=gambar"><img class="teaser__image" \
src="/media/7{0:06}/320x180.jpg?q=75" srcset="/media/7{0:06}/320x180.jpg?q=75 320w, \
/media/7{0:06}/480x270.jpg?q=75 480w, /media/7{0:06}/640x360.jpg?q=75 640w, \
/media/7{0:06}/960x540.jpg?q=75 960w" sizes="(max-width: 640px) 50vw, 320px" width="320" \
height="180" loading="lazy" decoding="async" style="aspect-ratio:16/9" alt=""></a></div>
<div class="teaser__body"><span class="teaser__kicker">Foto</span> <a class="teaser__title" \
href="/foto/{0}?utm_source=teaser&amp;utm_medium=judul">Foto {0}</a> \
<span class="teaser__date" data-time="16427{0:05}">{0} menit lalu</span></div>
</div>
"""


@dataclass(frozen=True)
class Layout:
    """What a kind of site looks like: the template `data/{name}.html`, and what it does to texts.

    `date` is a format of `day`, `month`, `year`, `weekday` and `clock` in `zone`.
    """

    name: str
    zone: tzinfo
    date: str
    dateline: str
    promotion: str
    ending: str = ""


REGIONAL = Layout(
    name="regional",
    zone=WIB,
    date="{day} {month} {year}, {clock} WIB",
    dateline="<strong>{place}</strong> - ",
    promotion='<p><strong>Baca Juga: <a href="{url}">{title}</a></strong></p>',
    ending="<p><strong>***</strong></p>",
)
PORTAL = Layout(
    name="portal",
    zone=WIB,
    date="{weekday}, {day} {month} {year} | {clock} WIB",
    dateline="<strong>{site}, {place} -</strong> ",
    promotion='<p class="baca">Baca Juga: <a href="{url}"><strong>{title}</strong></a></p>',
    ending="<p>***</p>",
)
BROADSHEET = Layout(
    name="broadsheet",
    zone=UTC,
    date="{day} {month} {year}, {clock} GMT",
    dateline="<b>{place}</b> - ",
    promotion='<p class="more"><b>Read also:</b> <a href="{url}">{title}</a></p>',
)

_USUAL = {"id": REGIONAL, "en": BROADSHEET}


@dataclass(frozen=True)
class Link:
    """A headline of another article, for the boxes and promotion lines of a page."""

    title: str
    url: str
    at: datetime | None = None


def render(
    article: Article,
    *,
    site: str,
    url: str,
    promoted: Sequence[Link] = (),
    related: Sequence[Link] = (),
    weight_bytes: int = 0,
    layout: Layout | None = None,
    part: int = 1,
) -> str:
    """Page `part` (1 to `article.parts`) of `article` on `site` as HTML, with its canonical `url`.

    `promoted` are the lines between paragraphs ("Baca Juga"), `related` fills the boxes, newest
    first; where there are too few, headlines without an article stand in. A page lighter than
    `weight_bytes` is filled up to about that with what pages are heavy of: two fifths scripts and
    styles, the rest menus and teasers, so that it has some six elements a kilobyte (as do news
    pages of 100 to 250 KB). Without a `layout` it is the usual one of the article's language.
    """
    layout = layout or _USUAL[article.language]
    fields = _fields(article, site, url, layout)
    fields |= _furniture_fields(article, related, layout) | _part_fields(article, url, part)
    fields["paragraphs"] = "\n".join(_paragraphs(article, site, promoted, layout, part))
    template = _template(layout.name)
    page = template.substitute(fields, head_padding="", body_padding="")
    missing = weight_bytes - len(page.encode())
    if missing <= 0:
        return page
    scripts = missing * 2 // 5
    return template.substitute(
        fields, head_padding=_scripts(scripts), body_padding=_boxes(missing - scripts)
    )


def date(at: datetime, layout: Layout, language: str) -> str:
    """A time as the sites of a layout write it, such as `22 Januari 2022, 16:57 WIB`."""
    local = at.astimezone(layout.zone)
    furniture = _furniture(language)
    return layout.date.format(
        day=local.day,
        month=furniture["months"][local.month - 1],
        year=local.year,
        weekday=furniture["weekdays"][local.weekday()],
        clock=f"{local:%H:%M}",
    )


def part_url(url: str, part: int) -> str:
    """Where page `part` of the article at `url` is."""
    return url if part == 1 else f"{url}?page={part}"


def _fields(article: Article, site: str, url: str, layout: Layout) -> dict[str, str]:
    at = article.published_at.astimezone(layout.zone)
    section = article.section.replace("-", " ").title()
    texts = {
        "site": site,
        "url": url,
        "title": article.title,
        "summary": article.summary,
        "keywords": ", ".join(article.tags),
        "section": article.section,
        "section_name": section,
        "author": article.author,
        "author_slug": re.sub(r"\W+", "-", article.author.lower()),
        "editor": article.editor,
        "source": article.source,
        "slug": article.slug,
        "caption": article.caption,
        "credit": article.credit,
        "date": date(at, layout, article.language),
        "published": at.isoformat(timespec="seconds"),
        "year": str(at.year),
    }
    return {name: escape(text) for name, text in texts.items()} | {
        "json_ld": _json_ld(_news_article(article, site, url, at)),
        "breadcrumbs_json_ld": _json_ld(_breadcrumbs(article, url, section)),
    }


def _news_article(article: Article, site: str, url: str, at: datetime) -> dict[str, Any]:
    return {
        "@type": "NewsArticle",
        "headline": article.title,
        "description": article.summary,
        "datePublished": at.isoformat(timespec="seconds"),
        "author": [{"@type": "Person", "name": article.author}],
        "editor": {"@type": "Person", "name": article.editor},
        "publisher": {"@type": "Organization", "name": site},
        "mainEntityOfPage": url,
        "articleSection": article.section,
        "keywords": article.tags,
        "inLanguage": article.language,
    }


def _breadcrumbs(article: Article, url: str, section: str) -> dict[str, Any]:
    home = urljoin(url, "/")
    steps = [("Home", home), (section, home + article.section), (article.title, url)]
    return {
        "@type": "BreadcrumbList",
        "itemListElement": [
            {"@type": "ListItem", "position": position, "name": name, "item": item}
            for position, (name, item) in enumerate(steps, start=1)
        ],
    }


def _json_ld(data: Mapping[str, Any]) -> str:
    document = {"@context": "https://schema.org", **data}
    return json.dumps(document, ensure_ascii=False).replace("<", "\\u003c")


def _furniture_fields(article: Article, related: Sequence[Link], layout: Layout) -> dict[str, str]:
    language = article.language
    links = list(islice(_filled(related, language), 2 * _IN_A_BOX))
    latest, popular = links[:_IN_A_BOX], links[_IN_A_BOX:]
    return {
        "sections": _items((name, f"/{name.lower()}") for name in _furniture(language)["sections"]),
        "tags": _items((tag, f"/tag/{tag.lower().replace(' ', '-')}") for tag in article.tags),
        "latest": "\n".join(_teasers(latest, article, layout)),
        "popular": _items((link.title, link.url) for link in popular),
    }


def _part_fields(article: Article, url: str, part: int) -> dict[str, str]:
    """How the pages of an article lead to each other: nothing where there is but one."""
    if article.parts == 1:
        return {"title_suffix": "", "part_links": "", "paging": ""}
    words = _furniture(article.language)
    neighbours = {"prev": part - 1, "next": part + 1}
    links = [
        f'<link rel="{name}" href="{escape(part_url(url, number))}">'
        for name, number in neighbours.items()
        if 1 <= number <= article.parts
    ]
    return {
        "title_suffix": f" - {words['page']} {part}" if part > 1 else "",
        "part_links": "\n".join(links),
        "paging": _paging(article, url, part, str(words["page"]), str(words["next"])),
    }


def _paging(article: Article, url: str, part: int, page: str, following: str) -> str:
    items = [f"<span>{page}</span>"]
    for number in range(1, article.parts + 1):
        link = f'<a href="{escape(part_url(url, number))}">{number}</a>'
        items.append(f"<strong>{number}</strong>" if number == part else link)
    if part < article.parts:
        items.append(f'<a rel="next" href="{escape(part_url(url, part + 1))}">{following}</a>')
    return f'<div class="paging paging--article">{" ".join(items)}</div>'


def _paragraphs(
    article: Article, site: str, promoted: Sequence[Link], layout: Layout, part: int
) -> Iterator[str]:
    links = islice(_filled(promoted, article.language), (part - 1) * len(_PROMOTED_AFTER), None)
    for number, paragraph in enumerate(article.part(part), start=1):
        opening = _dateline(article, site, layout) if (part, number) == (1, 1) else ""
        yield f"<p>{opening}{escape(paragraph)}</p>"
        if number in _PROMOTED_AFTER:
            link = next(links)
            yield layout.promotion.format(url=escape(link.url), title=escape(link.title))
    if part == article.parts:
        yield layout.ending


def _dateline(article: Article, site: str, layout: Layout) -> str:
    return layout.dateline.format(site=escape(site.upper()), place=escape(article.dateline))


def _teasers(links: Iterable[Link], article: Article, layout: Layout) -> Iterator[str]:
    for number, link in enumerate(links, start=1):
        at = link.at or article.published_at - number * _BETWEEN_TEASERS
        yield (
            f'<div class="latest__item"><h4><a href="{escape(link.url)}">{escape(link.title)}</a>'
            f'</h4><date class="latest__date">{date(at, layout, article.language)}</date></div>'
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
def _furniture(language: str) -> Mapping[str, Any]:
    file = resources.files(__package__).joinpath("data", "furniture.toml")
    furniture: Mapping[str, Any] = tomllib.loads(file.read_text("utf-8"))[language]
    return furniture


@cache
def _template(layout: str) -> Template:
    file = resources.files(__package__).joinpath("data", f"{layout}.html")
    return Template(file.read_text("utf-8"))


def _scripts(size: int) -> str:
    rules = _repeated(".c{0}{{margin:0 {0}px;color:#{0:06x}}}\n", size // 2)
    code = _repeated("window.q=window.q||[];q.push(['slot',{0},'/ads/{0}',true]);\n", size // 2)
    return f"<style>\n{rules}</style>\n<script>\n{code}</script>"


def _boxes(size: int) -> str:
    items, teasers = _repeated(_MENU_ITEM, size // 2), _repeated(_TEASER, size // 2)
    return (
        f'<nav class="menu" hidden><ul class="menu__list">\n{items}</ul></nav>\n'
        f'<div class="teasers" hidden>\n{teasers}</div>'
    )


def _repeated(line: str, size: int) -> str:
    """About `size` bytes of `line`, each with its own number."""
    return _repeated_to_the_step(line, -(-size // _STEP) * _STEP)


@lru_cache(maxsize=32)  # pages of one weight need a few sizes only
def _repeated_to_the_step(line: str, size: int) -> str:
    numbers = range(1, 1 + size // len(line.format(1000)))
    return "".join(line.format(number) for number in numbers)
