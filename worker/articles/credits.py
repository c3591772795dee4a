"""Credits of an article: who edited it, and the agencies and papers that it names as sources."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from worker.articles import bylines, plain

_LONGEST = 250  # characters of a line of credits
_LONGEST_SOURCE = 60
_SHORT = 4
_AROUND = " .:*()[]\"'“”"
_FILE = Path("config/sources.toml")

_WRITERS = (
    "penulis|reporter|pewarta|laporan wartawan|wartawan|jurnalis|kontributor|rep|laporan|by|"
    "written by|reporting by|text|texto|autor|autorin|auteur|muhabir|oleh|von|par|por|door|przez|"
    "autore|testo|tekst|автор|текст|作者|记者|記者|기자|tác giả|लेखक|بقلم|كتب"
)
_EDITORS = (
    "editor|editing by|edited by|penyunting|redaktur|red|redaksi|redacteur en chef|redakteur|"
    "bearbeitet von|editado por|düzenleyen"
)
_SOURCES = (
    "sumber(?: berita| artikel| tulisan)?|sources?|quellen?|fuentes?|fontes?|fonti|fonte|bron|"
    "bronnen|źródło|kaynak|источник|来源|來源|出典|المصدر|nguồn"
)
_LABEL = re.compile(
    rf"(?<!\w)(?:(?P<writer>{_WRITERS})|(?P<editor>{_EDITORS})|(?P<source>{_SOURCES})|"
    rf"(?P<other>foto|photo|fotografer|copyright|uploader|pengunggah|translator|penerjemah|tags?))"
    r"\s*[:：]\s*",
    re.IGNORECASE,
)
_STOP = re.compile(r"\s*(?:[|•·\n©]|\s/\s|/\s|copyright\b)", re.IGNORECASE)
_NAME = r"[A-Z][\w'.-]{0,24}(?: (?!Editor\b|Redaktur\b|Penyunting\b)[A-Z][\w'.-]{0,24}){0,4}"
_WITHOUT_COLON = r"(?:Reporter|Penulis|Pewarta|Editor|Redaktur|Penyunting|Laporan Wartawan)"
_UNLABELLED = re.compile(
    rf"{_WITHOUT_COLON} {_NAME}(?:,? {_NAME})?(?:[ |,/]+{_WITHOUT_COLON} {_NAME})*"
)
_TAIL = re.compile(
    r"[(\[]?\s*(?P<names>[\w .-]{2,24}(?:\s*[/,]\s*[\w .-]{2,24}){0,4})\s*[)\]]?[.*]?"
)
_INITIALS = re.compile(r"[a-z]{2,4}")


@dataclass(frozen=True, slots=True)
class Credits:
    """Reporters, editor and sources; sources by the names of config/sources.toml."""

    authors: tuple[str, ...] = ()
    editor: str | None = None
    sources: tuple[str, ...] = ()


def read(lines: Iterable[str]) -> Credits:
    """What the lines say that stand before and behind an article: "Penulis: X | Editor: Y",
    "Sumber: Aljazeera", "(dpa/lno)". A line of prose says nothing.
    """
    authors: list[tuple[str, ...]] = []
    editors: list[str] = []
    sources: list[str] = []
    for line in lines:
        if len(line) > _LONGEST:
            continue
        found = _of(plain.line(line))
        authors.append(found.authors)
        editors.extend([found.editor] if found.editor else [])
        sources.extend(found.sources)
    editor = editors[0] if editors else None
    names = tuple(one for one in bylines.union(authors) if one != editor)
    return Credits(names, editor, tuple(dict.fromkeys(sources)))


def agency(name: str) -> str | None:
    """The name that config/sources.toml has for the agency or paper `name`.

    A short one counts as it is written there only: Ani is a name, and ANI an agency.
    """
    name = name.strip(_AROUND)
    return _table().get(name if len(name) <= _SHORT else plain.key(name))


def sources(words: str) -> tuple[str, ...]:
    """The sources that `words` lists ("AFP/Reuters", "Aljazeera, BBC"), normalised where known."""
    if whole := agency(words):
        return (whole,)
    found = []
    for part in re.split(r"\s*[,;/&]\s*|\s+(?:dan|and|und|y|et)\s+", words[:_LONGEST]):
        name = part.strip(_AROUND)
        if 2 <= len(name) <= _LONGEST_SOURCE and "://" not in name:
            found.append(agency(name) or name)
    return tuple(dict.fromkeys(found))


_SIGN = re.compile(
    r"(?<=[.!?…。！？”\"»」])\s*(?:[-–—]{1,2}\s*)?"
    r"(?:[(（\[](?P<bracketed>[^()（）\[\]]{2,40})[)）\]]|(?<=\s)(?P<bare>[\w./, -]{2,40}?))"
    r"\s*\.?\s*$"
)
_SIGN_WITHIN = 80  # characters from the end of a text


def signed(text: str) -> tuple[str, tuple[str, ...]]:
    """A last paragraph without the agencies that sign it behind its last sentence, and those:
    "… di kota. (ant/AFP)", "… a mediodía. EFE", "…計画だ。（共同）"; as it is where none does.
    """
    before = max(0, len(text) - _SIGN_WITHIN)
    for match in _SIGN.finditer(text[before:]):
        if found := _tail(match["bracketed"] or match["bare"]):
            return text[: before + match.start()].rstrip(), found
    return text, ()


_WITH = re.compile(
    r"(?:^|[\s,(/])(?:avec|mit|with|con|com|met|med|bersama)\s+(?P<names>[^.:!?]{2,60}?)[\s)]*$",
    re.IGNORECASE,
)


def helped(byline: str) -> tuple[str, ...]:
    """The agencies that a byline's end names beside its author: "Par Gwen Le Bihan avec AFP"."""
    match = _WITH.search(byline) if len(byline) <= _LONGEST else None
    found = sources(match["names"]) if match else ()
    return found if all(agency(one) for one in found) else ()


