"""docs/webhooks.md: its example for receivers, run on what is sent."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from worker.settings import WebhookSettings
from worker.webhooks import generate_secret, headers
from worker.webhooks.events import EVENT_TYPES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text("utf-8")


def test_the_example_in_python_verifies() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    page: dict[str, Any] = {}
    exec(code, page)
    secret, new = generate_secret(), generate_secret()
    body = '{"title": "Sungai “meluap”"}'.encode()
    sent = headers(new, "msg_a", int(datetime.now(UTC).timestamp()), body, old=[secret])
    for one in (secret, new):
        assert page["receive"](one, dict(sent), body) == {"title": "Sungai “meluap”"}
    with pytest.raises(WebhookVerificationError):
        page["receive"](secret, dict(sent), body + b" ")


def test_the_page_has_all_events_and_the_schedule_that_there_is() -> None:
    assert all(f"`{kind}`" in PAGE for kind in EVENT_TYPES)
    waits = WebhookSettings().retry_seconds
    assert waits == (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
    assert "after 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h" in PAGE
