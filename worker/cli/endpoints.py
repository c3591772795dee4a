"""`kabar endpoints`: who is told of new stories, and of feeds that fail."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from sqlalchemy import Engine

from worker import settings as configuration
from worker import webhooks as room
from worker.cli import routing
from worker.cli.ages import age
from worker.cli.lookup import found
from worker.cli.output import (
    MOST,
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
from worker.http import Client, Response, redacted
from worker.store import feeds, webhooks
from worker.webhooks import (
    InvalidSecretError,
    check_secret,
    generate_secret,
    seal,
    unseal,
)
from worker.webhooks.events import Event, test_ping

app = typer.Typer(help="The webhook endpoints that are told of stories.", no_args_is_help=True)

_LONGEST_GRACE = timedelta(days=7)
_SecretFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="A file that holds the signing secret; -: standard input."),
]
_Endpoint = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name or number.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of your choice.")],
    url: Annotated[str, typer.Argument(help="Where deliveries are posted to.")],
    secret: Annotated[
        str | None,
        typer.Option(
            help="The signing secret (whsec_…); default: a new one. It shows in the list of "
            "processes and in the shell's history: better --secret-file."
        ),
    ] = None,
    secret_file: _SecretFile = None,
    event: routing.Event = None,
    language: routing.Language = None,
    feed: routing.Feed = None,
    feed_tag: routing.FeedTag = None,
    publisher: routing.Publisher = None,
    any_of: routing.AnyOf = None,
    all_of: routing.AllOf = None,
    none_of: routing.NoneOf = None,
    min_sources: routing.MinSources = 1,
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
    types = routing.event_types(event)
    asked = {
        "languages": language, "feeds": feed, "feed_tags": feed_tag, "publishers": publisher,
        "any_of": any_of, "all_of": all_of, "none_of": none_of, "min_sources": min_sources,
    }  # fmt: skip
    if secret and secret_file:
        raise CommandError("--secret and --secret-file: give one of them")
    secret = _secret(secret, secret_file)
    sealed = seal(secret, configuration.load().webhooks)
    with open_store() as engine:
        rules = routing.make_rules(engine, find_feed, asked)
        added = webhooks.add(
            engine, name, url, sealed, rules=rules,
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
        latest = webhooks.deliveries(engine, 10, webhooks.Wanted(endpoint_id=row["id"]))
        rules = routing.shown(engine, row)
    if as_json:
        document = record(row, *webhooks.INTERNAL)
        print_json(document | {"deliveries": [record(delivery) for delivery in latest]})
        return
    allowed = [name for name in ("allow_private", "allow_http") if row[name]]
    print_fields(
        {
            "endpoint": f"{row['id']}  {row['name']}",
            "url": row["url"],
            "state": row["state"] + (f": {row['reason']}" if row["reason"] else ""),
            "told of": ", ".join(row["event_types"]),
            **rules,
            "allowed": ", ".join(allowed) or None,
            "since": when(row["created_at"]),
            "secrets": _rotation(row),
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


@app.command()
def route(
    endpoint: _Endpoint,
    event: routing.Event = None,
    language: routing.Language = None,
    feed: routing.Feed = None,
    feed_tag: routing.FeedTag = None,
    publisher: routing.Publisher = None,
    any_of: routing.AnyOf = None,
    all_of: routing.AllOf = None,
    none_of: routing.NoneOf = None,
    min_sources: routing.MinSources = 1,
) -> None:
    """Say anew which events and stories an endpoint is told of; without options: all new stories.

    It holds for what is published from now on.
    """
    types = routing.event_types(event)
    asked = {
        "languages": language, "feeds": feed, "feed_tags": feed_tag, "publishers": publisher,
        "any_of": any_of, "all_of": all_of, "none_of": none_of, "min_sources": min_sources,
    }  # fmt: skip
    with open_store() as engine:
        row = find(engine, endpoint)
        rules = routing.make_rules(engine, find_feed, asked)
        webhooks.route(engine, row["id"], types, rules)
        lines = routing.shown(engine, find(engine, endpoint))
    print_fields({row["name"]: f"told of {', '.join(types)}", **lines})


@app.command()
def pause(endpoint: _Endpoint) -> None:
    """Send an endpoint nothing for now; what it is to be told waits until it is resumed."""
    with open_store() as engine:
        row = find(engine, endpoint)
        paused = webhooks.pause(engine, row["id"])
    if not paused:
        raise CommandError(f"{row['name']} is {row['state']} already")
    typer.echo(f"paused {row['name']}")


@app.command()
def resume(endpoint: _Endpoint) -> None:
    """Serve an endpoint again that was paused, or disabled; what was held for it goes out."""
    with open_store() as engine:
        row = find(engine, endpoint)
        held = webhooks.resume(engine, row["id"])
    if row["state"] == "active" and not held:
        raise CommandError(f"{row['name']} is active already")
    out = f"; {held} held {'delivery goes' if held == 1 else 'deliveries go'} out" if held else ""
    typer.echo(f"resumed {row['name']}{out}")


@app.command()
def rotate(
    endpoint: _Endpoint,
    secret_file: _SecretFile = None,
    grace: Annotated[
        str,
        typer.Option(metavar="AGE", help="How long the old secret signs too, such as 12h; 0m: not"),
    ] = "24h",
    as_json: Json = False,
) -> None:
    """Give an endpoint a new signing secret, shown once; for a while the old one signs too."""
    secret, kept = _secret(None, secret_file), age("--grace", grace)
    if kept > _LONGEST_GRACE:
        raise CommandError(f"--grace {grace}: {_LONGEST_GRACE.days}d is the most")
    sealed = seal(secret, configuration.load().webhooks)
    with open_store() as engine:
        row = find(engine, endpoint)
        until = webhooks.rotate(engine, row["id"], sealed, kept)
    if as_json:
        print_json({"name": row["name"], "secret": secret, "old_until": until if kept else None})
        return
    both = f"the old one signs too until {when(until)}" if kept else "the old one is void"
    typer.echo(f"rotated {row['name']}, {both}; its new secret, shown only now:\n{secret}")


@app.command()
def encrypt() -> None:
    """Encrypt the signing secrets in the store with the key that is set now.

    For when `webhooks.secret_key` was set for the first time, or has a new key in front.
    """
    settings = configuration.load().webhooks
    if settings.secret_key is None:
        raise CommandError("webhooks.secret_key is not set: there is nothing to encrypt with")
    with open_store() as engine:
        number = webhooks.reseal(engine, lambda kept: seal(unseal(kept, settings), settings))
    typer.echo(f"encrypted the secrets of {number} endpoint{'' if number == 1 else 's'}")


@app.command("test")
def try_(
    endpoint: _Endpoint,
    story: Annotated[
        int | None,
        typer.Option(
            metavar="ID",
            min=1,
            max=MOST,
            help="Send nothing: say rule by rule whether this story is for the endpoint.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send a signed `test.ping` to an endpoint now, and show what it answers."""
    settings = configuration.load()
    with open_store() as engine:
        row = find(engine, endpoint)
        if story is not None:
            routing.explain(engine, row, story, as_json)
            return
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


