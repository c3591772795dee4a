"""Translate titles and summaries. Engines share one interface and are tried in order."""

from worker.language.translate.chain import (
    Cache,
    Chain,
    Key,
    Texts,
    TranslateOutcome,
    crashed,
    open_chain,
)
from worker.language.translate.engines import Engine, EngineError, Translation
from worker.language.translate.retries import settle
from worker.language.translate.services import Post

__all__ = [
    "Cache",
    "Chain",
    "Engine",
    "EngineError",
    "Key",
    "Post",
    "Texts",
    "TranslateOutcome",
    "Translation",
    "crashed",
    "open_chain",
    "settle",
]
