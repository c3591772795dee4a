"""Logs: structlog over the standard library, to stderr, for people or as JSON.

`bind(article=…)` puts an id on every line that is logged inside the `with` block, whichever room
logs it.
"""

import logging
import sys
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog

from worker.settings import LogSettings

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

_CHATTY = ("celery.beat", "celery.worker.strategy", "celery.app.trace", "alembic")


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (stderr), in the configured format.

    Safe to call again; the last call counts.
    """
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings, colors=out.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    logging.captureWarnings(capture=True)
    # A line for each tick and wake-up, several a second: what became of them is in our own lines.
    chatter = logging.DEBUG if settings.level == "debug" else logging.WARNING
    for name in _CHATTY:
        logging.getLogger(name).setLevel(chatter)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module; call it with `__name__`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind(**ids: Any) -> AbstractContextManager[Any]:
    """Put `ids` on every line logged inside the block."""
    return structlog.contextvars.bound_contextvars(**ids)


def _renderers(settings: LogSettings, *, colors: bool) -> list[structlog.typing.Processor]:
    # Neither renderer may show the values of locals, as both would: secrets are among them.
    if settings.format == "json":
        exceptions = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [
            structlog.processors.ExceptionRenderer(exceptions),
            structlog.processors.JSONRenderer(default=str),
        ]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
