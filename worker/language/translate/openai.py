"""The engine `openai`: a language model behind OpenAI's chat API."""

import json
import re
import secrets
from collections.abc import Sequence
from typing import Any

from worker.language.translate import prompts
from worker.language.translate.chat import Chat
from worker.language.translate.services import Post, ServiceEngine, TooMuchError
from worker.settings import OpenAiSettings

_MOST_TEXTS = 16
_MOST_CHARACTERS = 6_000
_SPARE_TOKENS = 64  # for the JSON around the texts, each
_FENCED = re.compile(r"```[^\n`]*\n?(.*?)\n?```", re.DOTALL)
_EMPHASIS = ("**", "__", "`")


class OpenAi(ServiceEngine):
    """Texts go out and come back as numbered JSON."""

    name = "openai"
    is_llm = True
    most_texts = _MOST_TEXTS
    most_characters = _MOST_CHARACTERS

    def __init__(self, settings: OpenAiSettings, post: Post) -> None:
        self._chat = Chat(settings, post)
        self._model = settings.model

    def model(self, source: str, target: str) -> str:
        """The model of the settings."""
        return self._model

    def knows(self, source: str, target: str) -> bool:
        """Any two languages: what comes of it is judged."""
        return source != target

    def ask(self, batch: Sequence[str], source: str, target: str, deadline: float) -> list[str]:
        """As `ServiceEngine.ask`."""
        nonce = secrets.token_hex(8)
        messages = prompts.messages(batch, source, target, nonce)
        # A token a character is the most that any script needs.
        most_tokens = sum(_SPARE_TOKENS + len(text) for text in batch)
        said = self._chat.ask(messages, _schema(len(batch)), most_tokens, deadline)
        made = _numbered(said, len(batch))
        if any(nonce in text for text in made):
            raise TooMuchError("the model repeated what marks the texts")
        return [_bare(text, asked) for text, asked in zip(made, batch, strict=True)]


def _schema(count: int) -> dict[str, Any]:
    """For an object with a text for each number: a server that keeps to it cannot lose count."""
    keys = [str(number) for number in range(1, count + 1)]
    return {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": keys,
        "additionalProperties": False,
    }


def _numbered(content: str, count: int) -> list[str]:
    """The texts of a JSON object with the keys 1 to `count`; else raises `TooMuchError`."""
    try:
        found = json.loads(content[content.index("{") : content.rindex("}") + 1], strict=False)
    except (ValueError, RecursionError):
        raise TooMuchError("the model's answer holds no JSON object") from None
    wanted = [str(number) for number in range(1, count + 1)]
    if sorted(found) != sorted(wanted):
        raise TooMuchError(f"{len(found)} texts came back for {count}, or under other numbers")
    if not all(isinstance(text, str) for text in found.values()):
        raise TooMuchError("the model's answer holds something else than texts")
    return [found[number] for number in wanted]


def _bare(text: str, asked: str) -> str:
    """The translation without the Markdown that a model may have put around it."""
    text = prompts.plain(text).strip()
    if "```" not in asked:
        text = _FENCED.sub(r"\1", text).strip()
    for mark in _EMPHASIS:
        if mark not in asked and text.startswith(mark) and text.endswith(mark):
            text = text[len(mark) : -len(mark)].strip()
    return text
