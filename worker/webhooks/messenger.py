"""Sends messages to chats and mail by apprise, one after the other, in a process of its own.

    python -P messenger.py

Standard input has a line of JSON for each message (`url`, `title`, `text`, `seconds`), or for what
is to be known of a target (`url` alone); a line of JSON on standard output answers. Before each
connection a line `{"connect": address}` asks whether it may be made, and is answered with `true`
or `false`.

It imports nothing of ours: a start takes as long as apprise's own.
"""

import json
import os
import resource
import signal
import smtplib
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

import apprise
import requests

_EXCERPT = 2_000  # characters
_MOST_MEMORY = 1 << 29  # bytes of address space; a service's answer may have no end
_NOTHING = "nothing was sent: the target's URL may lack a part, such as who is to get it"
_BYE = 221  # what mail servers say whatever was before
_SPARE_SECONDS = 5  # that whoever started this has to end it, before it does so itself
_CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg")

_asked, _answers = sys.stdin, sys.stdout
_seen: list[Any] = []  # what came back on the way, and what was raised


def main() -> None:
    """Answer line by line until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: whoever started this ends it
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - a service that prints
    for owner, name in (
        (requests.adapters.HTTPAdapter, "send"),
        *((smtplib.SMTP, name) for name in ("connect", "starttls", "login", "getreply")),
    ):
        setattr(owner, name, _noting(getattr(owner, name)))
    sys.addaudithook(_ask)
    for line in _asked:
        order = json.loads(line)
        _tell(_send(order) if "text" in order else _describe(order["url"]))


def _ask(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _CONNECTING:
        return
    address = arguments[1]
    _tell({"connect": address[0] if isinstance(address, tuple) else str(address)})
    if not json.loads(_asked.readline() or "false"):
        raise PermissionError("this address must not be connected to")


def _tell(document: dict[str, Any], to: TextIO = _answers) -> None:
    to.write(json.dumps(document) + "\n")
    to.flush()


def _noting(call: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*arguments: Any, **options: Any) -> Any:
        try:
            came = call(*arguments, **options)
        except Exception as error:
            _seen.append(error)
            raise
        _seen.append(came)
        return came

    return noted


def _describe(url: str) -> dict[str, Any]:
    target = _target(url)
    if target is None:
        return {"shown": None}
    # Without the options: what is a secret among them is not always hidden.
    return {"shown": target.url(privacy=True).partition("?")[0], "service": target.service_name}


def _target(url: str) -> Any:
    asset = apprise.AppriseAsset(app_id="Kabar", app_desc="Kabar", app_url="", image_url_mask="")
    return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)


def _send(order: dict[str, Any]) -> dict[str, Any]:
    signal.alarm(int(order["seconds"]) + _SPARE_SECONDS)
    _seen.clear()
    target = _target(order["url"])
    if target is None:
        return {"accepted": False, "failure": "invalid_url"}
    target.redirects = False
    target.retry = 0
    target.socket_connect_timeout = target.socket_read_timeout = order["seconds"]
    sender = apprise.Apprise()
    sender.add(target)
    accepted = sender.notify(
        body=order["text"], title=order["title"], body_format=apprise.NotifyFormat.TEXT
    )
    signal.alarm(0)
    return {"accepted": bool(accepted), **_came(is_accepted=bool(accepted))}


def _came(*, is_accepted: bool) -> dict[str, Any]:
    """What there is to say of the last thing that came back, of those that are telling."""
    came = [one for one in _seen if not (isinstance(one, tuple) and one[0] == _BYE)]
    telling = [one for one in came if _is_failure(one) != is_accepted] or came[-1:]
    match telling[-1] if telling else None:
        case requests.Response() as answer:
            return {
                "status": answer.status_code,
                "retry_after": answer.headers.get("Retry-After"),
                "excerpt": _text(answer.content),
            }
        case smtplib.SMTPNotSupportedError() as error:
            return {"excerpt": str(error)}
        case Exception() as error:
            return {"failure": _failure(error)}
        case (int(code), bytes(said)):
            return {"excerpt": f"{code} {_text(said)}"}
    return {} if is_accepted else {"failure": "invalid_configuration", "detail": _NOTHING}


def _text(body: bytes) -> str:
    return body[: 4 * _EXCERPT].decode("utf-8", "replace")[:_EXCERPT]


def _is_failure(seen: Any) -> bool:
    match seen:
        case requests.Response() as answer:
            return not answer.ok or answer.is_redirect
        case (int(code), _):
            return code >= 400
    return isinstance(seen, Exception)


def _failure(error: Exception) -> str:
    """The name of a reason. The error's own text may have the URL in it."""
    said = repr(error)
    if isinstance(error, requests.Timeout | TimeoutError):
        return "timeout"
    if isinstance(error, requests.exceptions.SSLError) or "SSL" in said:
        return "tls_failed"
    if "NameResolutionError" in said or "gaierror" in said:
        return "dns_failed"
    if "NewConnectionError" in said or isinstance(error, ConnectionRefusedError):
        return "connect_failed"
    return "connection_lost"


if __name__ == "__main__":
    main()
