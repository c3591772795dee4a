"""Messages: an event as people read it in a chat or a mail."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_SUMMARY = 1_000  # characters; some services take no more than 2,000 in all
_LINE = 200
# What chats take for a call to somebody, or to all (`@everyone`, `<!channel>`). An address of mail
# is none.
_MENTION = re.compile(r"(?<![\w.+-])@(?=\w)|<(?=[@!#&])")
_ZERO_WIDTH_SPACE = "\u200b"
_CHANGES = {
    "article": "another article joined",
    "text": "the text has changed",
    "translation": "now translated",
}


@dataclass(frozen=True, slots=True)
class Message:
    """A title of one line, and text."""

    title: str
    text: str


def message(body: bytes) -> Message:
    """The message that tells what an event's body tells."""
    document = json.loads(body)
    title, *lines = _WRITERS.get(document["type"], _other)(document)
    paragraphs = [text for line in lines if (text := _plain(line, _SUMMARY))]
    return Message(_plain(title, _LINE) or document["type"], "\n\n".join(paragraphs))


def _story(document: Mapping[str, Any]) -> list[str | None]:
    data, story = document["data"], document["data"]["story"]
    translated = next((one for one in story["translations"].values() if one), None)
    publishers = ", ".join(story.get("publishers", ())) or data["article"]["publisher"]
    language = f"translated from {story['language']}" if translated else story["language"]
    return [
        (translated or story)["title"] or story["title"],
        (translated or story)["summary"],
        " · ".join(one for one in (publishers or data["feed"]["title"], language) if one),
        story["url"],
    ]


def _update(document: Mapping[str, Any]) -> list[str | None]:
    title, *lines = _story(document)
    changes = (_CHANGES.get(change, change) for change in document["data"]["changes"])
    return [f"Update: {title}", f"({', '.join(changes)})", *lines]


def _failing(document: Mapping[str, Any]) -> list[str | None]:
    data = document["data"]
    why = data["detail"] or data["reason"] or ""
    return [
        f"Feed fails: {_name(data['feed'])}",
        f"{data['failures']} times in a row since {data['failing_since']}. {why}",
        f"The next try is at {data['next_poll_at']}.",
        data["feed"]["url"],
    ]


def _recovered(document: Mapping[str, Any]) -> list[str | None]:
    data = document["data"]
    return [
        f"Feed answers again: {_name(data['feed'])}",
        f"It had failed since {data['failing_since']}.",
        data["feed"]["url"],
    ]


def _disabled(document: Mapping[str, Any]) -> list[str | None]:
    data = document["data"]
    name = data["endpoint"]["name"]
    return [
        f"Endpoint disabled: {name}",
        data["detail"] or data["reason"],
        f"{data['held']} deliveries are held; `kabar endpoints resume {name}` sends them.",
    ]


def _ping(document: Mapping[str, Any]) -> list[str | None]:
    return ["Test", document["data"]["message"]]


def _other(document: Mapping[str, Any]) -> list[str | None]:
    return [document["type"]]


def _name(feed: Mapping[str, Any]) -> str:
    return feed["title"] or feed["url"] or f"feed {feed['id']}"


def _plain(text: str | None, limit: int) -> str:
    """`text`, not too long and calling nobody. A link stays whole."""
    if not text:
        return ""
    if not text.startswith(("https://", "http://")):
        text = text if len(text) <= limit else text[:limit].rstrip() + "…"
    return _MENTION.sub(rf"\g<0>{_ZERO_WIDTH_SPACE}", text)


_WRITERS: Mapping[str, Callable[[Mapping[str, Any]], list[str | None]]] = {
    "story.created": _story,
    "story.updated": _update,
    "feed.failing": _failing,
    "feed.recovered": _recovered,
    "endpoint.disabled": _disabled,
    "test.ping": _ping,
}
