"""`kabar deliveries`: what was sent to whom, what came back, and what is to be sent again."""

from typing import Annotated, Any, Literal

import typer
from sqlalchemy import Engine

from worker.cli.ages import age
from worker.cli.endpoints import find as find_endpoint
from worker.cli.output import (
    MOST,
    CommandError,
    Json,
    open_store,
    print_fields,
    print_json,
    print_table,
    record,
    when,
)
from worker.store import webhooks
from worker.store.webhooks import Wanted

State = Literal["pending", "sent", "dead", "held", "cancelled"]

app = typer.Typer(help="The deliveries to endpoints, and their attempts.", no_args_is_help=True)

_Ids = Annotated[
    list[int] | None,
    typer.Argument(metavar="ID", min=1, max=MOST, help="The deliveries' numbers."),
]
_OfEndpoint = Annotated[str | None, typer.Option("--endpoint", help="Only those to this endpoint.")]
_InState = Annotated[State | None, typer.Option("--state", help="Only those in this state.")]
_Failed = Annotated[
    bool,
    typer.Option(
        "--failed", help="Only those that are dead, held, or wait after an attempt that failed."
    ),
]
_Since = Annotated[
    str | None, typer.Option(metavar="AGE", help="Only those made in this time, such as 2h.")
]
_Until = Annotated[
    str | None, typer.Option(metavar="AGE", help="Only those made before that, such as 30m.")
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")]


@app.command("list")
def list_(
    endpoint: _OfEndpoint = None,
    state: _InState = None,
    failed: _Failed = False,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest deliveries."""
    with open_store() as engine:
        wanted = _wanted(engine, None, endpoint, state, failed, since, until)
        rows = webhooks.deliveries(engine, limit, wanted)
    if as_json:
        print_json([record(row) for row in rows])
        return
    print_table(
        rows,
        {"id": None, "created_at": when, "endpoint": None, "type": None, "story_id": None,
         "state": None, "attempts": None, "reason": None},
        empty="no deliveries: `kabar endpoints list` shows who is told, `kabar stories list` of "
        "what",
    )  # fmt: skip


@app.command()
def show(
    delivery_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=MOST, help="The delivery's number.")
    ],
    as_json: Json = False,
) -> None:
    """Show a delivery and each of its attempts, with what the receiver answered."""
    with open_store() as engine:
        both = webhooks.delivery(engine, delivery_id)
        if both is None:
            raise CommandError(
                f"there is no delivery {delivery_id}: `kabar deliveries list` shows the newest"
            )
        delivery, attempts = both
        endpoint = find_endpoint(engine, delivery["endpoint"])
        next_at = webhooks.next_attempt_at(engine, endpoint, delivery_id)
    if as_json:
        rows = [record(row) for row in attempts]
        print_json(record(delivery) | {"next_attempt_at": next_at, "attempts": rows})
        return
    typer.echo(
        f"delivery {delivery['id']} of {delivery['type']} ({delivery['webhook_id']}) to "
        f"{delivery['endpoint']}: {delivery['state']}"
    )
    if next_at:
        waits = next_at > delivery["due_at"]
        why = " (till then the endpoint rests, or is at its limit)" if waits else ""
        typer.echo(f"next attempt: {when(next_at)}{why}")
    elif delivery["state"] in ("pending", "held"):
        why = endpoint["reason"] or endpoint["state"]
        typer.echo(f"goes out with `kabar endpoints resume {delivery['endpoint']}`: {why}")
    print_fields(
        {
            "story": delivery["story_id"],
            "made": when(delivery["created_at"]),
            "ended": when(delivery["ended_at"]),
            "reason": delivery["reason"],
        }
    )
    print_table(
        attempts,
        {"number": None, "started_at": when, "duration_seconds": _seconds, "outcome": None,
         "status": None, "reason": None, "detail": None, "excerpt": None},
        empty="no attempt yet",
    )  # fmt: skip


@app.command()
def replay(
    ids: _Ids = None,
    endpoint: _OfEndpoint = None,
    state: _InState = None,
    failed: _Failed = False,
    since: _Since = None,
    until: _Until = None,
    dry_run: _DryRun = False,
    as_json: Json = False,
) -> None:
    """Send deliveries again, with the ids and bytes that they had.

    Name some, or say which by --failed or --state, narrowed by --endpoint, --since and --until.
    What is in flight just now is left alone.
    """
    _refuse_all(ids, state, failed)
    with open_store() as engine:
        wanted = _wanted(engine, ids, endpoint, state, failed, since, until)
        if dry_run:
            _tell_count(webhooks.count(engine, wanted, to="replay"), "sent again", as_json)
            return
        done = webhooks.replay(engine, wanted)
    if as_json:
        print_json({"due": done.due, "held": done.held})
        return
    typer.echo(f"{_counted(len(done.due))} will be sent again")
    if done.held:
        typer.echo(
            f"{_counted(len(done.held))} held: the endpoint is disabled; `kabar endpoints list` "
            "says why, `kabar endpoints resume NAME` sends them"
        )
    _tell_left(ids, [*done.due, *done.held], "in flight, or not there")


@app.command()
def cancel(
    ids: _Ids = None,
    endpoint: _OfEndpoint = None,
    state: _InState = None,
    failed: _Failed = False,
    since: _Since = None,
    until: _Until = None,
    dry_run: _DryRun = False,
    as_json: Json = False,
) -> None:
    """Never send deliveries that wait or are held; `replay` takes it back.

    Name some, or say which by --failed or --state, narrowed by --endpoint, --since and --until.
    """
    _refuse_all(ids, state, failed)
    with open_store() as engine:
        wanted = _wanted(engine, ids, endpoint, state, failed, since, until)
        if dry_run:
            _tell_count(webhooks.count(engine, wanted, to="cancel"), "cancelled", as_json)
            return
        cancelled = webhooks.cancel(engine, wanted)
    if as_json:
        print_json({"cancelled": cancelled})
        return
    typer.echo(f"{_counted(len(cancelled))} cancelled")
    _tell_left(ids, cancelled, "sent, dead or cancelled already, or not there")


def _wanted(
    engine: Engine,
    ids: list[int] | None,
    endpoint: str | None,
    state: str | None,
    failed: bool,
    since: str | None,
    until: str | None,
) -> Wanted:
    return Wanted(
        ids=ids,
        endpoint_id=find_endpoint(engine, endpoint)["id"] if endpoint else None,
        state=state,
        failed=failed,
        since=age("--since", since) if since is not None else None,
        until=age("--until", until) if until is not None else None,
    )


def _refuse_all(ids: list[int] | None, state: str | None, failed: bool) -> None:
    if not ids and state is None and not failed:
        raise CommandError("which deliveries? name some, or give --failed or --state")


def _tell_count(number: int, what: str, as_json: bool) -> None:
    if as_json:
        print_json({"deliveries": number})
    else:
        typer.echo(f"{_counted(number)} would be {what}")


def _tell_left(ids: list[int] | None, done: list[int], why: str) -> None:
    for left in sorted({*(ids or ())} - {*done}):
        typer.echo(f"delivery {left} is left as it is: {why}")


def _counted(number: int) -> str:
    return f"{number} {'delivery' if number == 1 else 'deliveries'}"


def _seconds(value: Any) -> str:
    return "" if value is None else f"{value:.2f}"
