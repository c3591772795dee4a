"""What `next_rounds` does in one transaction, step by step and for one endpoint."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine

from worker.store import webhooks
from worker.store.claims import Claim
from worker.store.sessions import read_now, writing
from worker.webhooks import AttemptOutcome, Delivery


def begin(
    engine: Engine, claim: Claim, endpoint_id: int, limit: int = 10, now: datetime | None = None
) -> Sequence[Delivery]:
    with writing(engine) as connection:
        at = now or read_now(connection)
        return webhooks.begin(connection, claim, {endpoint_id: limit}, at).get(endpoint_id, ())


def record(
    engine: Engine,
    endpoint_id: int,
    outcomes: Sequence[AttemptOutcome],
    now: datetime | None = None,
) -> None:
    with writing(engine) as connection:
        webhooks.record(connection, {endpoint_id: outcomes}, now or read_now(connection))


def give_back(engine: Engine, claim: Claim, endpoint_id: int, now: datetime | None = None) -> bool:
    with writing(engine) as connection:
        at = now or read_now(connection)
        return webhooks.give_back(connection, claim, [endpoint_id], at)
