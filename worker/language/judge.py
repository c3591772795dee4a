"""Judge a translation by what shows without knowing what it means: it catches machines that fail,
not sentences that are fluent and wrong.
"""

import html
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Any

from worker.language.identify import are_twins, primary, weigh
from worker.language.lists import lists
from worker.language.sentences import ends_whole, split
from worker.language.words import is_dense, words

_JUNK = re.compile(r"�|<0x[0-9A-Fa-f]{2}>|</?s>|<unk>|\[INST\]|<\|\w+\|>|▁", re.IGNORECASE)
_FENCE = re.compile(r"^```\w*\n(.*?)\n?```$", re.DOTALL)
_NOTE = re.compile(
    r"(?<!\s)(?=\s*\n)\s++\W{0,2}(?:note|notes|catatan|explanation|penjelasan)\b.*\Z"
    r"|\s(?:(?:please )?let me know if|i hope (?:this|that) helps|feel free to ask)\b[^\n]*\Z",
    re.IGNORECASE | re.DOTALL,
)
_BYTES = re.compile(r"(?:<0x[0-9A-Fa-f]{2}>)+")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});", re.IGNORECASE)
_QUOTES = {'"': '"', "“": "”", "'": "'", "«": "»", "「": "」"}

_FEW = 20  # letters: fewer do not tell a language
_SURELY = 40  # letters that do, whatever it is
_SHORT = 40  # characters of a translation: below, a few more or less mean nothing
_SLACK = 14  # characters more
_SLACK_LESS = 8  # characters
_HARD_RATIO = (0.5, 2.0)  # of the length that is usual for the pair
_SOFT_RATIO = 1.65
_CUT_RATIO = 0.85  # of a text whose end is missing
_COPIED = 0.5  # of the longer words
_MANY = 3
_IN_A_ROW = 4
_AGREEING = 0.45  # chrF: below it 12 of 15 bad LLM translations, none of 18 good ones
_SMALL = 12
_OPENING = 160  # characters in which a preamble ends

