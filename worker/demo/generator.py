"""Any number of articles from a seed, no two of them alike.

Sentences are templates whose slots are filled from large vocabularies (`data/grammar_*.toml`), so
that two articles share few runs of three words; names are spelt from a number that no other name
has. An article depends on its seed and index only: a million of them cost nothing until asked for.
"""

import itertools
import math
import random
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from string import Formatter

from worker.demo.article import Article

LANGUAGES = ("id", "en")
START = datetime(2022, 1, 22, 9, 57, tzinfo=UTC)

Slots = Mapping[str, Sequence[str]]

_NAMES_AN_ARTICLE = 9
_SYLLABLES = tuple(c + v for c in "bcdghjklmnprstwy" for v in "aiueo")
# No ending may look like a syllable: the stem of a name has to be read off it in one way only.
_ENDINGS = {
    "id": ("", "n", "r", "s", "ng", "m", "h", "ndo", "rna", "rto", "nti"),
    "en": ("", "n", "rd", "ck", "lby", "rth", "ns", "ld", "x"),
}
_ENDING_OF_A_WORD = "ndra"
# Of these an article knows only a few, so that it stays with its subject.
_SUBJECT = {"people": 6, "thing": 8, "spot": 6, "event": 3, "cause": 3}
_NUMBERS = tuple(str(number) for number in range(3, 980))


def articles(
    seed: int,
    *,
    sites: int = 2,
    words: int = 260,
    languages: Sequence[str] = LANGUAGES,
    starting: datetime = START,
    every: timedelta = timedelta(minutes=7),
) -> Iterator[Article]:
    """Articles without end, on `sites` sites in turn, `every` so often since `starting`.

    Each has at least `words` words in its paragraphs. A site keeps to one language.
    """
    for index in itertools.count():
        site = index % sites
        language = languages[site % len(languages)]
        at = starting + index * every
        yield article(seed, index, language=language, words=words, site=site, published_at=at)


def article(
    seed: int,
    index: int,
    *,
    language: str,
    words: int = 260,
    site: int = 0,
    published_at: datetime = START,
) -> Article:
    """The article with number `index` of the series that `seed` names."""
    rng = random.Random(f"{seed}/{index}")
    grammar = _grammar(language)
    spelt = names(seed, index, language)
    slots = _own_slots(grammar, spelt, rng)
    title = _headline(rng.choice(grammar.titles).fill(slots, rng))
    sentences = _sentences(grammar, slots, rng, words)
    return Article(
        slug=f"{_slug(title)}-{index}",
        language=language,
        section=rng.choice(grammar.sections),
        title=title,
        summary=sentences[0],
        author=f"{spelt[2]} {spelt[1]}",
        editor=f"{spelt[4]} {spelt[3]}",
        source=slots["Body"][0],
        dateline=spelt[6].upper(),
        caption=rng.choice(grammar.captions).fill(slots, rng),
        credit=f"{rng.choice(grammar.credits)} {spelt[0]}",
        tags=(spelt[6], rng.choice(slots["thing"]), rng.choice(slots["event"])),
        paragraphs=tuple(_paragraphs(sentences, rng)),
        site=site,
        published_at=published_at,
    )


def names(seed: int, index: int, language: str) -> tuple[str, ...]:
    """The names of persons, places and bodies in one article; no other of the series has them."""
    first = index * _NAMES_AN_ARTICLE
    return tuple(_name(seed, first + n, language) for n in range(_NAMES_AN_ARTICLE))


def _name(seed: int, number: int, language: str) -> str:
    stem = _stem(seed, number)
    endings = _ENDINGS[language]
    name = stem + endings[number % len(endings)]
    if name in _vocabulary():
        name = stem + _ENDING_OF_A_WORD
    return name.capitalize()


