"""Datelines: "SEMARANG, KOMPAS.com - ", "Semarang (ANTARA) - ", "MOSCOW, December 5. /TASS/. "."""

import re
from dataclasses import dataclass

from worker.articles.credits import agency

_WITHIN = 120  # characters from the start of the paragraph

_WORD = r"[A-ZÀ-ÖØ-ÞĀ-ŽА-ЯЁ][\w'’.-]{0,24}"
_PLACE = rf"(?P<place>{_WORD}(?:(?:[ /]|, | de | of | del | da | do )(?:{_WORD})){{0,4}}?)"
_BRAND = (
    r"(?P<brand>[A-Za-z0-9][\w-]{1,30}"
    r"(?:\.(?i:co\.id|com\.my|com|co|id|net|org|tv|news|my|sg|in))(?![\w.]))"
)
_NAMED = (
    r"(?P<named>(?:CNN|CNBC|BBC|VOA|DW|VIVA|INews|Bisnis|RRI|ABC|CBS|NPR|Beritasatu)[\w. ]{0,14}?)"
)
_DAY = r"(?:,? \(?(?:[\w.]{2,12} \d{1,2}|\d{1,2}[/. ]\s?[\w.]{1,12})\)?)?"
_SOURCE = r"\((?P<source>[^()]{2,40})\)"
_SLASHED = r"/(?P<source>[^/]{2,40})/"
_END = r"\s*\.?(?:[-–—―]{1,3}|:)\s*"
_DASH = r"\s*(?:--|[–—―]|(?<=\s)-|-(?=\s))[-–—―]{0,2}\s*"

_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"{_BRAND}{_DASH}",
        rf"{_BRAND},? ?{_PLACE}{_DASH}",
        rf"{_NAMED}, ?{_PLACE}{_DASH}",
        rf"{_PLACE}{_DAY},? ?{_SOURCE}{_END}",
        rf"{_SOURCE}{_DASH}",
        rf"(?:{_PLACE}{_DAY}[.,]? )?{_SLASHED}(?:\. ?|{_END})",
        rf"{_PLACE}, ?{_BRAND}{_DASH}",
        rf"{_PLACE}, ?{_NAMED}{_DASH}",
    )
)
_XINHUA = re.compile(
    r"新[华華]社(?P<place>[\u4e00-\u9fff]{2,8}?)(?:\d{1,2}月)?\d{1,2}日[电電]\s*(?:[((][^))]{1,40}[))])?\s*"
)
_BARE = re.compile(rf"{_PLACE}{_DASH}(?=[\"“‘'«]?(?:[A-ZÀ-ÞА-Я]|\d))")
_CAPITALS = re.compile(r"[^a-zß-öø-ÿа-яё]+")


@dataclass(frozen=True, slots=True)
class Dateline:
    """What stands before a first paragraph: where it was written, the agency that it came from (by
    the name of config/sources.toml where that has one), the paper's own name; and the paragraph
    without it.
    """

    place: str | None
    source: str | None
    brand: str | None
    rest: str


def read(text: str) -> Dateline:
    """Take the dateline off a first paragraph; all but `rest` None where there is none."""
    start = text[:_WITHIN].replace("\xa0", " ")
    for form in _FORMS:
        if match := form.match(start):
            parts = match.groupdict()
            source, brand = parts.get("source"), parts.get("brand") or parts.get("named")
            if source and not _may_be_source(source):
                continue
            return Dateline(_place(parts.get("place")), _agency(source), brand, _rest(text, match))
    if match := _XINHUA.match(start):
        return Dateline(match["place"], agency("新华社"), None, _rest(text, match))
    match = _BARE.match(start)
    if match and _is_place(match["place"]) and not _DASHED.search(start, match.end()):
        return Dateline(_place(match["place"]), None, None, _rest(text, match))
    return Dateline(None, None, None, text)


_DASHED = re.compile(r"\s(?:--|[-–—])\s")  # "Messi - who scored twice - said"


def _may_be_source(source: str) -> bool:
    words = source.split()
    return len(words) <= 4 and not any(c.isdigit() for c in source.replace("Liputan6", ""))


def _agency(source: str | None) -> str | None:
    if not source:
        return None
    for part in (source, *re.split(r"\s*[/,]\s*", source)):
        if found := agency(part):
            return found
    return source.strip()


def _is_place(words: str) -> bool:
    """Whether words before a dash are a place: in capitals, or one or two words."""
    if _CAPITALS.fullmatch(words):
        return len(words) >= 4
    return len(words.split()) <= 2 and len(words) >= 3 and not words.isdigit()


def _place(words: str | None) -> str | None:
    words = (words or "").strip(" ,")
    return ", ".join(map(_titled, re.split(r",\s*", words))) or None


def _titled(words: str) -> str:
    return words.title() if len(words) > 3 and _CAPITALS.fullmatch(words) else words


def _rest(text: str, match: re.Match[str]) -> str:
    return text[match.end() :].lstrip()