_NUMBER = re.compile(
    r"\d+(?:(?:[.,'\u066b\u066c]|:(?=\d\d)|[ \u00a0\u2009\u202f](?=\d{3}(?!\d)))\d+)*"
)
_DATE = re.compile(r"(?<![\d/])(\d{1,2})/\d{1,2}(?=/\d{2,4}\b|\b(?!/))")
_CLOCK = re.compile(r"(\d{1,2})\s?(?:h|時|时|點|点|giờ|시)\s?(\d{2})(?!\d)")
# 8億5000万, 3억 5000만, 25万4300: the next unit is a ten-thousandth
_MYRIADS = re.compile(
    r"(?<!\d)(\d++)[兆조億亿억万萬만](?:\s?(\d{1,4})(?=[億亿억万萬만])|(?:\s(?=\d{4}))?(\d{1,4})(?![\d:.,년年]))"
)
_CONTACT = re.compile(
    r"(?:https?://|\bwww\.)[^\s)\]>\"']+"
    r"|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]+|(?<!\w)@\w{3,}"
    r"|(?<![\w.-])(?:[\w-]{1,63}\.){1,5}(?:com|net|org|info|news|gov|edu|id)\b(?:/[^\s)\]>\"']*)?"
)
_PHONE = re.compile(
    r"(?<![\w.,])(?:\+\d{1,3}[\s().-]{0,2}|0)\d{2,4}(?:[\s().-]{1,2}\d{3,4}){1,3}(?!\w)"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A translation as it may be shown, and the gates that it fails: after a `hard` one it may not
    be shown, after a `soft` one it is shown with a mark.
    """

    text: str
    hard: tuple[str, ...]
    soft: tuple[str, ...]


def judge(
    source_text: str,
    output: str,
    source: str,
    target: str,
    *,
    is_llm: bool = False,
    second: str | None = None,
) -> Verdict:
    """What is wrong with `output` as the translation of `source_text` from `source` to `target`
    (BCP 47); `second` is what another engine made of it. Never raises.

    Gates: empty, junk, length, repetition, copy, language, preamble, numbers, invented,
    disagreement.
    """
    if not source_text.strip():
        return Verdict("", (), ())
    text, is_opened = _bare(output, source_text)
    pair = (primary(source) or "", primary(target) or "")
    if not text:
        return Verdict("", ("preamble" if is_opened else "empty",), ())
    hard: list[str] = []
    soft: list[str] = ["preamble"] if is_opened else []
    for gate, is_hard in _found(source_text, text, pair):
        (hard if is_hard else soft).append(gate)
    if is_llm and second and _agreement(text, second) < _AGREEING:
        soft.append("disagreement")
    return Verdict(text, tuple(dict.fromkeys(hard)), tuple(dict.fromkeys(soft)))


def _found(said: str, text: str, pair: tuple[str, str]) -> Iterator[tuple[str, bool]]:
    """The gates that `text` fails as a translation of `said`, each with whether that is hard."""
    if _JUNK.search(text) and not _JUNK.search(said):
        yield "junk", True
    if _announces(text, said):
        yield "preamble", False
    yield from _by_length(said, text, pair)
    if _repeats(said, text):
        yield "repetition", True
    if _is_copy(said, text, pair):
        yield "copy", True
    yield from _by_language(text, pair)
    if _invents(said, text):
        yield "invented", True
    if not _same_numbers(said, text, pair):
        yield "numbers", False


def _bare(output: str, said: str) -> tuple[str, bool]:
    """The output without what is around the translation, and whether it was announced."""
    text = html.unescape(output) if _ENTITY.search(output) and not _ENTITY.search(said) else output
    text = _BYTES.sub(_folded, text)
    text = text.replace("\0", "").encode("utf-8", "replace").decode().strip()
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    is_opened = False
    if end := _preamble(text, said):
        text, is_opened = text[end:].strip(), True
    if (note := _NOTE.search(text)) and "\n" not in said.strip():
        text, is_opened = text[: note.start()].strip(), True
    return _unquoted(text, said), is_opened


def _folded(pieces: re.Match[str]) -> str:
    """The characters that a vocabulary had to write byte by byte; what are none stays."""
    try:
        return bytes.fromhex(re.sub(r"<0x|>", "", pieces[0])).decode()
    except UnicodeDecodeError:
        return pieces[0]


def _preamble(text: str, said: str) -> int:
    """Where the announcement ends that `text` begins with; 0 without one."""
    data = _data()["preambles"]
    agreed = re.match(data["agreeing"], text, re.IGNORECASE) if "!" not in said else None
    start = agreed.end() if agreed else 0
    opening = text[start : start + _OPENING]
    if not opening.lower().lstrip("*_#\"'“ ").startswith(tuple(data["openings"])):
        return start
    end = re.search(r"[:：]\s|\n|[:：]$|$", opening)
    opening = opening[: end.end() if end else _OPENING]
    if _speaks_of_it(said) or not any(one in opening.lower() for one in data["subjects"]):
        return start
    return start + len(opening)


def _announces(text: str, said: str) -> bool:
    start, telling = text[:_OPENING].lower(), _data()["preambles"]["telling"]
    return any(one in start for one in telling) and not _speaks_of_it(said)


def _speaks_of_it(said: str) -> bool:
    """Whether the news itself speaks of translations, or of English."""
    return any(one in said.lower() for one in _data()["preambles"]["subjects"])


def _unquoted(text: str, said: str) -> str:
    closing = _QUOTES.get(text[:1])
    is_quoted = len(text) > 1 and closing is not None and text.endswith(closing)
    if not is_quoted or said.lstrip()[:1] in _QUOTES or text[1:-1].count(text[0]):
        return text
    return text[1:-1].strip()


def _by_length(said: str, text: str, pair: tuple[str, str]) -> Iterator[tuple[str, bool]]:
    usual = len(said.strip()) * _characters(pair[0]) / _characters(pair[1])
    ratio = len(text) / usual
    is_small = abs(len(text) - usual) < _SLACK or (usual < _SHORT and len(text) < 2 * _SHORT)
    if not is_small and not _HARD_RATIO[0] <= ratio <= _HARD_RATIO[1]:
        yield "length", True
    elif not lists(pair[1]).has_no_stops and _breaks_off(said, text, pair):
        yield "length", ratio < _CUT_RATIO and usual >= _SHORT
    elif _is_short(usual, text, pair) or (ratio > _SOFT_RATIO and not is_small):
        yield "length", False


def _is_short(usual: float, text: str, pair: tuple[str, str]) -> bool:
    figures: Mapping[str, float] = _data()["shortest"]
    least = min(figures.get(language, figures["any"]) for language in pair)
    return len(text) < min(least * usual, usual - _SLACK_LESS)


def _breaks_off(said: str, text: str, pair: tuple[str, str]) -> bool:
    """Whether the end is missing: its mark, or more than every second sentence."""
    if ends_whole(said.strip()) and not ends_whole(text):
        return True
    unfinished: Mapping[str, str] = _data()["unfinished"]
    if (ending := unfinished.get(pair[1])) and re.search(rf"(?:{ending})$", text):
        return not re.search(r"[,;:–—-]$", said.strip())
    return 2 * len(split(text, pair[1])) < len(split(said, pair[0]))


def _characters(language: str) -> float:
    figures: Mapping[str, float] = _data()["english_per_character"]
    return figures.get(language, 1.0)


def _repeats(said: str, text: str) -> bool:
    size = 8 if is_dense(text) else 3
    told, original = words(text), words(said)
    runs = _runs(told, size)
    most = max(_runs(original, size).values(), default=1)
    if max(runs.values(), default=0) >= max(_MANY, most + 1):
        return True
    return _longest_row(told) >= max(_IN_A_ROW, _longest_row(original) + 1)


def _runs(told: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(told[start:] for start in range(size)), strict=False))


def _longest_row(told: Iterable[str]) -> int:
    return max((sum(1 for _ in row) for word, row in groupby(told) if word.isalpha()), default=0)


def _is_copy(said: str, text: str, pair: tuple[str, str]) -> bool:
    if pair[0] == pair[1] or are_twins(*pair):
        return False
    if is_dense(text):
        return is_dense(said) and _agreement(text, said) > 2 * _COPIED - 0.1
    if text.casefold() == said.strip().casefold() and len(words(text)) > _MANY:
        told = weigh(text).language  # a headline may be names alone
        return told is not None and (told == pair[0] or are_twins(told, pair[0]))
    own = [word for word in re.findall(r"[^\W\d_]{4,}", text) if word.islower()]
    there = set(words(said))
    return len(own) >= _MANY and sum(word in there for word in own) > _COPIED * len(own)


def _by_language(text: str, pair: tuple[str, str]) -> Iterator[tuple[str, bool]]:
    letters = sum(map(str.isalpha, text)) * (2 if is_dense(text) else 1)
    if letters < _FEW:
        return
    told = weigh(text)
    if not told.is_sure or told.language in (None, pair[1]):
        return
    assert told.language is not None
    if not are_twins(told.language, pair[1]):
        yield "language", letters >= _SURELY or told.language == pair[0]


def _invents(said: str, text: str) -> bool:
    there = _bare_letters(said)
    if any(_bare_letters(contact) not in there for contact in _CONTACT.findall(text)):
        return True
    digits = re.sub(r"\D", "", said)
    return any(re.sub(r"\D", "", phone) not in digits for phone in _PHONE.findall(text))


def _bare_letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.casefold())


def _same_numbers(said: str, text: str, pair: tuple[str, str]) -> bool:
    theirs, ours = list(_numbers(said)), list(_numbers(text))
    missing, new = _not_in(theirs, ours, text, pair), _not_in(ours, theirs, said, pair)
    if missing and new:
        return False  # one became another
    if not missing and not new:
        return True
    if re.search(_data()["numbers"]["in_words"], text if missing else said, re.IGNORECASE):
        return True
    # A small number may be spelled out, or be a month.
    return all(len(one) < 3 and int(one) <= _SMALL for one in (*missing, *new))


def _not_in(
    numbers: Sequence[str], others: Sequence[str], text: str, pair: tuple[str, str]
) -> list[str]:
    """Those of `numbers` that are neither among the others nor spelled out in `text`."""
    spelled: Mapping[str, Sequence[str]] = _data()["numbers"]["words"]
    left = (Counter(others) - Counter(numbers)).elements()
    known = {_plain(one) for number in left for one in _written(number, pair)}
    told = set(words(text))
    return [
        number
        for number in numbers
        if number not in others
        and _plain(number) not in known
        and told.isdisjoint(spelled.get(number, ()))
    ]


def _numbers(text: str) -> Iterator[str]:
    """The numbers of a text as their digits alone."""
    text = _CLOCK.sub(r"\1:\2", _DATE.sub(r"\1 ", text))
    for _ in range(2):
        text = _MYRIADS.sub(lambda one: f"{one[1]}{one[2] or one[3]:0>4}", text)
    for number in _NUMBER.findall(text):
        yield "".join(str(unicodedata.digit(one)) for one in number if one.isdigit())


def _plain(number: str) -> str:
    """A number's digits without the noughts at its ends: 3,5 million is 3,500,000."""
    return number.strip("0") or "0"


def _written(number: str, pair: tuple[str, str]) -> Iterator[str]:
    """What a number may be in the other language: itself, the hour by a clock of twelve hours or of
    twenty-four, the year of another era.
    """
    yield number
    if len(number) > 4:
        return
    hour, minutes = (number[:-2], number[-2:]) if len(number) > 2 else (number, "")
    for shift in (12, -12):
        if 0 <= int(hour) + shift <= 24:
            yield f"{int(hour) + shift}{minutes}"
    if len(number) == 4:
        eras: Mapping[str, Sequence[int]] = _data()["numbers"]["eras"]
        for years in (one for language in pair for one in eras.get(language, ())):
            yield from (str(int(number) - years), str(int(number) + years))


def _agreement(first: str, second: str) -> float:
    """How much two texts share of their characters, in runs of one to six: chrF (Popović 2015),
    with recall counting twice, from 0 to 1.
    """
    one, other = ("".join(text.split()) for text in (first, second))
    scores = [score for size in range(1, 7) if (score := _overlap(one, other, size)) is not None]
    return sum(scores) / len(scores) if scores else 0.0


def _overlap(one: str, other: str, size: int) -> float | None:
    first, second = _runs(one, size), _runs(other, size)
    if not first or not second:
        return None
    shared = sum((first & second).values())
    precision, recall = shared / sum(first.values()), shared / sum(second.values())
    return 5 * precision * recall / (4 * precision + recall) if shared else 0.0


@cache
def _data() -> Mapping[str, Any]:
    file = resources.files("worker.language") / "data" / "gates.toml"
    return tomllib.loads(file.read_text("utf-8"))
