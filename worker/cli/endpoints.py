"""`kabar endpoints`: who is told of new stories, and of feeds that fail."""

import asyncio
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
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
    Rules,
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
_MaxPerMinute = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=0, max=60_000, help="Send it no more than N in any minute; 0: no limit."
    ),
]
_Endpoint = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name or number.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of your choice.")],
    url: Annotated[
        str,
        typer.Argument(
            help="Where deliveries are posted to; or a chat or mail target, such as slack://…, "
            "discord://…, tgram://…, ntfys://… or mailtos://… (apprise); -: on standard input."
        ),
    ],
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
    topic: routing.Topic = None,
    any_of: routing.AnyOf = None,
    all_of: routing.AllOf = None,
    none_of: routing.NoneOf = None,
    min_sources: routing.MinSources = 1,
    max_per_minute: _MaxPerMinute = None,
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
    receiver = _receiver(url, secret, secret_file, allow_http=allow_http)
    types = routing.event_types(event)
    asked = {
        "languages": language, "feeds": feed, "feed_tags": feed_tag, "publishers": publisher,
        "topics": topic,
        "any_of": any_of, "all_of": all_of, "none_of": none_of, "min_sources": min_sources,
    }  # fmt: skip
    sealed = seal(receiver.secret, configuration.load().webhooks)
    with open_store() as engine:
        rules = routing.make_rules(engine, find_feed, asked)
        added = webhooks.add(
            engine, name, receiver.url, sealed, rules=rules, kind=receiver.kind,
            event_types=types, allow_private=allow_private, allow_http=allow_http,
            max_per_minute=max_per_minute or None,
        )  # fmt: skip
    if not added:
        raise CommandError(f"there is an endpoint {name!r} already: choose another name")
    is_signed = receiver.kind == "webhook"
    if as_json:
        shown = {"secret": receiver.secret} if is_signed else {}
        print_json({"name": name, "url": receiver.url} | shown)
    elif is_signed:
        typer.echo(f"added {name}; its signing secret, shown only now:\n{receiver.secret}")
    else:
        typer.echo(f"added {name} ({receiver.service}): {clean(receiver.url)}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the endpoints and how their deliveries stand."""
    with open_store() as engine:
        rows = webhooks.listing(engine)
    if as_json:
        print_json(rows)
        return
    print_table(
        [row | {"state": "resting" if _is_resting(row) else row["state"]} for row in rows],
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
        next_at = webhooks.next_attempt_at(engine, row)
    if as_json:
        document = record(row, *webhooks.INTERNAL) | {"next_attempt_at": next_at}
        print_json(document | {"deliveries": [record(delivery) for delivery in latest]})
        return
    allowed = [name for name in ("allow_private", "allow_http") if row[name]]
    print_fields(
        {
            "endpoint": f"{row['id']}  {row['name']}",
            "url": row["url"],
            "state": row["state"] + (f": {row['reason']}" if row["reason"] else ""),
            "failing": _failing(row),
            "resting": _rest(row),
            "next try": when(next_at),
            "at most": _most(row),
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
    topic: routing.Topic = None,
    any_of: routing.AnyOf = None,
    all_of: routing.AllOf = None,
    none_of: routing.NoneOf = None,
    min_sources: routing.MinSources = 1,
    max_per_minute: _MaxPerMinute = None,
) -> None:
    """Say anew which events and stories an endpoint is told of; without options: all new stories.

    It holds for what is published from now on. --max-per-minute alone leaves that as it is.
    """
    types = routing.event_types(event)
    asked = {
        "languages": language, "feeds": feed, "feed_tags": feed_tag, "publishers": publisher,
        "topics": topic,
        "any_of": any_of, "all_of": all_of, "none_of": none_of, "min_sources": min_sources,
    }  # fmt: skip
    with open_store() as engine:
        row = find(engine, endpoint)
        rules = routing.make_rules(engine, find_feed, asked)
        if max_per_minute is not None:
            webhooks.limit(engine, row["id"], max_per_minute or None)
        if max_per_minute is None or event or rules != Rules():
            webhooks.route(engine, row["id"], types, rules)
        row = find(engine, endpoint)
        lines = routing.shown(engine, row)
    print_fields(
        {row["name"]: f"told of {', '.join(row['event_types'])}", **lines, "at most": _most(row)}
    )


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
    """Serve an endpoint again that was paused or disabled, or rests; what was held goes out."""
    with open_store() as engine:
        row = find(engine, endpoint)
        held = webhooks.resume(engine, row["id"])
    if row["state"] == "active" and not held and not _is_resting(row):
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
        if row["kind"] != "webhook":
            raise CommandError(f"{row['name']} has no signing secret: what is secret is its URL")
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
    """Send a `test.ping`, signed or as a message, to an endpoint now, and show what it answers."""
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
        status = f": status {response.status}" if response.status else ""
        typer.echo(f"{row['name']} accepted it{status} after {response.elapsed_seconds:.2f} s")
    if not response.ok:
        body = clean(response.body.decode("utf-8", "replace")[:200])
        said = f"; it said: {body}" if body.strip() else ""
        raise CommandError(f"{row['name']} did not accept it: {response.detail}{said}")


async def _ping(
    settings: configuration.Settings, endpoint: room.Endpoint, event: Event
) -> Response:
    delivery = room.Delivery(0, event.webhook_id, event.body, attempt=1)
    if endpoint.kind != "webhook":
        async with room.Messenger(settings.http) as messenger:
            return await messenger.send(endpoint, delivery, settings.webhooks)
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


@dataclass(frozen=True, slots=True)
class _Receiver:
    kind: Literal["webhook", "chat"]
    url: str
    secret: str = field(repr=False)
    service: str | None = None


def _receiver(
    url: str, secret: str | None, secret_file: str | None, *, allow_http: bool
) -> _Receiver:
    """What is to be told, by its URL; raises `CommandError`, which quotes no secret."""
    if secret and secret_file:
        raise CommandError("--secret and --secret-file: give one of them")
    url = sys.stdin.read().strip() if url == "-" else url
    scheme, is_absolute, _ = url.partition("://")
    if is_absolute and scheme.lower() not in {"http", "https"}:
        if secret or secret_file:
            raise CommandError(f"{scheme}:// is a chat or mail target, which has no signing secret")
        target = asyncio.run(_described(url))
        if target is None:
            raise CommandError(f"{scheme}://… is neither http nor what apprise knows of")
        return _Receiver("chat", target.shown, url, target.service)
    check_url(url)
    if urlsplit(url).scheme == "http" and not allow_http:
        raise CommandError(f"{url} is not https; add --allow-http if that is what you want")
    return _Receiver("webhook", url, _secret(secret, secret_file))


async def _described(url: str) -> room.Target | None:
    async with room.Messenger(configuration.load().http) as messenger:
        return await messenger.describe(url)


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


def _is_resting(row: dict[str, Any]) -> bool:
    until = row["resting_until"]
    return row["state"] == "active" and until is not None and until > datetime.now(UTC)


def _failing(row: dict[str, Any]) -> str | None:
    times = f"{row['failures']} time{'' if row['failures'] == 1 else 's'} in a row"
    return f"{times}, since {when(row['failing_at'])}" if row["failing_at"] else None


def _rest(row: dict[str, Any]) -> str | None:
    if row["resting_until"] is None:
        return None
    over = "" if _is_resting(row) else " (over)"
    return f"until {when(row['resting_until'])}{over}, then one at a time until one is accepted"


def _most(row: dict[str, Any]) -> str | None:
    return f"{row['max_per_minute']} a minute" if row["max_per_minute"] else None


def _rotation(row: dict[str, Any]) -> str | None:
    old = [datetime.fromisoformat(one["until"]) for one in row["old_secrets"] or ()]
    signing = sorted(until for until in old if until > datetime.now(UTC))
    return (
        f"{1 + len(signing)} sign, the last old one until {when(signing[-1])}" if signing else None
    )


def _counts(deliveries: dict[str, Any]) -> str:
    return ", ".join(f"{number} {state}" for state, number in sorted(deliveries.items()))
