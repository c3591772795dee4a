"""How many attempts in a minute an endpoint is sent at most."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

_MINUTE_MICROSECONDS = 60_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `per_minute` attempts in any minute; `next_at` is when the next one may begin.

    The generic cell rate algorithm (ITU-T I.371, annex A): a tenth of them may come at once, and
    the rest are spread so that no minute, wherever it begins, has more.
    """

    per_minute: int
    next_at: datetime | None = None

    def most(self, limit: int, now: datetime) -> int:
        """How many attempts, `limit` at most, may begin at `now`."""
        earliest = self._earliest(now)
        return min(limit, (now - earliest) // self._interval + 1) if earliest <= now else 0

    def after(self, number: int, now: datetime) -> "Rate":
        """The rate once `number` attempts have begun at `now`."""
        return replace(self, next_at=self._earliest(now) + number * self._interval)

    @property
    def _at_once(self) -> int:
        return max(1, self.per_minute // 10)

    @property
    def _interval(self) -> timedelta:
        # In any 60 s there are those that come at once and one more for each interval: rounded up,
        # since a microsecond less would let one too many in.
        spread = self.per_minute - self._at_once + 1
        return timedelta(microseconds=-(-_MINUTE_MICROSECONDS // spread))

    def _earliest(self, now: datetime) -> datetime:
        saved = now - (self._at_once - 1) * self._interval
        return saved if self.next_at is None else max(self.next_at, saved)
