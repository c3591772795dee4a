import os
import pty
import re
import select
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from worker.demo.article import written
from worker.demo.ledger import Arrival, Ledger
from worker.demo.newsroom import Publication
from worker.demo.receiver import Alert, Receiver
from worker.demo.screen import Screen
from worker.webhooks import generate_secret

AT = datetime(2026, 1, 1, 23, 30, 5, tzinfo=UTC)
WIDTHS = pytest.mark.parametrize("width", [60, 80, 120, 200])


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TZ", "Asia/Jakarta")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def arrival(story: dict[str, Any] | None = None, article: dict[str, Any] | None = None) -> Arrival:
    text = written()[3]
    data = {
        "story": {
            "id": "7",
            "title": text.title,
            "summary": " ".join(text.paragraphs[:2]),
            "translations": {"en": None},
            "published_at": AT.isoformat(),
            **(story or {}),
        },
        "article": {"url": "http://a/1", "publisher": "Pesisir Kini", **(article or {})},
    }
    alert = Alert("msg_1", b"", AT + timedelta(seconds=2.14), "7", data)
    return Arrival(alert, Publication(text, 0, "http://a/1", AT))


def shown(capsys: pytest.CaptureFixture[str], *arrivals: Arrival) -> str:
    screen = Screen()
    for each in arrivals:
        screen.alert(each)
    return capsys.readouterr().out


def told(text: str) -> str:
    """What the lines say, without the frame."""
    return " ".join(text.replace("│", " ").split())


@WIDTHS
def test_an_alert_says_all_of_it(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    translation = "Along the sugar-cane rails of Ketanggen, from scrap iron to tourist train"
    text = shown(
        capsys,
        arrival(
            {
                "translations": {
                    "en": {
                        "title": translation,
                        "summary": "The whistle blew three times.",
                        "engine": "local-llm",
                        "model": "gemma",
                        "quality": ["draft", "numbers"],
                    }
                }
            },
            {"credited_sources": ["ANTARA", "Reuters"]},
        ),
    )
    assert max(map(cell_len, text.splitlines())) <= width
    found = told(text)
    places = [
        found.index(part)
        for part in (
            "● new story",
            written()[3].title,
            translation,
            written()[3].paragraphs[1],
            "The whistle blew three times.",
            "publisher Pesisir Kini",
            "source ANTARA, Reuters",
            "published 2026-01-02 06:30:05 WIB",
            "translated by local-llm (draft, numbers)",
            "latency 2.1 s",
        )
    ]
    assert places == sorted(places)
    assert "\x1b" not in text


@WIDTHS
def test_what_is_not_there_is_not_shown(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = shown(
        capsys,
        arrival(),
        arrival({"translations": {}, "summary": None, "published_at": None}, {"publisher": None}),
        arrival({"translations": {"en": {"title": None}}}, {"credited_sources": []}),
    )
    assert max(map(cell_len, text.splitlines())) <= width
    for absent in ("None", "source", "{", "\x1b"):
        assert absent not in text
    assert text.count("● ") == 3
    assert text.count("published") == 2
    assert "publisher  unknown" in text


def test_markup_and_long_words_are_only_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = shown(capsys, arrival({"title": "[red]A[/red] [/] :smile:", "summary": "x" * 300}))
    assert "[red]A[/red] [/] :smile:" in text
    assert max(map(cell_len, text.splitlines())) <= 60
    assert text.count("x") - text.count("next") == 300


@WIDTHS
def test_the_closing_table_fits(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    publications = [arrival().publication]
    ledger = Ledger(lambda: publications)
    assert ledger.add(arrival().alert)
    Screen().closing(ledger, Receiver(generate_secret()), publications, AT)
    text = capsys.readouterr().out
    assert max(map(cell_len, text.splitlines())) <= width
    assert "publication to alert, 95 %" in text
    assert re.search(r"of them translated +│ +0 ", text)


def test_nothing_moves_on_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for forced in ("0", "1"):
        monkeypatch.setenv("FORCE_COLOR", forced)
        with Screen().progress(lambda: "waiting"):
            pass
        assert capsys.readouterr().out == ""


def test_a_terminal_shows_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    state = "waiting"
    master, slave = pty.openpty()
    try:
        with os.fdopen(slave, "w", encoding="utf-8") as terminal:
            monkeypatch.setattr(sys, "stdout", terminal)
            screen = Screen()
            with screen.progress(lambda: state):
                read_until(master, "waiting")
                screen.say("published: something")
                read_until(master, "published: something")
                state = "another state, " * 10
                drawn = read_until(master, "…")
            monkeypatch.undo()
            terminal.flush()
            read_until(master, "\x1b[?25h")  # the cursor is there again
    finally:
        os.close(master)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn).splitlines()
    assert max(map(cell_len, lines)) <= 60


def read_until(descriptor: int, text: str) -> str:
    """What the terminal was sent, once that holds `text`; fail when it never does."""
    seen = ""
    for _ in range(60):
        ready, _, _ = select.select([descriptor], [], [], 10)
        assert ready, f"{text!r} is not in {seen!r}"
        seen += os.read(descriptor, 65_536).decode("utf-8", "replace")
        if text in seen:
            return seen
    raise AssertionError(seen)
