"""Match: which endpoint is told of which event.

An endpoint subscribes to types of events. Of stories it may want some only: those that pass each of
its rules. A rule that names nothing lets everything through.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import re2

from worker.errors import KabarError

MOST_SOURCES = 100
_MOST = 200  # entries of a rule
_LONGEST = 200  # characters of a keyword or pattern
_READ = 20_000  # characters of a text that are looked at
_MEMORY = 1 << 20  # bytes that a pattern may take; it is refused when it needs more
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u2060\ufeff"))
# Scripts that put no space between words: each place in them may be the end of one.
_UNSPACED = (
    "CJK ", "HIRAGANA ", "KATAKANA", "BOPOMOFO ", "THAI ", "LAO ", "KHMER ", "MYANMAR ",
)  # fmt: skip


class InvalidRuleError(KabarError):
    """A rule that cannot be used; one line that says what was expected."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What stories an endpoint wants to be told of.

    `languages` are tags that stand for those below them too (`pt` for `pt-BR`; RFC 4647 §3.3.1),
    `feeds` numbers of the store, `feed_tags` stand for the tags below them. `publishers` are names,
    or hosts that stand for those below them, `topics` what the article's site files it under, in
    any case. Keywords (`any_of`, `all_of`, `none_of`) are looked for in titles and summaries,
    original and translated, whole words in any case; `*` at an end lets the word go on there, and
    `/…/` is a pattern of RE2. `min_sources`: how many publishers have to carry the story before it
    is told.
    """

    languages: tuple[str, ...] = ()
    feeds: tuple[int, ...] = ()
    feed_tags: tuple[str, ...] = ()
    publishers: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    min_sources: int = 1

    def __bool__(self) -> bool:
        return self != Rules()


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rules look at: the article that opened the story, and the feeds that list it."""

    language: str | None
    feed_ids: Collection[int]
    feed_tags: Collection[str]
    publisher: str | None
    url: str | None
    topics: Collection[str]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of a story. `found` is what of it the story has."""

    rule: str
    wanted: tuple[str, ...]
    found: tuple[str, ...]
    passed: bool


def wants(event_types: Collection[str], event_type: str) -> bool:
    """Whether an endpoint that subscribed to `event_types` is told of an event of this type."""
    return event_type in event_types


def judge(rules: Rules, subject: Subject) -> tuple[Verdict, ...]:
    """What each rule that names something says, except `min_sources`: that is `judge_sources`."""
    found = {
        "languages": _languages(rules.languages, subject.language),
        "feeds": tuple(one for one in rules.feeds if one in subject.feed_ids),
        "feed_tags": _below(rules.feed_tags, subject.feed_tags, "/"),
        "publishers": _publishers(rules.publishers, subject),
        "topics": _topics(rules.topics, subject.topics),
        **_keywords(rules, subject.texts),
    }
    return tuple(
        Verdict(rule, _words(wanted), _words(found[rule]), _passes(rule, wanted, found[rule]))
        for rule in found
        if (wanted := getattr(rules, rule))
    )


def judge_sources(rules: Rules, sources: int) -> tuple[Verdict, ...]:
    """What `min_sources` says of a story that so many publishers carry; nothing without it."""
    if rules.min_sources <= 1:
        return ()
    passed = sources >= rules.min_sources
    return (Verdict("min_sources", (str(rules.min_sources),), (str(sources),), passed),)


def source_of(publisher: str | None, url: str | None) -> str:
    """By what publishers are told apart: the name, else the host."""
    return _plain(publisher) if publisher else _host(url)


def read_rules(stored: Mapping[str, Any] | None) -> Rules:
    """The rules of an endpoint's row."""
    given = {name: _read(value) for name, value in (stored or {}).items()}
    return Rules(**given)


def store_rules(rules: Rules) -> dict[str, Any] | None:
    """The rules as a row keeps them: those that name something."""
    nothing = Rules()
    values = {field.name: getattr(rules, field.name) for field in fields(Rules)}
    kept = {name: value for name, value in values.items() if value != getattr(nothing, name)}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in kept.items()} or None


def check_rules(rules: Rules) -> None:
    """Raise `InvalidRuleError` unless the rules can be used."""
    for field in fields(Rules):
        value = getattr(rules, field.name)
        if isinstance(value, tuple) and len(value) > _MOST:
            raise InvalidRuleError(f"{len(value)} {field.name}: {_MOST} are the most")
    if not 1 <= rules.min_sources <= MOST_SOURCES:
        raise InvalidRuleError(f"min_sources {rules.min_sources}: 1 to {MOST_SOURCES} is expected")
    for word in (*rules.languages, *rules.feed_tags, *rules.publishers, *rules.topics):
        if not word.strip():
            raise InvalidRuleError("a rule names nothing: leave it out")
    for keyword in (*rules.any_of, *rules.all_of, *rules.none_of):
        _check_keyword(keyword)


