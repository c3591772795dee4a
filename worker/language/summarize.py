"""Summarise an article in two to four of its own whole sentences: the publisher's description of it
where that is one, else its lead.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from worker.articles import dateline
from worker.language.descriptions import accepted
from worker.language.lists import lists
from worker.language.sentences import ends_cut_short, ends_whole, split
from worker.language.words import count, is_dense, repeats, says
from worker.settings import ProcessSettings

# When a summary says enough; the settings say what is too much.
_ENOUGH_SENTENCES, _ENOUGH_CHARACTERS = 2, 200
_ENOUGH_WORDS = 25  # of a description to stand alone
_READ, _CANDIDATES = 12_000, 40  # characters and sentences in which a lead is looked for
_SENTENCE_WORDS, _CAPTION_WORDS = 4, 16  # fewer are none, and without a full stop a caption

_CLAUSE = re.compile(r"[,;:–—，；：、،؛](?=\s|[^\x00-\x7f])")
_NO_BLANK_AFTER = re.compile(r"[。．！？」』）]$")


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary and the method that made it: `publisher`, `lead` or `lead+publisher`; `feed` where
    nothing was read of an article but what its feed says.
    """

    text: str
    method: str


def summarize(
    text: str,
    language: str | None,
    settings: ProcessSettings,
    *,
    title: str = "",
    descriptions: Iterable[str] = (),
    publisher: str | None = None,
) -> Summary | None:
    """A summary of `text` (paragraphs, a blank line between), None when it has no sentence.

    Its sentences are whole, in their order, and in the publisher's words: those of the first of the
    `descriptions` (the page's, the feed's) that passes for a summary, then of the lead. Only a
    first sentence that is longer than a summary may be is cut.
    """
    text = _decodable(text[:_READ])
    lead = candidates(text, language, title)
    told: list[str] = []
    for description in descriptions:
        if told := accepted(
            description,
            language,
            article=f"{title}\n{text}",
            lead=lead,
            title=title,
            publisher=publisher,
        ):
            break
    if count(" ".join(told)) >= _ENOUGH_WORDS:
        lead = []
    elif told:
        lead = [sentence for sentence in lead if not says(told, sentence)]
    return _filled(told, lead, settings)


def candidates(text: str, language: str | None, title: str = "") -> list[str]:
    """The sentences from which a summary of `text` may be made, in their order.

    They are whole, but for a dateline before the first. Captions, bylines, promotions and what
    repeats the title are not among them, unless there is nothing else.
    """
    every = list(islice(_sentences(text[:_READ], language), _CANDIDATES))
    if len(text) >= _READ and len(every) > 1:
        every.pop()  # which may be cut
    return [one for one in every if _tells(one, language, title)] or every


def _sentences(text: str, language: str | None) -> Iterator[str]:
    """Stripped, and without datelines."""
    begins = True
    for paragraph in text.split("\n\n"):
        line = " ".join(paragraph.split())
        if begins and line:
            rest = dateline.read(line).rest
            begins = rest == line and not ends_whole(line)  # a headline or caption: look further
            line = rest
        yield from filter(None, map(str.strip, split(line, language)))


def _tells(sentence: str, language: str | None, title: str) -> bool:
    known = lists(language)
    if sentence.lower().startswith(known.openings) or repeats(sentence, title):
        return False
    if known.has_no_stops or (ends_whole(sentence) and not ends_cut_short(sentence)):
        return count(sentence) >= _SENTENCE_WORDS
    return count(sentence) >= _CAPTION_WORDS


def _filled(told: Sequence[str], lead: Sequence[str], settings: ProcessSettings) -> Summary | None:
    """What there is place for: all of the description, then of the lead until it is enough."""
    share = 2 if is_dense("".join((*told, *lead))) else 1
    most = settings.summary_characters // share
    text = ""
    taken = {"lead": 0, "publisher": 0}
    sources = [("publisher", one) for one in told] + [("lead", one) for one in lead]
    for source, sentence in sources:
        number = sum(taken.values())
        is_enough = number >= _ENOUGH_SENTENCES and len(text) >= _ENOUGH_CHARACTERS // share
        if number == settings.summary_sentences or (source == "lead" and is_enough):
            break
        longer = _joined(text, sentence) if text else _cut(sentence, most)
        if len(longer) > most:
            break
        text = longer
        taken[source] += 1
    method = "+".join(source for source, number in taken.items() if number)
    return Summary(text, method) if text else None


def _joined(text: str, sentence: str) -> str:
    return text + sentence if _NO_BLANK_AFTER.search(text) else f"{text} {sentence}"


def _cut(sentence: str, most: int) -> str:
    """The sentence, or of what is longer than `most` characters the clauses that fit."""
    if len(sentence) <= most:
        return sentence
    start = sentence[: most - 1]
    clauses = [mark.start() for mark in _CLAUSE.finditer(start, most // 3)]
    end = clauses[-1] if clauses else max(start.rfind(" "), 0) or len(start)
    return start[:end].rstrip() + "…"


def _decodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
