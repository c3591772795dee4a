"""How an endpoint does: when it is left alone (a circuit breaker), and when it is given up."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.webhooks.deliver import AttemptOutcome

_MOST_FAILURES = 5  # in a row, then it rests
_REST = timedelta(seconds=30)  # the first; each further one twice as long
_LONGEST_REST = timedelta(minutes=30)
_MOST_DOUBLINGS = 6
_JITTER = 0.2
_LOST_AFTER = timedelta(hours=120)
_LOST_FAILURES = 10


@dataclass(frozen=True, slots=True)
class Health:
    """What the attempts of late say of an endpoint.

    `failures` in a row began at `failing_at`; until `resting_until` nothing is sent, for the
    `rests`th time in a row, and then one attempt at a time until one succeeds.
    """

    failures: int = 0
    failing_at: datetime | None = None
    resting_until: datetime | None = None
    rests: int = 0

    def most(self, limit: int, now: datetime) -> int:
        """How many attempts, `limit` at most, may begin at `now`."""
        if self.resting_until is None:
            return limit
        return min(limit, 1) if self.resting_until <= now else 0

    def after(
        self, outcomes: Sequence[AttemptOutcome], endpoint_id: int, now: datetime
    ) -> "Health":
        """What these outcomes of attempts, made side by side, make of it.

        It rests after five failures in a row, when it has failed once more after a rest, and
        whenever it asks to be left alone; never for less than it asks for.
        """
        asked = [outcome.rest for outcome in outcomes if outcome.rest is not None]
        if any(outcome.reason is None for outcome in outcomes):
            before, failures = Health(), 0
        else:
            before, failures = self, self.failures + len(outcomes)
        failing_at = (before.failing_at or now) if failures else None
        if not asked and failures < _MOST_FAILURES and before.resting_until is None:
            return Health(failures, failing_at)
        rest = _rest(endpoint_id, before.rests, max(asked, default=timedelta()))
        return Health(failures, failing_at, now + rest, before.rests + 1)

    def is_lost(self, now: datetime) -> bool:
        """Whether it has failed for so long that it is not tried any more."""
        if self.failing_at is None or self.failures < _LOST_FAILURES:
            return False
        return now - self.failing_at >= _LOST_AFTER


def _rest(endpoint_id: int, rests: int, asked: timedelta) -> timedelta:
    usual = min(_REST * (1 << min(rests, _MOST_DOUBLINGS)), _LONGEST_REST)
    # By a hash, and only upwards: endpoints that failed together are not tried together.
    digest = hashlib.sha256(f"{endpoint_id}:{rests}".encode()).digest()
    return max(usual, asked) + usual * _JITTER * (int.from_bytes(digest[:4]) / 2**32)
