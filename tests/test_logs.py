"""Logs: one line an event, with the ids that are bound, and without secrets."""

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import structlog

from worker import logs
from worker.reasons import Reason
from worker.settings import LogSettings

log = logs.get(__name__)


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where the lines go. Afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    named = {name: logging.getLogger(name).level for name in logs._CHATTY}
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in named.items():
        logging.getLogger(name).setLevel(was)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def as_json(out: io.StringIO, level: Literal["debug", "info", "error"] = "info") -> None:
    logs.configure(LogSettings(format="json", level=level), out)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def fail_with_a_secret() -> None:
    password = f"hunter{1 + 1}"  # not in the source, which a traceback may quote
    raise ValueError("it broke" if password else "")


def test_each_line_is_one_document(out: io.StringIO) -> None:
    as_json(out)
    log.info("two\nlines", reason=Reason.GONE, text="\ud800\x00\u2028", raw=b"\xff")
    log.info("more", at=datetime(2026, 11, 24, tzinfo=UTC), thing={"a": {1: object}})
    first, second = lines(out)
    assert first["event"] == "two\nlines"
    assert (first["reason"], first["level"], first["logger"]) == ("gone", "info", __name__)
    assert datetime.fromisoformat(first["timestamp"]).tzinfo is not None
    assert second["at"] == "2026-11-24 00:00:00+00:00"


def test_bound_ids_are_on_every_line_inside(out: io.StringIO) -> None:
    as_json(out)
    with logs.bind(article=5):
        log.info("ours")
        logging.getLogger("another.library").warning("theirs %s", "too")
        with logs.bind(feed=6):
            log.info("both")
    log.info("after")
    assert [(line["event"], line.get("article"), line.get("feed")) for line in lines(out)] == [
        ("ours", 5, None),
        ("theirs too", 5, None),
        ("both", 5, 6),
        ("after", None, None),
    ]


def test_exceptions_are_in_their_line(out: io.StringIO) -> None:
    as_json(out)
    with logs.bind(article=5):
        try:
            fail_with_a_secret()
        except ValueError:
            log.exception("ours")
            logging.getLogger("another.library").exception("theirs")
    for line in lines(out):
        assert (line["article"], line["level"]) == (5, "error")
        (exception,) = line["exception"]
        assert (exception["exc_type"], exception["exc_value"]) == ("ValueError", "it broke")
        assert exception["frames"][-1]["name"] == "fail_with_a_secret"
    assert len(lines(out)) == 2


@pytest.mark.parametrize("style", ["json", "console"])
def test_an_exception_does_not_show_what_variables_held(
    out: io.StringIO, style: Literal["json", "console"]
) -> None:
    logs.configure(LogSettings(format=style), out)
    try:
        fail_with_a_secret()
    except ValueError:
        log.exception("ours")
        logging.getLogger("another.library").exception("theirs")
    assert out.getvalue().count("fail_with_a_secret") >= 2
    assert "hunter2" not in out.getvalue()


def test_warnings_are_lines_too(out: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        as_json(out)
        warnings.warn("old\nways", DeprecationWarning, stacklevel=1)
    (line,) = lines(out)
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "old\nways" in line["event"]


def test_the_level_holds_for_everybody(out: io.StringIO) -> None:
    as_json(out, level="error")
    for logger in (log, logging.getLogger("another.library")):
        logger.debug("no")
        logger.info("no")
        logger.warning("no")
        logger.error("yes")
    assert [line["event"] for line in lines(out)] == ["yes", "yes"]


def test_celerys_ticks_are_left_out_except_for_debugging(out: io.StringIO) -> None:
    as_json(out)
    logging.getLogger("celery.beat").info("Scheduler: Sending due task")
    assert lines(out) == []
    as_json(out, level="debug")
    logging.getLogger("celery.beat").info("Scheduler: Sending due task")
    assert len(lines(out)) == 1


def test_the_last_configuration_counts(out: io.StringIO) -> None:
    before = io.StringIO()
    as_json(before)
    log.info("one")
    as_json(out)
    log.info("two")
    assert [line["event"] for line in lines(before)] == ["one"]
    assert [line["event"] for line in lines(out)] == ["two"]


def test_lines_for_people(out: io.StringIO) -> None:
    logs.configure(LogSettings(), out)
    with logs.bind(article=5):
        log.info("processed", language="id")
    (line,) = out.getvalue().splitlines()
    assert "processed" in line
    assert "article=5" in line
    assert "language=id" in line
    assert "\x1b" not in line  # no colours in a file


def test_stdout_stays_empty() -> None:
    script = (
        "from worker import logs; from worker.settings import LogSettings\n"
        "logs.configure(LogSettings(format='json'))\n"
        "logs.get('x').info('hello')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.stdout == b""
    assert json.loads(done.stderr)["event"] == "hello"
