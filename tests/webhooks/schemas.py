"""The schemas of the events, and what does not fit them."""

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from sqlalchemy import Engine, select

from worker import webhooks
from worker.store.models import Delivery, Event

FOLDER = Path(webhooks.__file__).parent / "schemas"
_FORMATS = FormatChecker()


def check_body(body: bytes) -> None:
    """Fail unless an event's body fits the schema of its type."""
    document = json.loads(body)
    validator(document["type"]).validate(document)


def check_events(engine: Engine) -> None:
    """Fail unless all that a store holds to be sent fits."""
    with engine.connect() as connection:
        own = select(Delivery.body).where(Delivery.body.is_not(None))
        for body in connection.scalars(select(Event.body).union_all(own)):
            check_body(body)


@cache
def validator(kind: str) -> Draft202012Validator:
    """The schema of a type of events."""
    schema = json.loads((FOLDER / f"{kind}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(_closed(schema), format_checker=_FORMATS)


def _closed(node: Any) -> Any:
    """A schema that refuses keys which it does not know: receivers are to let new ones pass."""
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    closed = {"additionalProperties": False} if isinstance(node.get("required"), list) else {}
    return closed | {key: _closed(value) for key, value in node.items()}


@_FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    # RFC 3339; jsonschema checks it only with another library.
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None
