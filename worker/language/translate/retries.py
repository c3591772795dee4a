"""When an article is asked about again that no engine gave an answer for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from worker.language.translate.chain import TranslateOutcome
from worker.reasons import Reason


def settle(
    outcome: TranslateOutcome, attempts: int, retry_seconds: Sequence[float]
) -> TranslateOutcome:
    """The outcome as it counts for an article at its n-th attempt.

    A retry's `retry_after` is then how long it waits: what engines ask for, but no longer than the
    longest of `retry_seconds`. After the last of these the article stays as it is.
    """
    if outcome.result != "retry":
        return outcome
    if attempts > len(retry_seconds):
        detail = f"{outcome.detail} ({outcome.reason}); asked {attempts} times"
        return replace(outcome, result="untranslated", reason=Reason.ENGINE_FAILED, detail=detail)
    asked = outcome.retry_after.total_seconds() if outcome.retry_after else 0.0
    wait = max(retry_seconds[max(attempts, 1) - 1], min(asked, max(retry_seconds)))
    return replace(outcome, retry_after=timedelta(seconds=wait))
