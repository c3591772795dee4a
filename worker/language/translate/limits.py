"""When an engine is left alone, after failures and when it was asked often enough; and how much it
is given at once. Times are seconds of whatever clock the caller reads; nothing here reads one.
"""

from collections import Counter, deque
from dataclasses import dataclass
from datetime import timedelta

from worker.language.translate.engines import EngineError
from worker.reasons import Reason

_MOST_FAILURES = 3
_SHORTEST_SECONDS = 30.0
_LONGEST_SECONDS = 600.0
_MINUTE = 60.0
_QUICK_SECONDS = 5.0
_MOST_AT_ONCE = 64
_OF_A_PAIR = frozenset({Reason.MODEL_MISSING, Reason.ENGINE_FAILED})


@dataclass(frozen=True, slots=True)
class Rest:
    """Until when something is not asked, and the error that it would give."""

    until: float
    error: EngineError

    def left(self, now: float) -> timedelta:
        """How long it still lasts."""
        return timedelta(seconds=max(0.0, self.until - now))


class Rests:
    """Which engines rest, and which of their language pairs.

    An engine rests after three failures in a row, 30 s and twice as long after each further one, at
    most 10 min; the first call after a rest is the probe. It rests at once where it asked to be
    left alone, and for 10 min where asking soon is of no use (a wrong key). A model that is not
    there, or is no good, is its pair's matter; a request that it will never take, nobody's.
    """

    def __init__(self) -> None:
        self._engines: dict[str, Rest] = {}
        self._pairs: dict[tuple[str, str, str], Rest] = {}
        self._failures: Counter[str] = Counter()

    def of(self, engine: str, source: str, target: str, now: float) -> Rest | None:
        """The rest that forbids to ask `engine` for the pair now, if any."""
        rests = (self._engines.get(engine), self._pairs.get((engine, source, target)))
        return max(
            (rest for rest in rests if rest and rest.until > now),
            key=lambda rest: rest.until,
            default=None,
        )

    def answered(self, engine: str) -> None:
        """Note that the engine gave an answer."""
        self._failures.pop(engine, None)

    def failed(self, engine: str, source: str, target: str, error: EngineError, now: float) -> None:
        """Note that the engine gave none."""
        asked = error.retry_after.total_seconds() if error.retry_after else 0.0
        if error.reason is Reason.MODEL_MISSING or (error.lasting and error.reason in _OF_A_PAIR):
            self._pairs[engine, source, target] = Rest(now + (asked or _SHORTEST_SECONDS), error)
        elif error.lasting and error.reason is Reason.CLIENT_ERROR:
            return
        else:
            self._engines[engine] = Rest(now + max(asked, self._earned(engine, error)), error)

    def _earned(self, engine: str, error: EngineError) -> float:
        if error.lasting:
            return _LONGEST_SECONDS
        self._failures[engine] += 1
        over = min(self._failures[engine] - _MOST_FAILURES, 10)  # 2 ** 10 is beyond the longest
        return min(_SHORTEST_SECONDS * 2**over, _LONGEST_SECONDS) if over >= 0 else 0.0


class Portions:
    """How many texts an engine is given at once: all, until it does not answer in time; then half
    as many each time, down to one, and twice as many again after each quick answer.

    So a slow engine gets on, and a text over which one hangs comes to stand alone.
    """

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def of(self, engine: str, count: int) -> int:
        """How many of `count` texts."""
        return min(count, self._sizes.get(engine, count))

    def answered(self, engine: str, seconds: float) -> None:
        """Note that it took so long for an answer."""
        if engine in self._sizes and seconds < _QUICK_SECONDS:
            self._sizes[engine] = min(2 * self._sizes[engine], _MOST_AT_ONCE)

    def failed(self, engine: str, count: int, error: EngineError) -> None:
        """Note that it gave no answer to `count` texts."""
        if error.reason is Reason.TIMEOUT:
            self._sizes[engine] = max(1, count // 2)


class Rate:
    """So many requests in any minute; below one a minute, one in a longer while."""

    def __init__(self, per_minute: float) -> None:
        self._most = max(1, int(per_minute))
        self._window = _MINUTE * max(1.0, self._most / per_minute)
        self._taken: deque[float] = deque(maxlen=self._most)

    def take(self, now: float) -> None:
        """Note that a request was made."""
        self._taken.append(now)

    def left(self, now: float) -> timedelta:
        """How long none may be made."""
        if len(self._taken) < self._most:
            return timedelta()
        return timedelta(seconds=max(0.0, self._taken[0] + self._window - now))
