"""Split text into sentences: sentencex, and a second look at each place where it would split."""

import re
from collections.abc import Iterator
from itertools import accumulate

from sentencex import segment

from worker.language.lists import Lists, lists

_ABBREVIATIONS_OF = "en"  # where sentencex has no rules of its own it uses these too
_ODD_BLANK = re.compile(r"[^\S ]")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
# sentencex takes time by the square of a paragraph with many quotes: 3.5 s for 90,000 characters.
_AT_ONCE = 4_000
_LONG = 300  # characters; a quote of more is split, and no more are joined for a small letter
_LINE = 200  # characters between two blanks at which a script without full stops is split
_CONTEXT = 40

_WITHOUT_QUOTES = dict.fromkeys(map(ord, '“”„«»‹›"「」『』《》()（）'), " ")
_NO_START = re.compile(r"[,;:%)\]}”’»›」』》）]")
_QUOTED = frozenset("」』")
_SAID = re.compile("と|って|など")
_LETTERS = re.compile(r"\w{1,3}\.")  # of "S.Kom." behind its first full stop
_IN_BRACKETS = re.compile(r"\([^()]{1,30}\)\s*(.)")
_BEFORE_A_WORD = "(“\"'‘„«/—–-"
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
    start = before = 0
    has_letters = False
    for place in _places(paragraph, language or _ABBREVIATIONS_OF):
        has_letters = has_letters or any(map(str.isalpha, paragraph[before:place]))
        before = place
        if not has_letters:
            continue
        told = paragraph[max(start, place - _LONG) : place]
        if not _go_on(told, paragraph[place : place + _CONTEXT], known):
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
        ends = list(_ends(_pieces(language, window), language))
        kept = ends[:-1] or ([] if is_last else [_blank_before(window)])
        yield from (start + end for end in kept)
        if is_last:
            return
        start += kept[-1]


def _ends(pieces: list[str], language: str) -> Iterator[int]:
    """Where the pieces end; one that is long for its quotes or brackets ends within them too."""
    end = 0
    for piece in pieces:
        if len(piece) > _LONG and (bare := piece.translate(_WITHOUT_QUOTES)) != piece:
            yield from (end + inner for inner in accumulate(map(len, _pieces(language, bare)[:-1])))
        end += len(piece)
        yield end


def _blank_before(window: str) -> int:
    return window.rfind(" ") + 1 or len(window)


def _pieces(language: str, text: str) -> list[str]:
    """What sentencex makes of `text`; joined it is as long as `text`."""
    # It refuses surrogates. And "A\xa0." is enough for it to panic, so blanks become plain ones.
    plain = _ODD_BLANK.sub(" ", text.encode("utf-8", "replace").decode())
    try:
        pieces: list[str] = segment(language, plain)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of PyO3, which is no Exception
            raise
        return [text]
    return pieces if sum(map(len, pieces)) == len(text) else [text]


def _go_on(told: str, following: str, known: Lists) -> bool:
    """Whether what follows belongs to the sentence that ends with `told` still."""
    end, start = told.rstrip(), following.lstrip()
    if not any(map(str.isalnum, start)) or _NO_START.match(start):
        return True
    if end[-1:] in _QUOTED and _SAID.match(start):
        return True
    if len(end) == len(told) and len(start) == len(following) and _LETTERS.match(start):
        return True
    if len(end) < _LONG and _is_small(start):
        return True
    return end.endswith(".") and _is_abbreviated(end[-_CONTEXT:-1], start, known)


def _is_abbreviated(end: str, start: str, known: Lists) -> bool:
    """Whether the full stop behind `end` is that of an abbreviation or ordinal."""
    word = end.split()[-1].lstrip(_BEFORE_A_WORD) if end and not end.isspace() else ""
    if word in known.abbreviations or (word in known.numbered and start[0].isdigit()):
        return True
    first = _FIRST_WORD.match(start)
    return bool(word.isdecimal() and len(word) < 4 and first and first[0] in known.after_numbers)


def _is_small(following: str) -> bool:
    """Whether it goes on with a small letter, and not like "iPhone"."""
    if bracket := _IN_BRACKETS.match(following):
        return bracket[1].islower() or bracket[1] == ","
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
