"""`kabar endpoints`: who is told of new stories."""

from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from worker.cli.output import CommandError, Json, open_store, print_json, print_table
from worker.feeds.declared import check_url
from worker.store import webhooks
from worker.webhooks import InvalidSecretError, check_secret, generate_secret
from worker.webhooks.events import EVENT_TYPES

app = typer.Typer(help="The webhook endpoints that are told of stories.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of your choice.")],
    url: Annotated[str, typer.Argument(help="Where deliveries are posted to.")],
    secret: Annotated[
        str | None, typer.Option(help="The signing secret (whsec_…); default: a new one.")
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
    check_url(url)
    if urlsplit(url).scheme == "http" and not allow_http:
        raise CommandError(f"{url} is not https; add --allow-http if that is what you want")
    try:
        check_secret(secret := secret or generate_secret())
    except InvalidSecretError as error:
        raise CommandError(str(error)) from None
    with open_store() as engine:
        added = webhooks.add(
            engine, name, url, secret,
            event_types=EVENT_TYPES, allow_private=allow_private, allow_http=allow_http,
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


def _counts(deliveries: dict[str, Any]) -> str:
    return ", ".join(f"{number} {state}" for state, number in sorted(deliveries.items()))
