"""Identify a text's language: py3langid, with what the publisher declares and what it mostly
writes for priors.
"""

import re
import tomllib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

Prior = Literal["declared", "host"]
Priors = Sequence[tuple[Prior, str]]

_SURE = 0.8  # measured on 2,800 lines: right 99.95 % of the time
_SURE_OF_TWINS = 0.95  # where its twin is declared: some Indonesian lines are ms with 0.82
_LIKELY = 0.5  # right 98.5 % of the time
_POSSIBLE = 0.01
_AMONG = 3  # a prior that the text does not rule out is among as many
_SAMPLES = (64, 240, 1_500)  # characters; more are read only where the fewer leave a doubt

_USUAL_OF = 20  # sure articles after which a host has a usual language
_USUAL_SHARE = 0.9

_NO_LANGUAGE = "zxx"
_MAY_BE_NOISE = re.compile(r"[@#/]|www\.")
_NOISE = re.compile(r"(?:https?://|www\.)\S+|[@#]\w+|[\w.+-]+@[\w.-]+")


@dataclass(frozen=True, slots=True)
class Identified:
    """A language (BCP 47 primary tag, None when it cannot be told), and by what it was told.

    Only what the text itself told, beyond doubt or as was expected, `is_sure`: worth remembering of
    its host.
    """

    language: str | None
    by: Literal["text", "declared", "host", "nothing"]
    is_sure: bool = False


_UNKNOWN = Identified(None, "nothing")


def identify(
    text: str, declared: str | None = None, seen: Mapping[str, int] | None = None
) -> str | None:
    """The language of `text` as a BCP 47 primary tag, None when it cannot be told.

    `declared` is the tag that the page or feed gives itself, `seen` how many sure articles its host
    had in each language.
    """
    return weigh(text, declared, seen).language


def weigh(
    text: str, declared: str | None = None, seen: Mapping[str, int] | None = None
) -> Identified:
    """As `identify`, and by what the language was told."""
    told: Mapping[Prior, str | None] = {"declared": primary(declared), "host": usual(seen or {})}
    priors = [(by, language) for by, language in told.items() if language]
    languages = [language for _, language in priors]
    read = ""
    for characters in _SAMPLES:
        sample = _without_noise(text[:characters])
        if len(sample) == len(read) or not any(map(str.isalpha, sample)):
            continue
        read = sample
        best, probability = _identifier().classify(sample)
        if probability >= _enough(best, languages) and best != _NO_LANGUAGE:
            return Identified(best, "text", is_sure=True)
    return _in_doubt(read, priors) if read else _UNKNOWN


def _without_noise(text: str) -> str:
    if _MAY_BE_NOISE.search(text):
        text = _NOISE.sub(" ", text)
    return " ".join(text.split())


def primary(tag: str | None) -> str | None:
    """The language of a tag such as `id-ID`, `en_US` or `in` (which is what `id` was)."""
    if not tag:
        return None
    language = tag.strip().replace("_", "-").partition("-")[0].lower()
    return _names().get(language, language) or None


def usual(seen: Mapping[str, int]) -> str | None:
    """The language that a host writes in, None while it has written little or in several."""
    total = sum(seen.values())
    if total < _USUAL_OF:
        return None
    language, number = max(seen.items(), key=lambda item: (item[1], item[0]))
    return language if number >= total * _USUAL_SHARE else None


def are_twins(first: str, second: str) -> bool:
    """Whether the two are of those that are taken for each other."""
    return second in _twins(first)


def _in_doubt(sample: str, priors: Priors) -> Identified:
    ranked = [one for one in _identifier().rank(sample) if one[0] != _NO_LANGUAGE]
    chances = dict(ranked)
    best = ranked[0][0]
    among = {language for language, _ in ranked[:_AMONG]} | _twins(best)
    if plausible := [(by, prior) for by, prior in priors if prior in among]:
        by, prior = max(plausible, key=lambda pair: chances.get(pair[1], 0.0))
        return Identified(prior, by)
    if _together(best, chances) >= _LIKELY:
        return Identified(best, "text")
    host = dict(priors).get("host")
    if host and chances.get(host, 0.0) >= _POSSIBLE:
        return Identified(host, "host")
    return _UNKNOWN


def _enough(best: str, priors: Sequence[str]) -> float:
    """How probable the text alone has to make a language."""
    if any(prior != best and are_twins(prior, best) for prior in priors):
        return _SURE_OF_TWINS
    return _LIKELY if best in priors else _SURE


def _together(best: str, chances: Mapping[str, float]) -> float:
    return sum(chances.get(language, 0.0) for language in {best} | _twins(best))


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # numpy and a model of 4 MB

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    # Its tables as lists of integers are 7 MB all over the memory: half of the time of a walk
    # through them. As arrays they are 1 MB.
    for name in ("_rowbase", "tk_output"):
        if isinstance(table := getattr(identifier, name, None), list):
            setattr(identifier, name, array("i", table))
    return identifier


@cache
def _twins(language: str) -> frozenset[str]:
    return frozenset(twin for group in _data()["groups"] if language in group for twin in group)


def _names() -> Mapping[str, str]:
    names: Mapping[str, str] = _data()["tags"]
    return names


@cache
def _data() -> Mapping[str, Any]:
    file = resources.files("worker.language") / "data" / "languages.toml"
    return tomllib.loads(file.read_text("utf-8"))
