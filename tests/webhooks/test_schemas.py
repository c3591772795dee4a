"""The schemas: one a type of events, which all events of it fit and nothing else does."""

import copy
import dataclasses
import json
from typing import Any

import pytest
from jsonschema import ValidationError

from tests.webhooks.schemas import FOLDER, check_body, validator
from tests.webhooks.test_events import FACTS, FEED, NOW
from worker.webhooks import (
    EndpointFacts,
    Rules,
    StoryUpdate,
    Verdict,
    endpoint_disabled,
    events,
    feed_failing,
    feed_recovered,
    story_created,
    story_updated,
    with_reason,
)
from worker.webhooks.events import EVENT_TYPES, STORY_CREATED, STORY_UPDATED, TEST_PING, Event

DISABLED = EndpointFacts(4, "desk", "desk.example", "gone", None, 3)
VERDICTS = [Verdict("min_sources", ("2",), ("3",), True), Verdict("none_of", ("x",), (), True)]
EVENTS: list[Event] = [
    story_created(FACTS, NOW),
    story_updated(StoryUpdate(FACTS, 1, ["text"], 2, ["Kabar Lembah", "lain.example"]), NOW),
    feed_failing(FEED, NOW),
    feed_recovered(FEED, NOW),
    endpoint_disabled(DISABLED, NOW),
    events.test_ping("desk", NOW),
]
BODIES = [event.body for event in EVENTS] + [with_reason(EVENTS[0].body, VERDICTS)]


def test_each_type_has_one() -> None:
    types = {*EVENT_TYPES, TEST_PING}
    assert {path.stem for path in FOLDER.iterdir()} == types == {event.type for event in EVENTS}
    for kind in types:
        schema = validator(kind).schema
        assert (schema["title"], schema["$id"]) == (kind, f"urn:kabar:event:{kind}")
        assert schema["description"]


@pytest.mark.parametrize("kind", [STORY_CREATED, STORY_UPDATED])
def test_they_know_each_rule(kind: str) -> None:
    data = validator(kind).schema["properties"]["data"]["properties"]
    named = data["reason"]["properties"]["rules"]["items"]["properties"]["rule"]["enum"]
    assert named == [field.name for field in dataclasses.fields(Rules)]


@pytest.mark.parametrize("body", BODIES)
def test_events_fit(body: bytes) -> None:
    check_body(body)


@pytest.mark.parametrize("body", BODIES)
def test_nothing_may_be_missing_and_nothing_be_there_besides(body: bytes) -> None:
    document = json.loads(body)
    changed = [*_without(document), *_with_more(document)]
    assert len(changed) > 4
    for other in changed:
        with pytest.raises(ValidationError):
            validator(document["type"]).validate(other)


@pytest.mark.parametrize("time", ["yesterday", 12])
def test_times_are_times(time: object) -> None:
    document = json.loads(EVENTS[0].body) | {"timestamp": time}
    with pytest.raises(ValidationError):
        validator("story.created").validate(document)


def test_names_of_one_endpoint_and_moment_are_one() -> None:
    again = endpoint_disabled(DISABLED, NOW)
    assert (again.event_key, again.webhook_id) == (EVENTS[4].event_key, EVENTS[4].webhook_id)


def _without(document: Any) -> list[Any]:
    """The document less one key, for each key that always has to be there."""
    changed = []
    for path in _tables(document):
        for key in _at(document, path):
            other = copy.deepcopy(document)
            del _at(other, path)[key]
            changed.append(other)
    return changed


def _with_more(document: Any) -> list[Any]:
    changed = []
    for path in _tables(document):
        other = copy.deepcopy(document)
        _at(other, path)["more"] = 1
        changed.append(other)
    return changed


def _tables(document: Any) -> list[tuple[str, ...]]:
    inner = [("data", key) for key, value in document["data"].items() if isinstance(value, dict)]
    return [(), ("data",), *inner]


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        document = document[key]
    return document