def find_feed(engine: Engine, feed: str) -> dict[str, Any]:
    """The feed with this URL or number; raises `CommandError` with the nearest URL."""

    def urls() -> list[str]:
        return [redacted(row["url"]) for row in feeds.listing(engine)]

    return found(feeds.find(engine, feed), "feed", redacted(feed), urls, "kabar feeds list")


def find(engine: Engine, endpoint: str) -> dict[str, Any]:
    """The endpoint with this name or number; raises `CommandError` with the nearest name."""

    def names() -> list[str]:
        return [row["name"] for row in webhooks.listing(engine)]

    row = webhooks.find(engine, endpoint)
    return found(row, "endpoint", endpoint, names, "kabar endpoints list")


def _secret(given: str | None, file: str | None) -> str:
    """The secret that was given, or is in a file, or a new one; raises `CommandError`."""
    secret = given or (_read(file) if file else generate_secret())
    try:
        check_secret(secret)
    except InvalidSecretError as error:
        raise CommandError(str(error)) from None
    return secret


def _read(file: str) -> str:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).expanduser().read_text("utf-8")
    except OSError as error:
        raise CommandError(f"--secret-file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"--secret-file {file}: not a text file") from None
    return text.strip()


def _rotation(row: dict[str, Any]) -> str | None:
    old = [datetime.fromisoformat(one["until"]) for one in row["old_secrets"] or ()]
    signing = sorted(until for until in old if until > datetime.now(UTC))
    return (
        f"{1 + len(signing)} sign, the last old one until {when(signing[-1])}" if signing else None
    )


def _counts(deliveries: dict[str, Any]) -> str:
    return ", ".join(f"{number} {state}" for state, number in sorted(deliveries.items()))
