"""Summarise an article: its lead, in whole sentences."""

from dataclasses import dataclass

from sentencex import segment

from worker.settings import ProcessSettings

_ABBREVIATIONS_OF = "en"  # where sentencex has no rules of its own it uses these too


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary and the method that made it."""

    text: str
    method: str


def summarize(text: str, language: str | None, settings: ProcessSettings) -> Summary | None:
    """The first whole sentences of `text`, None when it has none.

    The first sentence is always whole, however long it is.
    """
    taken: list[str] = []
    length = 0
    for sentence in _sentences(text, language):
        length += len(sentence) + 1
        if taken and length > settings.summary_characters:
            break
        taken.append(sentence)
        if len(taken) == settings.summary_sentences:
            break
    return Summary(" ".join(taken), "lead") if taken else None


def _sentences(text: str, language: str | None) -> list[str]:
    text = text.encode("utf-8", "replace").decode()  # sentencex refuses surrogates
    return [
        stripped
        for paragraph in text.split("\n\n")
        for sentence in segment(language or _ABBREVIATIONS_OF, paragraph)
        if (stripped := sentence.strip())
    ]
