"""`kabar deliveries`: what was sent to whom, and what came back."""

from typing import Annotated, Literal

import typer

from worker.cli.endpoints import find as find_endpoint
from worker.cli.output import (
    MOST,
    CommandError,
    Json,
    open_store,
    print_json,
    print_table,
    record,
    when,
)
from worker.store import webhooks

State = Literal["pending", "sent", "dead", "held", "cancelled"]

app = typer.Typer(help="The deliveries to endpoints, and their attempts.", no_args_is_help=True)


@app.command("list")
def list_(
    endpoint: Annotated[str | None, typer.Option(help="Only those to this endpoint.")] = None,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest deliveries."""
    with open_store() as engine:
        name = find_endpoint(engine, endpoint)["name"] if endpoint else None
        rows = webhooks.deliveries(engine, limit, name, state)
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
    if as_json:
        print_json(record(delivery) | {"attempts": [record(row) for row in attempts]})
        return
    typer.echo(
        f"delivery {delivery['id']} of {delivery['type']} ({delivery['webhook_id']}) to "
        f"{delivery['endpoint']}: {delivery['state']}"
    )
    if delivery["state"] == "pending":
        typer.echo(f"next attempt: {when(delivery['due_at'])}")
    print_table(
        attempts,
        {"number": None, "started_at": when, "ended_at": when, "outcome": None, "status": None,
         "detail": None, "excerpt": None},
        empty="no attempt yet",
    )  # fmt: skip
