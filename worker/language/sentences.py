"""Split text into sentences: sentencex, and a second look at each place where it would split."""

import re
from bisect import bisect
from collections.abc import Iterator, Mapping

from sentencex import segment

from worker.language.lists import Lists, lists

_ABBREVIATIONS_OF = "en"  # where sentencex has no rules of its own it uses these too
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
# sentencex takes time by the square of a paragraph with many quotes: 3.5 s for 90,000 characters.
_AT_ONCE = 4_000
_LONG = 300  # characters; a quote of more is split, and no more are joined for a small letter
_LINE = 200  # characters between two blanks at which a script without full stops is split
_CONTEXT = 40

_CLOSED_BY = {
    "“": "”", "„": "“”", "«": "»", "»": "«", "‹": "›", "”": "”", '"': '"',
    "「": "」", "『": "』", "《": "》", "(": ")", "（": "）",
}  # fmt: skip
_EITHER_WAY = '"”»'
_ENDS = frozenset(".,!?…")
_MARK = re.compile(f"[{re.escape(''.join({*_CLOSED_BY, *''.join(_CLOSED_BY.values())}))}]")
_NO_START = re.compile(r"[,;:%)\]}”’»›」』》）]")
_QUOTED = frozenset("」』")
_SAID = re.compile("と|って|など")
_WORD_AT_END = re.compile(r"(?:(?<=[\s(“\"'‘/—–-])|^)((?:\w+\.){0,4}\w+)\.$")
_NUMBER_AT_END = re.compile(r"(?:\s|^)\d{1,3}\.$")
_FIRST_WORD = re.compile(r"\w+")
_CLOSING = "\"'”’»›)\\]」』）】*"
_WHOLE = re.compile(rf"[.!?…。．！？؟۔।॥][{_CLOSING}]{{0,4}}$")
_CUT_SHORT = re.compile(rf"(?:…|\.\.\.)[{_CLOSING}\s]{{0,4}}$")


def split(text: str, language: str | None = None) -> list[str]:
    """The sentences of `text`, each with the white space around it: joined, they are `text` again.

    A blank line always ends one.
    """
    found = [one for paragraph in _paragraphs(text) for one in _sentences(paragraph, language)]
    return _with_blanks(found)


def ends_whole(sentence: str) -> bool:
    """Whether it ends as a sentence does."""
    return bool(_WHOLE.search(sentence))


def ends_cut_short(sentence: str) -> bool:
    """Whether it ends with an ellipsis."""
    return bool(_CUT_SHORT.search(sentence))


def _paragraphs(text: str) -> Iterator[str]:
    start = 0
    for blank in _BLANK_LINE.finditer(text):
        yield text[start : blank.end()]
        start = blank.end()
    yield text[start:]


def _with_blanks(pieces: list[str]) -> list[str]:
    """The pieces, with those that are nothing but white space joined to what comes after them."""
    found: list[str] = []
    blank = ""
    for piece in pieces:
        if piece.isspace():
            blank += piece
        elif piece:
            found.append(blank + piece)
            blank = ""
    if blank and found:
        found[-1] += blank
    elif blank:
        found.append(blank)
    return found


def _sentences(paragraph: str, language: str | None) -> Iterator[str]:
    known = lists(language)
    quotes = _Quotes(paragraph)
    start = before = 0
    has_letters = False
    for place in _places(paragraph, language or _ABBREVIATIONS_OF):
        has_letters = has_letters or any(map(str.isalpha, paragraph[before:place]))
        before = place
        if not has_letters or quotes.hold(place):
            continue
        told = paragraph[max(start, place - _LONG) : place].rstrip()
        if not _go_on(told, paragraph[place : place + _CONTEXT].lstrip(), known):
            yield paragraph[start:place]
            start = place
            has_letters = False
    rest = paragraph[start:]
    if known.has_no_stops:
        yield from _lines(rest)
    else:
        yield rest


def _places(paragraph: str, language: str) -> Iterator[int]:
    """Where sentencex would split, in windows: what is last in a window is looked at once more."""
    start = 0
    while start < len(paragraph):
        window = paragraph[start : start + _AT_ONCE]
        is_last = start + len(window) == len(paragraph)
        ends = list(_ends(_pieces(language, window)))
        kept = ends[:-1] or ([] if is_last else [_blank_before(window)])
        yield from (start + end for end in kept)
        if is_last:
            return
        start += kept[-1]


def _ends(pieces: list[str]) -> Iterator[int]:
    end = 0
    for piece in pieces:
        end += len(piece)
        yield end


def _blank_before(window: str) -> int:
    return window.rfind(" ") + 1 or len(window)


def _pieces(language: str, text: str) -> list[str]:
    """What sentencex makes of `text`; joined it is as long as `text`."""
    # It refuses surrogates. And "A\xa0." is enough for it to panic, so blanks become plain ones.
    plain = "".join(" " if c.isspace() else c for c in text.encode("utf-8", "replace").decode())
    try:
        pieces: list[str] = segment(language, plain)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of PyO3, which is no Exception
            raise
        return [text]
    return pieces if sum(map(len, pieces)) == len(text) else [text]


class _Quotes:
    """Where a paragraph's quotes and brackets are, those that are closed soon."""

    def __init__(self, paragraph: str) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        marks = [(mark.start(), mark[0]) for mark in _MARK.finditer(paragraph)]
        places: dict[str, list[int]] = {}
        for place, mark in marks:
            places.setdefault(mark, []).append(place)
        for first, mark in marks:
            if self._lasts and first <= self._lasts[-1]:
                continue
            last = _closed_at(places, mark, first) if _opens(mark, paragraph, first) else None
            if last is not None and last - first <= _LONG:
                self._firsts.append(first)
                self._lasts.append(last)

    def hold(self, place: int) -> bool:
        """Whether `place` is within one."""
        number = bisect(self._firsts, place - 1) - 1
        return number >= 0 and place <= self._lasts[number]


def _closed_at(places: Mapping[str, list[int]], mark: str, first: int) -> int | None:
    found = []
    for closing in _CLOSED_BY[mark]:
        of_kind = places.get(closing, [])
        number = bisect(of_kind, first)
        found += of_kind[number : number + 1]
    return min(found, default=None)


def _opens(mark: str, text: str, place: int) -> bool:
    if mark not in _CLOSED_BY:
        return False
    if mark not in _EITHER_WAY:
        return True
    before, after = text[place - 1 : place] if place else "", text[place + 1 : place + 2]
    return not (before.isalnum() or before in _ENDS or not after.strip())


def _go_on(told: str, following: str, known: Lists) -> bool:
    """Whether what follows belongs to the sentence that ends with `told` still."""
    if not any(map(str.isalnum, following)):
        return True
    if _NO_START.match(following) or (told[-1:] in _QUOTED and _SAID.match(following)):
        return True
    if len(told) < _LONG and _is_small(following):
        return True
    end = told[-_CONTEXT:]
    if word := _WORD_AT_END.search(end):
        if word[1] in known.abbreviations:
            return True
        if word[1] in known.numbered and following[0].isdigit():
            return True
    first = _FIRST_WORD.match(following)
    return bool(first and first[0] in known.after_numbers and _NUMBER_AT_END.search(end))


def _is_small(following: str) -> bool:
    """Whether it begins with a small letter, and not like "iPhone"."""
    word = following.lstrip("-–—… ")
    return word[:1].islower() and not word[1:2].isupper()


def _lines(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _LINE:
        place = text.rfind(" ", start + 1, start + _LINE) + 1 or text.find(" ", start + _LINE) + 1
        if not place:
            break
        yield text[start:place]
        start = place
    yield text[start:]
