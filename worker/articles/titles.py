"""Choose a page's headline and take off what the site adds to it."""

import re
from collections.abc import Iterable, Sequence

from worker.articles import plain

_CUT = 100  # characters; JSON-LD headlines are cut at 110, as search engines ask
_SEPARATOR = re.compile(r"\s+[-–—|»·•:*~/]{1,2}\s+|\s*(?:[|｜»ㅣ│┃]|--)\s*|[：]")
_TAIL = re.compile(r"\s*[-–—|｜»ㅣ│┃：*·•]")
_END = 60  # characters of a title in which its part may be named
_PART = re.compile(
    r"[\s\-–—|,(\[]+(?:halaman|hal\.?|page|seite|página|pagina|strona|sayfa|laman|trang)\s*"
    r"(?:all|semua|\d{1,3})(?:\s*(?:dari|of|von|de|di|/)\s*\d{1,3})?[)\]]?$",
    re.IGNORECASE,
)


def choose(
    declared: Iterable[str],
    shared: Iterable[str],
    shown: Sequence[str],
    whole: str,
    site: set[str],
    section: str = "",
) -> str:
    """The headline, of those that the page gives: JSON-LD's, what it shares (og:title and such),
    what it shows (h1), and `<title>`; "" when it gives none.

    `site` holds keys (`plain.key`) of the site's names, and `section` stands before them in some.
    """
    declared = [tidy(one, site, section) for one in declared]
    shared = [tidy(one, site, section) for one in shared]
    shown = [one for one in (tidy(one, site) for one in shown) if plain.key(one) not in site]
    for one in (*declared, *shared):
        if one and plain.key(one) not in site:
            return _shorter(_longer(one, [*shared, *shown]), shown)
    name = tidy(whole, site, section)
    # A page without any of those has often an h1 for its logo or a section.
    for one in shown:
        if not name or plain.key(one) in plain.key(name) or len(shown) == 1:
            return one
    return name


def tidy(title: str, site: set[str], section: str = "") -> str:
    """`title` without the names of the site before or behind it, without the section before such a
    name, and without `Halaman 2`.
    """
    title = (title[:-_END] + _PART.sub("", title[-_END:])).strip()
    parts = list(_SEPARATOR.finditer(title)) if site else []
    if not parts:
        return title
    first, last = parts[0], parts[-1]
    if last.start() > 0 and _is_site(title[last.end() :], site):
        title = tidy(title[: last.start()], site, section)
        for mark in list(_TAIL.finditer(title))[-1:] if section else ():
            if plain.key(title[mark.end() :]) == plain.key(section) and mark.start() > 0:
                return title[: mark.start()].rstrip()
        return title
    if first.end() < len(title) and _is_site(title[: first.start()], site):
        return tidy(title[first.end() :], site, section)
    return title


def _is_site(words: str, site: set[str]) -> bool:
    found = plain.key(words)
    return bool(found) and found in site


def _longer(title: str, others: Iterable[str]) -> str:
    """The whole of a headline that was cut."""
    start = title.rstrip(".… ")
    if len(start) < _CUT and start == title:
        return title
    for one in others:
        if len(one) > len(title) and one.startswith(start):
            return one
    return title


def _shorter(title: str, shown: Iterable[str]) -> str:
    """The headline shown, where `title` is that with a tail behind a separator."""
    for one in shown:
        if len(one) >= 15 and title.startswith(one) and _TAIL.match(title, len(one)):
            return one
    return title
