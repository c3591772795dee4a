"""`kabar endpoints`: who is told of new stories, and of feeds that fail."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from sqlalchemy import Engine

from worker import settings as configuration
from worker import webhooks as room
from worker.cli.lookup import found
from worker.cli.output import (
    CommandError,
    Json,
    clean,
    open_store,
    print_fields,
    print_json,
    print_table,
    record,
    when,
)
from worker.feeds.declared import check_url
from worker.http import Client, Response
from worker.store import webhooks
from worker.webhooks import InvalidSecretError, check_secret, generate_secret
from worker.webhooks.events import EVENT_TYPES, STORY_CREATED, Event, test_ping

app = typer.Typer(help="The webhook endpoints that are told of stories.", no_args_is_help=True)

_Endpoint = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name or number.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of your choice.")],
    url: Annotated[str, typer.Argument(help="Where deliveries are posted to.")],
    secret: Annotated[
        str | None, typer.Option(help="The signing secret (whsec_…); default: a new one.")
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE",
            help=f"What to tell of: {', '.join(EVENT_TYPES)}; may be repeated, default: stories.",
        ),
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="The receiver is in your own network.")
    ] = False,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Send without TLS if the URL says so.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add an endpoint; a new signing secret is shown once."""
    if not name.strip() or clean(name) != name or "\n" in name:
        raise CommandError(f"{name!r} is no name: a word or two that can be printed are expected")
    check_url(url)
    if urlsplit(url).scheme == "http" and not allow_http:
        raise CommandError(f"{url} is not https; add --allow-http if that is what you want")
    types = list(dict.fromkeys(event or [STORY_CREATED]))
    if unknown := [one for one in types if one not in EVENT_TYPES]:
        raise CommandError(f"there is no event {unknown[0]!r}; there are {', '.join(EVENT_TYPES)}")
    try:
        check_secret(secret := secret or generate_secret())
    except InvalidSecretError as error:
        raise CommandError(str(error)) from None
    with open_store() as engine:
        added = webhooks.add(
            engine, name, url, secret,
            event_types=types, allow_private=allow_private, allow_http=allow_http,
        )  # fmt: skip
    if not added:
        raise CommandError(f"there is an endpoint {name!r} already: choose another name")
    if as_json:
        print_json({"name": name, "url": url, "secret": secret})
        return
    typer.echo(f"added {name}; its signing secret, shown only now:\n{secret}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the endpoints and how their deliveries stand."""
    with open_store() as engine:
        rows = webhooks.listing(engine)
    if as_json:
        print_json(rows)
        return
    print_table(
        rows,
        {"id": None, "name": None, "state": None, "url": None, "deliveries": _counts,
         "reason": None},
        empty="no endpoints yet: add one with `kabar endpoints add NAME URL`",
    )  # fmt: skip


@app.command()
def show(endpoint: _Endpoint, as_json: Json = False) -> None:
    """Show an endpoint, and what it was told last."""
    with open_store() as engine:
        row = find(engine, endpoint)
        latest = webhooks.deliveries(engine, limit=10, endpoint=row["name"])
    if as_json:
        document = record(row, "secret", "lease_token")
        print_json(document | {"deliveries": [record(delivery) for delivery in latest]})
        return
    allowed = [name for name in ("allow_private", "allow_http") if row[name]]
    print_fields(
        {
            "endpoint": f"{row['id']}  {row['name']}",
            "url": row["url"],
            "state": row["state"] + (f": {row['reason']}" if row["reason"] else ""),
            "told of": ", ".join(row["event_types"]),
            "allowed": ", ".join(allowed) or None,
            "since": when(row["created_at"]),
        }
    )
    typer.echo("")
    print_table(
        latest,
        {"id": None, "created_at": when, "type": None, "story_id": None, "state": None,
         "attempts": None, "reason": None},
        empty="nothing was told yet",
    )  # fmt: skip


@app.command()
def remove(endpoint: _Endpoint) -> None:
    """Tell an endpoint nothing any more, and forget what it was told."""
    with open_store() as engine:
        row = find(engine, endpoint)
        webhooks.remove(engine, row["id"])
    typer.echo(f"removed {row['name']}")


@app.command("test")
def try_(endpoint: _Endpoint, as_json: Json = False) -> None:
    """Send a signed `test.ping` to an endpoint now, and show what it answers."""
    settings = configuration.load()
    with open_store() as engine:
        row = find(engine, endpoint)
    event = test_ping(row["name"], datetime.now(UTC))
    response = asyncio.run(_ping(settings, webhooks.known(row), event))
    if as_json:
        print_json(_answer(event, response))
    elif response.ok:
        seconds = f"{response.elapsed_seconds:.2f} s"
        typer.echo(f"{row['name']} accepted it: status {response.status} after {seconds}")
    if not response.ok:
        body = clean(response.body.decode("utf-8", "replace")[:200])
        said = f"; it said: {body}" if body.strip() else ""
        raise CommandError(f"{row['name']} did not accept it: {response.detail}{said}")


async def _ping(
    settings: configuration.Settings, endpoint: room.Endpoint, event: Event
) -> Response:
    delivery = room.Delivery(0, event.webhook_id, event.body, attempt=1)
    async with Client(settings.http) as client:
        response = await room.send(client, endpoint, delivery, event.occurred_at, settings.webhooks)
    if response is None:
        raise CommandError(f"{endpoint.url} is not https, and the endpoint does not allow http")
    return response


def _answer(event: Event, response: Response) -> dict[str, Any]:
    return {
        "webhook_id": event.webhook_id,
        "accepted": response.ok,
        "status": response.status,
        "reason": response.error,
        "detail": response.detail or None,
        "elapsed_seconds": round(response.elapsed_seconds, 3),
        "body": response.body.decode("utf-8", "replace")[:2_000],
    }


def find(engine: Engine, endpoint: str) -> dict[str, Any]:
    """The endpoint with this name or number; raises `CommandError` with the nearest name."""

    def names() -> list[str]:
        return [row["name"] for row in webhooks.listing(engine)]

    row = webhooks.find(engine, endpoint)
    return found(row, "endpoint", endpoint, names, "kabar endpoints list")


def _counts(deliveries: dict[str, Any]) -> str:
    return ", ".join(f"{number} {state}" for state, number in sorted(deliveries.items()))