def _stem(seed: int, number: int) -> str:
    """Three syllables for the first half million numbers, then four, and so on."""
    length = 3
    while number >= (size := len(_SYLLABLES) ** length):
        number -= size
        length += 1
    number = (number * _stride(size) + seed) % size  # neighbours in number look unlike each other
    syllables = []
    for _ in range(length):
        number, syllable = divmod(number, len(_SYLLABLES))
        syllables.append(_SYLLABLES[syllable])
    return "".join(reversed(syllables))


@cache
def _stride(size: int) -> int:
    stride = size * 618 // 1000
    while math.gcd(stride, size) != 1:
        stride += 1
    return stride


@dataclass(frozen=True)
class _Template:
    text: str
    slots: tuple[str, ...]

    def fill(self, slots: Slots, rng: random.Random) -> str:
        draw = rng.random
        pools = [slots[slot] for slot in self.slots]
        return self.text % tuple(pool[int(draw() * len(pool))] for pool in pools)


@dataclass(frozen=True)
class _Grammar:
    titles: tuple[_Template, ...]
    leads: tuple[_Template, ...]
    sentences: tuple[_Template, ...]
    captions: tuple[_Template, ...]
    sections: tuple[str, ...]
    credits: tuple[str, ...]
    named_body: str
    slots: Slots


@cache
def _grammar(language: str) -> _Grammar:
    file = resources.files(__package__).joinpath("data", f"grammar_{language}.toml")
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    slots = {name: tuple(fillers.split(", ")) for name, fillers in data["slots"].items()}
    return _Grammar(
        **{
            part: tuple(_compile(template) for template in data[part])
            for part in ("titles", "leads", "sentences", "captions")
        },
        sections=tuple(data["sections"]),
        credits=tuple(data["credits"]),
        named_body=data["named_body"],
        slots=_with_capitals({**slots, "number": _NUMBERS}),
    )


def _compile(template: str) -> _Template:
    parts = list(Formatter().parse(template))
    text = "".join(literal + ("%s" if slot else "") for literal, slot, _, _ in parts)
    return _Template(text, tuple(slot for _, slot, _, _ in parts if slot))


def _with_capitals(slots: Slots) -> Slots:
    capitals = {name.capitalize(): tuple(map(_capital, pool)) for name, pool in slots.items()}
    return {**slots, **capitals}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@cache
def _vocabulary() -> frozenset[str]:
    pools = (pool for language in LANGUAGES for pool in _grammar(language).slots.values())
    return frozenset(word for pool in pools for filler in pool for word in filler.lower().split())


def _own_slots(grammar: _Grammar, spelt: Sequence[str], rng: random.Random) -> Slots:
    persons = [f"{spelt[n]} {spelt[n + 1]}" for n in (0, 2, 4)]
    body = grammar.named_body.format(kind=rng.choice(grammar.slots["body"]), name=spelt[8])
    own: dict[str, Sequence[str]] = {
        slot: rng.sample(grammar.slots[slot], count) for slot, count in _SUBJECT.items()
    }
    own |= {f"person{n}": (person,) for n, person in enumerate(persons, start=1)}
    own |= {"village": (spelt[6],), "town": (spelt[7],), "body": (body,)}
    return {**grammar.slots, **_with_capitals(own)}


def _sentences(grammar: _Grammar, slots: Slots, rng: random.Random, words: int) -> list[str]:
    sentences = [rng.choice(grammar.leads).fill(slots, rng)]
    missing = words - sentences[0].count(" ") - 1
    order: list[_Template] = []
    while missing > 0:
        if not order:
            order = rng.sample(grammar.sentences, len(grammar.sentences))
        sentences.append(order.pop().fill(slots, rng))
        missing -= sentences[-1].count(" ") + 1
    return sentences


def _paragraphs(sentences: Sequence[str], rng: random.Random) -> Iterator[str]:
    start = 0
    while start < len(sentences):
        end = start + rng.randint(2, 3)
        yield " ".join(sentences[start:end])
        start = end


def _headline(text: str) -> str:
    return " ".join(map(_capital, text.split()))


def _slug(title: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))
