"""What an engine is: it translates texts of one language pair, or says why it cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from worker.reasons import Reason


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated text, which engine and model made it, and what is doubtful about it."""

    text: str
    engine: str
    model: str
    flags: tuple[str, ...] = ()


class EngineError(Exception):
    """An engine gave no answer; with `lasting`, asking again soon is of no use (no model)."""

    def __init__(
        self,
        reason: Reason,
        detail: str,
        retry_after: timedelta | None = None,
        lasting: bool = False,
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.lasting = lasting


class Engine(Protocol):
    """A translator of language pairs (BCP 47); used from one thread."""

    name: str
    is_llm: bool

    def model(self, source: str, target: str) -> str:
        """What the cache and the payload call the model of a pair; does no I/O."""

    def knows(self, source: str, target: str) -> bool:
        """Whether it translates the pair; cheap, without the network."""

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, seconds: float
    ) -> list[Translation]:
        """Translate titles or summaries within `seconds`: as many come back as went in, in order.

        An empty text stays empty. Raises `EngineError`.
        """

    def close(self) -> None:
        """Let go of what it holds."""
