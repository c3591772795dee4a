"""A text in the pieces that an engine takes, which translates one sentence at a time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from worker.language import sentences

_LINES = re.compile(r"(\s*\n\s*)")
_WITHOUT_BLANKS = frozenset({"zh", "ja", "yue"})
_DENSE = frozenset({"zh", "ja", "yue", "ko", "th", "lo", "km", "my", "bo", "dz"})
# The engine takes 127 tokens: two and more characters each, in these scripts hardly one.
_LONGEST = 350
_LONGEST_DENSE = 110
_CLAUSE = re.compile(r"[;:,；：，、؛،](?=\s|[^\s\d])")
_BYTES = re.compile(r"(?:<0x[0-9A-Fa-f]{2}>)+")


@dataclass(frozen=True, slots=True)
class Pieces:
    """`before[n]` is what stands before the n-th of `sentences`: as it is, or None for the usual
    blank between two sentences; what is behind the last one is `after`.
    """

    sentences: tuple[str, ...]
    before: tuple[str | None, ...]
    after: str


def take_apart(text: str, language: str) -> Pieces:
    """The sentences of `text`, none of them too long for the engine, and what is between them."""
    text = text.replace("\0", "").encode("utf-8", "replace").decode()
    found: list[str] = []
    before: list[str | None] = []
    gap: str | None = ""
    for position, line in enumerate(_LINES.split(text)):
        if position % 2:
            gap = (gap or "") + line
            continue
        for sentence in _sentences(line, language):
            found.append(sentence)
            before.append(gap)
            gap = None
    return Pieces(tuple(found), tuple(before), gap or "")


def is_told(sentence: str) -> bool:
    """Whether there is anything in it to translate: without letters it stays as it is."""
    return any(map(str.isalpha, sentence))


def put_together(pieces: Pieces, translated: Sequence[str], target: str) -> str:
    """The translated text; empty when nothing came of one of its sentences."""
    if not all(map(str.strip, translated)):
        return ""
    blank = "" if _primary(target) in _WITHOUT_BLANKS else " "
    parts = [
        (blank if gap is None else gap) + fold_bytes(one.strip())
        for gap, one in zip(pieces.before, translated, strict=True)
    ]
    return "".join(parts) + pieces.after


def fold_bytes(text: str) -> str:
    """`text` with the characters that a model wrote byte by byte (`<0xC3><0xA9>`).

    Such bytes as are no UTF-8 are left out.
    """
    return _BYTES.sub(
        lambda run: bytes.fromhex(run[0].replace("<0x", "").replace(">", "")).decode(
            errors="ignore"
        ),
        text,
    )


def _sentences(line: str, language: str) -> list[str]:
    longest = _LONGEST_DENSE if _primary(language) in _DENSE else _LONGEST
    whole = [one.strip() for one in sentences.split(line, _primary(language))]
    return [piece for one in whole if one for piece in _short(one, longest)]


def _short(sentence: str, longest: int) -> list[str]:
    pieces = []
    while len(sentence) > longest:
        place = _place(sentence, longest)
        pieces.append(sentence[:place].strip())
        sentence = sentence[place:].strip()
    return [piece for piece in (*pieces, sentence) if piece]


def _place(sentence: str, longest: int) -> int:
    """Where to cut: behind the last mark of a clause, else at a blank, else anywhere."""
    marks = [mark.end() for mark in _CLAUSE.finditer(sentence, longest // 3, longest)]
    if marks:
        return marks[-1]
    return sentence.rfind(" ", longest // 3, longest) + 1 or longest


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()
