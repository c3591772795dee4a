"""Judge what a publisher says of its article: whether it serves as a summary."""

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from worker.articles import dateline
from worker.language.identify import are_twins, weigh
from worker.language.lists import Lists, lists
from worker.language.sentences import ends_cut_short, ends_whole, split
from worker.language.words import count, repeats, telling, words

_LONGEST = 1_200  # characters; what a feed says at more length is the article
_LEAST_WORDS = 8
_ITS_OWN = 0.2  # of its longer words, in the article; a site's own slogan has fewer
_WELL_SHARED = 0.6  # and no text in another language has as many
_SURE_FROM = 40  # characters from which its language counts
_BEGINNING = 4  # words by which the sentence is found that it cuts short

_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,300}>")
_CUT_IN_BRACKETS = re.compile(r"\s?[\[(](?:…|\.{2,3})[\])].*$")
_SITE_BEFORE, _SITE_AFTER = r"^{}\s*[-–—|:•]\s*", r"\s*[-–—|•]\s*{}\s*$"


def accepted(
    description: str,
    language: str | None,
    *,
    article: str,
    lead: Iterable[str],
    title: str,
    publisher: str | None,
) -> list[str]:
    """Its whole sentences, none when it does not pass for a summary of `article` (title and text).

    A sentence that it cuts short is taken from the `lead`, where that has one that begins so.
    Research behind the checks: of 270 pages' descriptions 11 % end in an ellipsis and 24 % without
    a full stop; some are the title, the site's slogan or an invitation to subscribe.
    """
    known = lists(language)
    line = _line(description, known, publisher)
    if not line or len(line) > _LONGEST or _promotes(line, known):
        return []
    told = [one for one in _whole(split(line, language), known, lead) if not repeats(one, title)]
    text = " ".join(told)
    if sum(map(count, told)) < _LEAST_WORDS:
        return []
    shared = _shared(text, article)
    is_of_it = shared >= _WELL_SHARED or (shared >= _ITS_OWN and not _is_foreign(text, language))
    return told if is_of_it else []


def _line(description: str, known: Lists, publisher: str | None) -> str:
    """One line, without what the feed's software and the site's name add to it."""
    text = _TAG.sub(" ", html.unescape(description[: 2 * _LONGEST]))
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    for tail in known.tails:
        line = tail.sub("", line).rstrip()
    line = _CUT_IN_BRACKETS.sub("…", line)
    for pattern in (_SITE_BEFORE, _SITE_AFTER) if publisher else ():
        line = re.sub(pattern.format(re.escape(publisher or "")), "", line, flags=re.IGNORECASE)
    return dateline.read(line).rest


def _promotes(line: str, known: Lists) -> bool:
    lower = line.lower()
    return any(phrase in lower for phrase in known.promotions)


def _whole(pieces: Sequence[str], known: Lists, lead: Iterable[str]) -> Iterator[str]:
    for piece in map(str.strip, pieces):
        if piece.lower().startswith(known.openings):
            continue
        if not ends_cut_short(piece) and (ends_whole(piece) or known.has_no_stops):
            yield piece
        elif whole := _completed(piece, lead):
            yield whole


def _completed(piece: str, lead: Iterable[str]) -> str | None:
    beginning = words(piece)
    if ends_cut_short(piece):
        beginning = beginning[:-1]  # the last may be half a word
    if len(beginning) < _BEGINNING:
        return None
    return next((one for one in lead if words(one)[: len(beginning)] == beginning), None)


def _shared(text: str, article: str) -> float:
    """The share of its longer words that the article has too, if only within others."""
    own, folded = telling(text), article.casefold()
    return sum(word in folded for word in own) / len(own) if own and folded else 1.0


def _is_foreign(text: str, language: str | None) -> bool:
    if not language or len(text) < _SURE_FROM:
        return False
    found = weigh(text)
    other = found.language
    return bool(found.is_sure and other and other != language and not are_twins(language, other))