def _of(line: str) -> Credits:
    labels = list(_LABEL.finditer(line))
    if labels and _opens(line[: labels[0].start()]):
        return _labelled(line, labels)
    if _UNLABELLED.fullmatch(line):
        line = re.sub(rf"({_WITHOUT_COLON}) ", r"\1: ", line)
        return _labelled(line, list(_LABEL.finditer(line)))
    return Credits(sources=_tail(line))


def _opens(before: str) -> bool:
    """Whether a label behind `before` is one, and not a word of a sentence."""
    before = before.strip()
    return len(before) <= 2 or (
        len(before) <= 60 and before.endswith(("|", "•", "·", "/", "-", "–"))
    )


def _labelled(line: str, labels: list[re.Match[str]]) -> Credits:
    found: dict[str, list[str]] = {"writer": [], "editor": [], "source": [], "other": []}
    ends = [label.start() for label in labels[1:]] + [len(line)]
    for label, end in zip(labels, ends, strict=True):
        value = _STOP.split(line[label.end() : end], maxsplit=1)[0].strip()
        found[label.lastgroup or "other"].append(value)
    writers, editors = _names(found["writer"]), _names(found["editor"])
    named = [one for value in found["source"] if len(value) <= 120 for one in sources(value)]
    return Credits(
        tuple(name for name in writers if not agency(name)),
        editors[0] if editors else None,
        tuple(dict.fromkeys([*filter(None, map(agency, writers)), *named])),
    )


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return bylines.union(bylines.names(value) for value in values if len(value) <= 80)


def _tail(line: str) -> tuple[str, ...]:
    """The agencies of a line like `aja/PAP`; () when it holds anything else but initials."""
    match = _TAIL.fullmatch(line) if len(line) <= 60 else None
    if not match:
        return ()
    parts = re.split(r"\s*[/,]\s*", match["names"].strip())
    known = [agency(part) for part in parts]
    if any(
        not name and not _INITIALS.fullmatch(part) for name, part in zip(known, parts, strict=True)
    ):
        return ()
    return tuple(dict.fromkeys(name for name in known if name))


@cache
def _table() -> Mapping[str, str]:
    file = _FILE if _FILE.is_file() else Path(__file__).parents[2] / _FILE
    table: dict[str, str] = {}
    for group in tomllib.loads(file.read_text("utf-8")).values() if file.is_file() else ():
        for name, others in group.items():
            for one in (name, *others):
                table.setdefault(one if len(one) <= _SHORT else plain.key(one), name)
    return table
