"""`kabar feeds`: the list of feeds."""

import asyncio
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import typer
from sqlalchemy import Engine

from worker import settings as configuration
from worker.cli import polling
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
from worker.cli.polling import Polled
from worker.errors import KabarError
from worker.feeds import declared, opml, options
from worker.feeds.declared import Declared
from worker.feeds.discover import Found, discover
from worker.feeds.websub import Subscription
from worker.http import Client, redacted
from worker.settings import Settings
from worker.store import feeds, subscriptions

app = typer.Typer(help="The feeds that are followed.", no_args_is_help=True)

_Feed = Annotated[str, typer.Argument(metavar="ID|URL", help="The feed's number or URL.")]
_POLLED = frozenset({"active", "failing"})
_TOLD_HEADERS = (
    "Content-Type", "Content-Encoding", "ETag", "Last-Modified", "Cache-Control", "Expires", "Age",
    "Retry-After", "Link",
)  # fmt: skip


class NothingUsableError(CommandError):
    """A list of which nothing could be used."""

    exit_code: ClassVar[int] = 2


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="The URL of a feed, or of a site that has one.")],
    title: Annotated[
        str | None, typer.Option(help="What to call it; default: the feed's own title.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="May be repeated; Asia/Indonesia: a folder's.")
    ] = None,
    interval_seconds: Annotated[
        float | None, typer.Option(min=1, help="Between polls; default: by the feed's rhythm.")
    ] = None,
    user_agent: Annotated[str | None, typer.Option(help="Sent for this feed.")] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="'Name: value'; may be repeated.")
    ] = None,
    header_env: Annotated[
        list[str] | None,
        typer.Option(help="'Name: VARIABLE' of the service's environment; may be repeated."),
    ] = None,
    cookie_file: Annotated[
        Path | None, typer.Option(help="A file with the cookie, read at each poll.")
    ] = None,
    cookie_env: Annotated[str | None, typer.Option(help="A variable with the cookie.")] = None,
    username: Annotated[str | None, typer.Option(help="For basic authentication.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="A file with the password.")] = None,
    password_env: Annotated[str | None, typer.Option(help="A variable with the password.")] = None,
    proxy: Annotated[str | None, typer.Option(help="http://host:port to ask through.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Add all feeds that the site names, not the best one.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what there is, and add nothing.")
    ] = False,
    no_discover: Annotated[
        bool, typer.Option("--no-discover", help="Add the URL as it is; ask nobody.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Follow a feed, or the feed of a site.

    Of what a site offers the best feed is taken, and the others are shown. More options for how a
    feed is asked for stand in config/feeds.toml.
    """
    if Path(url).is_file():
        raise CommandError(
            f"{url} is a file: `kabar feeds import` reads a list of feeds (OPML); a single feed is "
            "added by its URL"
        )
    given = {
        "user_agent": user_agent, "headers": _headers("--header", header),
        "headers_env": _headers("--header-env", header_env), "cookie_file": _absolute(cookie_file),
        "cookie_env": cookie_env, "username": username, "password_file": _absolute(password_file),
        "password_env": password_env, "proxy": proxy,
    }  # fmt: skip
    wanted = Declared(
        opml.web_url(url), title, interval_seconds, declared.clean_tags(tag or ()),
        {key: value for key, value in given.items() if value},
    )  # fmt: skip
    declared.check(wanted)
    if every and title:
        raise CommandError("--title is for one feed, --all for several")
    settings = configuration.load()
    with open_store() as engine:
        added = _add(engine, settings, wanted, every=every, dry_run=dry_run, ask=not no_discover)
    if as_json:
        print_json(added.document())
    else:
        added.tell()


def _headers(option: str, lines: Iterable[str] | None) -> dict[str, str]:
    headers = {}
    for line in lines or ():
        name, colon, value = line.partition(":")
        if not colon:
            raise CommandError(f"{option} {name}…: 'Name: value' was expected")
        headers[name.strip()] = value.strip()
    return headers


def _absolute(path: Path | None) -> str | None:
    # The service is seldom started where this command is.
    return str(path.expanduser().absolute()) if path else None


@dataclass(frozen=True, slots=True)
class _Added:
    """What came of adding `asked`: the feeds that were found there, `chosen` of them, and `new`."""

    asked: str
    found: tuple[Found, ...]
    chosen: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        listed = [
            {
                "url": redacted(feed.url),
                "title": feed.title,
                "kind": feed.kind,
                "entries": feed.entries,
                "newest_at": feed.newest_at,
                "added": feed.url in self.new,
            }
            for feed in self.found
        ]
        return {"url": redacted(self.asked), "added": bool(self.new), "feeds": listed}

    def tell(self) -> None:
        """Say it to a person."""
        for feed in self.found:
            if feed.url in self.chosen:
                typer.echo(clean(_told(feed, is_new=feed.url in self.new)))
        if others := [feed for feed in self.found if feed.url not in self.chosen]:
            if self.chosen:
                typer.echo("\nalso there; --all adds all, or add one by its URL:")
            print_table([_row(feed) for feed in others], dict.fromkeys(_row(others[0])), empty="")


def _told(feed: Found, *, is_new: bool) -> str:
    url = redacted(feed.url)
    if not is_new:
        return f"{url} is followed already"
    if feed.entries is None:
        return f"added {url}"
    newest = f", the newest of {when(feed.newest_at)}" if feed.newest_at else ""
    entries = f"{feed.entries} {'entry' if feed.entries == 1 else 'entries'}{newest}"
    return f"added {url}: {feed.title or 'no title'} ({feed.kind or 'feed'}, {entries})"


def _row(feed: Found) -> dict[str, Any]:
    return {
        "url": redacted(feed.url),
        "title": feed.title,
        "kind": feed.kind,
        "entries": feed.entries,
        "newest": when(feed.newest_at),
    }


def _add(
    engine: Engine, settings: Settings, wanted: Declared, *, every: bool, dry_run: bool, ask: bool
) -> _Added:
    as_it_is = Found(wanted.url, wanted.title, None)
    if not dry_run and feeds.find(engine, wanted.url):
        return _Added(wanted.url, (as_it_is,), frozenset({wanted.url}))
    if ask:
        polling.refuse_resting(engine, wanted.url)
    all_found = _discover(settings, wanted, every=every or dry_run) if ask else (as_it_is,)
    if dry_run:
        return _Added(wanted.url, all_found)
    chosen = [feed for feed in all_found if feed.entries is not None] if every else [all_found[0]]
    _refuse_to_tell_others(wanted, chosen)
    new = frozenset(feed.url for feed in chosen if _follow(engine, settings, wanted, feed))
    return _Added(wanted.url, all_found, frozenset(feed.url for feed in chosen), new)


def _discover(settings: Settings, wanted: Declared, *, every: bool) -> tuple[Found, ...]:
    async def search() -> tuple[Found, ...]:
        async with Client(settings.http) as client:
            return await discover(
                client, wanted.url, wanted.options, settings.politeness, every=every
            )

    try:
        return asyncio.run(search())
    except KabarError as error:
        raise CommandError(
            f"{error}; nothing was added (--no-discover adds a URL as it is)"
        ) from None


def _refuse_to_tell_others(wanted: Declared, chosen: Iterable[Found]) -> None:
    """What may be secret was meant for the site that was named."""
    is_secret = options.are_secret(wanted.options)
    for feed in chosen:
        if is_secret and not options.is_same_site(wanted.url, feed.url):
            raise CommandError(
                f"the feed is on another site, {redacted(feed.url)}: add it by that URL, with what "
                "may be sent there"
            )


def _follow(engine: Engine, settings: Settings, wanted: Declared, feed: Found) -> bool:
    """Add a feed; whether it is new. What it was found by is its first poll, so that the site is
    not asked again at once.
    """
    if not feeds.add_many(engine, [replace(wanted, url=feed.url)]):
        return False
    if feed.response and (row := feeds.find(engine, feed.url)):
        polling.take_in(engine, settings, row["id"], feed.response)
    return True


@app.command("list")
def list_(
    failing: Annotated[
        bool, typer.Option("--failing", help="Only those that fail, poll after poll, or are gone.")
    ] = False,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag, or below it.")] = None,
    as_json: Json = False,
) -> None:
    """List the feeds: state, what was new last, next poll, last error."""
    with open_store() as engine:
        rows = feeds.listing(engine, failing=failing)
    listed = [row for row in rows if tag is None or _is_tagged(row, tag)]
    if as_json:
        print_json([_document(row) for row in listed])
        return
    print_table(
        [
            {
                "id": row["id"],
                "state": row["state"],
                "title": row["title"],
                "url": redacted(row["url"]),
                "last new": when(row["listed_at"]),
                "next poll": when(_next_poll(row)),
                "error": row["detail"],
            }
            for row in listed
        ],
        dict.fromkeys(("id", "state", "title", "url", "last new", "next poll", "error")),
        empty="none of the feeds is so"
        if failing or tag
        else "no feeds yet: add one with `kabar feeds add URL`",
    )


def _is_tagged(row: Mapping[str, Any], tag: str) -> bool:
    return any(own == tag or own.startswith(f"{tag}/") for own in row["tags"] or ())


@app.command()
def show(feed: _Feed, as_json: Json = False) -> None:
    """Show what is known of a feed, and what the time of its next poll follows from."""
    with open_store() as engine:
        row = _find(engine, feed)
        subscription = subscriptions.known(engine, [row["id"]]).get(row["id"])
        until = polling.resting_until(engine, row["url"])
    if as_json:
        more = {"subscription": _subscription(subscription), "host_resting_until": until}
        print_json(_document(row) | more)
        return
    print_fields(_fields(row, subscription) | {"host": _host(until)})
    if row["schedule"] and _next_poll(row):
        typer.echo("\nthe next poll follows from:")
        print_table(
            [
                {
                    "": "*" if each.get("effective") else "",
                    "what": each["name"],
                    "gives": when(datetime.fromisoformat(each["at"])),
                    "why": each.get("detail"),
                }
                for each in row["schedule"]
            ],
            dict.fromkeys(("", "what", "gives", "why")),
            empty="",
        )
        if _next_poll(row) != datetime.fromisoformat(row["schedule"][-1]["at"]):
            typer.echo(f"\nsince then {_rescheduled(row)}")


def _rescheduled(row: Mapping[str, Any]) -> str:
    """Why the next poll is not when the last one has left it."""
    if row["due_at"] > datetime.fromisoformat(row["schedule"][-1]["at"]):
        return "it was put off: its host was busy or wants to be left alone, or time ran out"
    return "it was brought forward: it was resumed, or another feed has moved to its URL"


def _host(until: datetime | None) -> str | None:
    return f"wants to be left alone until {when(until)}" if until else None


def _fields(row: Mapping[str, Any], subscription: Subscription | None) -> dict[str, Any]:
    given = options.shown(row["options"] or {})
    return {
        "feed": f"{row['id']}  {redacted(row['url'])}",
        "title": row["title"],
        "site": redacted(row["site_url"] or ""),
        "language": row["language"],
        "tags": ", ".join(row["tags"] or ()),
        "state": row["state"] + (" (by the feeds file)" if row["declared"] else ""),
        "options": ", ".join(f"{key} = {_word(value)}" for key, value in given.items()),
        "own interval": _seconds(row["interval_seconds"]),
        "last poll": f"{when(row['polled_at'])}, {_outcome(row)}" if row["polled_at"] else None,
        "last success": when(row["succeeded_at"]),
        "last change": when(row["changed_at"]),
        "last new": when(row["listed_at"]),
        "newest entry": when(row["newest_at"]),
        "gap expected": _seconds(row["gap_seconds"]),
        "gap asked for": _seconds(row["hint_seconds"]),
        "entries known by": row["identity_by"],
        "moving to": _move(row),
        "pushed": _pushed(subscription),
        "failures in a row": row["failures"] or None,
        "failing since": when(row["failing_at"]),
        "next poll": when(_next_poll(row)) or "none",
    }


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}: {one}" for key, one in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _seconds(value: float | None) -> str | None:
    return f"{value:,.0f} s" if value else None


def _move(row: Mapping[str, Any]) -> str | None:
    if not row["moved_to"]:
        return None
    polls = f"{row['moved_polls']} poll{'s' if row['moved_polls'] > 1 else ''}"
    return f"{redacted(row['moved_to'])}, by {polls} since {when(row['moved_at'])}"


def _pushed(subscription: Subscription | None) -> str | None:
    if subscription is None:
        return None
    parts = (
        f"{subscription.state} at {redacted(subscription.hub)}",
        f"until {when(subscription.lease_ends_at)}" if subscription.lease_ends_at else "",
        f"last {when(subscription.pushed_at)}" if subscription.pushed_at else "",
        subscription.detail or "",
    )
    return ", ".join(filter(None, parts))


@app.command()
def poll(feed: _Feed, as_json: Json = False) -> None:
    """Poll a feed now, and show what is sent and what comes of it."""
    settings = configuration.load()
    with open_store() as engine:
        row = _find(engine, feed)
        polled = polling.poll(engine, settings, row)
    sent = {"User-Agent": settings.http.user_agent, **polled.sent}
    if as_json:
        print_json(_poll_document(row["url"], sent, polled))
    else:
        _tell_poll(row["url"], sent, polled)
    if polled.outcome.result == "failed":
        raise typer.Exit(1)


def _poll_document(url: str, sent: Mapping[str, str], polled: Polled) -> dict[str, Any]:
    response, outcome = polled.response, polled.outcome
    return {
        "url": redacted(url),
        "request_headers": sent,
        "hops": [{"status": hop.status, "url": redacted(hop.url)} for hop in response.hops],
        "final_url": redacted(response.final_url),
        "status": response.status,
        "response_headers": _told_headers(polled),
        "elapsed_seconds": round(response.elapsed_seconds, 3),
        "bytes": len(response.body),
        "result": outcome.result,
        "reason": outcome.reason,
        "detail": outcome.detail or None,
        "title": outcome.title,
        "entries": len(outcome.entries),
        "new_articles": polled.new,
        "due_at": outcome.due_at,
        "schedule": [
            {"name": each.name, "at": each.at, "detail": each.detail, "effective": each.effective}
            for each in outcome.why
        ],
    }


def _tell_poll(url: str, sent: Mapping[str, str], polled: Polled) -> None:
    response, outcome = polled.response, polled.outcome
    lines = [f"> GET {redacted(url)}", *(f"> {name}: {value}" for name, value in sent.items())]
    lines += [f"< {hop.status} from {redacted(hop.url)}" for hop in response.hops]
    size = f", {len(response.body):,} bytes" if response.body else ""
    lines += [f"< {response.detail} after {response.elapsed_seconds:.2f} s{size}"]
    lines += [f"< {name}: {value}" for name, value in _told_headers(polled).items()]
    lines += ["", _summary(polled), *(f"  {title}" for title in polled.titles)]
    because = "".join(f" ({each.name}: {each.detail})" for each in outcome.why if each.effective)
    lines += [f"next poll {when(outcome.due_at)}{because.replace(': )', ')')}"]
    for line in lines:
        typer.echo(clean(line))


def _told_headers(polled: Polled) -> dict[str, str]:
    headers = polled.response.headers
    return {name: headers[name] for name in _TOLD_HEADERS if name in headers}


def _summary(polled: Polled) -> str:
    outcome = polled.outcome
    if outcome.result == "failed":
        return f"failed: {outcome.detail or outcome.reason}"
    if outcome.result == "unchanged":
        return "unchanged"
    return f"{outcome.title or 'no title'}: {len(outcome.entries)} entries, {polled.new} new"


@app.command()
def pause(feed: _Feed) -> None:
    """Stop polling a feed until it is resumed."""
    _set_state(feed, "paused")


@app.command()
def resume(feed: _Feed) -> None:
    """Poll a feed again, at once; one that is gone begins anew."""
    _set_state(feed, "active")


@app.command()
def remove(feed: _Feed) -> None:
    """Follow a feed no more; its articles and stories stay."""
    with open_store() as engine:
        row = _find(engine, feed)
        feeds.remove(engine, row["id"])
    typer.echo(f"removed {redacted(row['url'])}")
    if row["declared"]:
        typer.echo("it stands in the feeds file, and comes back when that changes", err=True)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE|-", help="OPML; `-`: standard input.")],
    as_json: Json = False,
) -> None:
    """Follow the feeds of an OPML list; its folders become tags."""
    content = _content(file)
    try:
        listed = opml.read(content)
    except KabarError as error:
        raise NothingUsableError(f"{file}: {error}") from None
    for problem in listed.problems:
        typer.echo(clean(problem), err=True)
    if not listed.feeds:
        raise NothingUsableError(f"{file}: there is no feed in it")
    with open_store() as engine:
        added = feeds.add_many(engine, listed.feeds)
    followed = len(listed.feeds) - added
    if as_json:
        print_json({"added": added, "followed": followed, "problems": listed.problems})
    else:
        already = f"; {followed} were followed already" if followed else ""
        typer.echo(f"added {added} feed{'' if added == 1 else 's'}{already}")
    if listed.problems:
        typer.echo(f"{len(listed.problems)} could not be used", err=True)


def _content(file: Path) -> bytes:
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(opml.MOST_BYTES + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(opml.MOST_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    if len(content) > opml.MOST_BYTES:
        raise CommandError(f"{file}: over {opml.MOST_BYTES} bytes")
    return content


@app.command()
def export(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="Overwritten; default: standard output.")
    ] = Path("-"),
) -> None:
    """Write all feeds as an OPML 2.0 list, with tags as folders."""
    with open_store() as engine:
        rows = feeds.listing(engine)
    document = opml.write(map(_listed, rows), datetime.now(UTC))
    if str(file) == "-":
        typer.echo(document, nl=False)
    else:
        try:
            file.write_bytes(document)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
    if secret := sum(redacted(row["url"]) != row["url"] for row in rows):
        typer.echo(
            f"the user and password of {secret} URL{'s' if secret > 1 else ''} were left out",
            err=True,
        )


def _listed(row: Mapping[str, Any]) -> opml.Subscription:
    return opml.Subscription(
        redacted(row["url"]),
        row["title"],
        redacted(row["site_url"] or "") or None,
        tuple(row["tags"] or ()),
    )


def _set_state(feed: str, state: Literal["active", "paused"]) -> None:
    with open_store() as engine:
        row = _find(engine, feed)
        feeds.set_state(engine, row["id"], state)
    typer.echo(f"{'resumed' if state == 'active' else 'paused'} {redacted(row['url'])}")


def _find(engine: Engine, feed: str) -> dict[str, Any]:
    def urls() -> list[str]:
        return [redacted(row["url"]) for row in feeds.listing(engine)]

    return found(feeds.find(engine, feed), "feed", redacted(feed), urls, "kabar feeds list")


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A feed as JSON shows it, without secrets."""
    document = record(row, "lease_token")
    urls = {key: redacted(row[key]) for key in ("url", "site_url", "moved_to") if row[key]}
    return document | urls | {"options": options.shown(row["options"] or {})}


def _subscription(subscription: Subscription | None) -> dict[str, Any] | None:
    if subscription is None:
        return None
    return {
        "hub": redacted(subscription.hub),
        "topic": redacted(subscription.topic),
        "state": subscription.state,
        "asked_at": subscription.asked_at,
        "verified_at": subscription.verified_at,
        "lease_ends_at": subscription.lease_ends_at,
        "pushed_at": subscription.pushed_at,
        "failures": subscription.failures,
        "detail": subscription.detail,
    }


def _next_poll(row: Mapping[str, Any]) -> datetime | None:
    return row["due_at"] if row["state"] in _POLLED else None


def _outcome(row: Mapping[str, Any]) -> str:
    status = f" (status {row['status']})" if row["status"] else ""
    return f"{row['detail'] or row['reason'] or 'fine'}{status}"