def _check_keyword(keyword: str) -> None:
    if len(keyword) > _LONGEST:
        raise InvalidRuleError(f"a keyword of {len(keyword)} characters: {_LONGEST} are the most")
    if not _is_pattern(keyword):
        if not _plain(keyword).strip("* "):
            raise InvalidRuleError(f"{keyword!r} is no keyword: a word is expected")
        return
    try:
        _compile(keyword)
    except re2.error as error:
        said = error.args[0]
        why = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        raise InvalidRuleError(f"{keyword} is no pattern of RE2: {why}") from None


def _passes(rule: str, wanted: Sequence[Any], found: Sequence[Any]) -> bool:
    if rule == "none_of":
        return not found
    return len(found) == len(wanted) if rule == "all_of" else bool(found)


def _languages(wanted: Sequence[str], language: str | None) -> tuple[str, ...]:
    return _below(wanted, [language] if language else [], "-")


def _below(wanted: Sequence[str], given: Collection[str], separator: str) -> tuple[str, ...]:
    """Which of `wanted` is one of those given, or has one below it."""
    plain = [_plain(one) for one in given]
    return tuple(
        one
        for one in wanted
        if any(own == _plain(one) or own.startswith(_plain(one) + separator) for own in plain)
    )


def _publishers(wanted: Sequence[str], subject: Subject) -> tuple[str, ...]:
    name, host = _plain(subject.publisher or ""), _host(subject.url)
    plain = {one: _plain(one) for one in wanted}
    return tuple(one for one, own in plain.items() if own in {name, host} or _ends(host, own))


def _topics(wanted: Sequence[str], given: Collection[str]) -> tuple[str, ...]:
    plain = {_plain(one) for one in given} if wanted else set()
    return tuple(one for one in wanted if _plain(one.lstrip("#")) in plain)


def _ends(host: str, domain: str) -> bool:
    return "." in domain and host.endswith(f".{domain}")


def _host(url: str | None) -> str:
    try:
        return (urlsplit(url or "").hostname or "").removeprefix("www.")
    except ValueError:  # a bracket in it
        return ""


def _keywords(rules: Rules, texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    asked = {name: getattr(rules, name) for name in ("any_of", "all_of", "none_of")}
    if not any(asked.values()):
        return dict.fromkeys(asked, ())
    plain = [_plain(text) for text in texts if text]
    whole = [_tidy(text) for text in texts if text]
    return {
        name: tuple(one for one in wanted if _occurs(one, plain, whole))
        for name, wanted in asked.items()
    }


def _occurs(keyword: str, plain: Iterable[str], whole: Iterable[str]) -> bool:
    if _is_pattern(keyword):
        return any(_compile(keyword).search(text) for text in whole)
    word = _plain(keyword)
    return any(_has(text, word) for text in plain)


def _has(text: str, keyword: str) -> bool:
    word = keyword.strip("*")
    open_before, open_after = keyword.startswith("*"), keyword.endswith("*")
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if (open_before or not _hang_together(text[start - 1 : start], word[0])) and (
            open_after or not _hang_together(word[-1], text[end : end + 1])
        ):
            return True
        start = text.find(word, start + 1)
    return False


def _hang_together(before: str, after: str) -> bool:
    """Whether two neighbours belong to one word."""
    return all(map(_is_letter, (before, after))) and not any(map(_is_unspaced, (before, after)))


def _is_letter(character: str) -> bool:
    return character.isalnum() or (
        character != "" and (character == "_" or unicodedata.category(character)[0] == "M")
    )


def _is_unspaced(character: str) -> bool:
    return not character.isascii() and unicodedata.name(character, "").startswith(_UNSPACED)


def _is_pattern(keyword: str) -> bool:
    return len(keyword) > 2 and keyword.startswith("/") and keyword.endswith("/")


@lru_cache(maxsize=1_000)
def _compile(keyword: str) -> Any:
    """RE2 takes linear time and bounded memory, whatever the pattern and the text."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MEMORY
    return re2.compile(keyword[1:-1], options)


def _plain(text: str) -> str:
    """`text` so that equal words are equal: caseless and compatible (Unicode 3.13, D146)."""
    return unicodedata.normalize("NFKC", _tidy(text).casefold())


def _tidy(text: str) -> str:
    known = unicodedata.normalize("NFKC", text[:_READ].translate(_INVISIBLE))
    return " ".join(known.split())


def _read(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _words(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, values))
