"""The one client. Whatever a peer or the network does, a `Response` comes back.

Built on aiohttp since, of the clients measured, it alone ends at its deadline whatever the peer
drips, holds a body back while it is read, and lets us make its sockets.
"""

import asyncio
import socket
import time
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple, Self
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from worker.http import coding, target
from worker.http.guard import AddressDeniedError, Guard, GuardedResolver, Names, RenewedResolver
from worker.http.response import Hop, Response
from worker.reasons import Reason
from worker.settings import HttpSettings

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_NOTHING_CAME: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# All others may hold a secret: what a feed's user has named goes to the feed's own origin alone.
_FOR_ANY_ORIGIN = frozenset(
    {
        *("accept", "accept-language", "user-agent"),
        *("if-none-match", "if-modified-since"),
    }
)
_GETS_AT_ONCE = 6  # of one host; what browsers hold to
_KEPT_SECONDS = 10.0  # an idle connection; aiohttp looks as often, so that it may be twice that
_RECEIVER_KEPT_SECONDS = 4.0  # Node closes after 5; a POST that crosses with that is lost
_MOST_KEPT = 256  # sockets open in all; beyond it none is kept: most hosts are met once an hour
_NAMES_KEPT_SECONDS = 10
_NAME_FAILED_SECONDS = 300.0
_RECEIVER_FAILED_SECONDS = 5.0  # within one batch: a delivery's next try is to be a real one
_CLOSE_SECONDS = 5.0
_LONGEST_HEADER = 32_768  # some sites' Content-Security-Policy is over aiohttp's own 8,190
_MOST_HEADERS = 200
_CHUNK = 65_536
_LONGEST_DETAIL = 300


class Client:
    """GET and POST by the one way out. An async context manager, for one event loop.

    Made to live as long as its process and to serve many batches at once. It remembers for five
    minutes which names could not be resolved (for deliveries, 5 s). `resolver` looks names up in
    place of the system's configuration (aiodns either way).
    """

    def __init__(self, settings: HttpSettings, *, resolver: AbstractResolver | None = None) -> None:
        self._settings = settings
        self._resolver = resolver
        self._open = AsyncExitStack()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._under_way: set[asyncio.Timeout] = set()
        self._all_done: asyncio.Event | None = None  # there once the client is being closed

    async def __aenter__(self) -> Self:
        resolver = self._resolver or RenewedResolver()
        if resolver is not self._resolver:
            self._open.push_async_callback(resolver.close)
        sites = Names(resolver, _NAME_FAILED_SECONDS)
        receivers = Names(resolver, _RECEIVER_FAILED_SECONDS)
        self._public = Guard(self._settings.allow_networks)
        private = replace(self._public, allow_private=True)
        # A pool of connections for each guard: what one let through, another may not reuse.
        self._pages = await self._pool(sites, self._public, _KEPT_SECONDS, _GETS_AT_ONCE)
        self._named = await self._pool(sites, private, _KEPT_SECONDS, _GETS_AT_ONCE)
        self._deliveries = {
            guard.allow_private: await self._pool(receivers, guard, _RECEIVER_KEPT_SECONDS)
            for guard in (self._public, private)
        }
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; requests under way end at once as CONNECTION_LOST."""
        if self._under_way:
            await self._end_all()
        await self._open.aclose()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        max_bytes: int | None = None,
        timeout_seconds: float | None = None,
        proxy: str | None = None,
        verify_tls: bool = True,
        allow_private: bool = False,
        same_host: bool = False,
    ) -> Response:
        """GET `url`, following redirects; what is said here holds for all hops, the deadline too.
        With `same_host` one that leads to another host is not followed: see `Response.onward`.

        A body over `max_bytes`, decompressed or as it comes, is the failure TOO_LARGE. Where the
        status is an error, it stands, whatever happens to the body.

        `allow_private` is for a server that the user has named, such as a mirror. `proxy` is
        `http://[user:password@]host[:port]`: named by its user too, it may stand at a private
        address. It resolves the target's name itself, so a name is all that we know of
        the target and only one that is an address, or `localhost`, can be denied here.
        """
        came = _Came(url, stays=same_host)
        most = self._settings.max_body_bytes if max_bytes is None else max_bytes
        work = self._get(
            came, headers, most, proxy, verify_tls=verify_tls, allow_private=allow_private
        )
        return await self._settle(came, work, timeout_seconds)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        max_bytes: int = 65_536,
        timeout_seconds: float | None = None,
        allow_private: bool = False,
    ) -> Response:
        """POST `body` to `url`; a redirect is an answer, not followed.

        The status line decides: when the rest of the answer stalls, breaks off or goes on beyond
        `max_bytes`, what came of it is the body, and that is no failure.
        """
        came = _Came(url, status_decides=True)
        work = self._post(came, body, headers, max_bytes, allow_private=allow_private)
        return await self._settle(came, work, timeout_seconds)

    async def _end_all(self) -> None:
        # Left to aiohttp, some requests would go on waiting and others be told they were cancelled.
        self._all_done = asyncio.Event()
        for deadline in self._under_way:
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time())
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._all_done.wait()

    async def _settle(
        self, came: "_Came", work: Coroutine[Any, Any, None], timeout_seconds: float | None
    ) -> Response:
        seconds = self._settings.timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline = asyncio.timeout(seconds)
        self._under_way.add(deadline)
        try:
            async with deadline:
                await work
        except _PEERS_DOING as error:
            came.failed(error, is_closing=self._all_done is not None)
        finally:
            self._under_way.discard(deadline)
            if self._all_done and not self._under_way:
                self._all_done.set()
        return came.response()

    async def _pool(
        self, names: Names, guard: Guard, kept_seconds: float, per_host: int = 0
    ) -> "_Pool":
        def make_socket(addr_info: tuple[Any, ...]) -> socket.socket:
            made = guard.socket(addr_info)
            self._sockets.add(made)
            return made

        def connector(*, keep: bool) -> aiohttp.TCPConnector:
            return aiohttp.TCPConnector(
                resolver=GuardedResolver(names, guard),
                ttl_dns_cache=_NAMES_KEPT_SECONDS,
                socket_factory=make_socket,
                limit=0,  # the batch is the limit: a hundred hanging hosts must not delay the next
                limit_per_host=per_host,
                force_close=not keep,
                keepalive_timeout=kept_seconds if keep else None,
            )

        return _Pool(
            await self._session(connector(keep=True)),
            await self._session(connector(keep=False)),
        )

    async def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # neither proxies nor .netrc: a proxy would resolve names itself
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._settings.connect_timeout_seconds
            ),
            headers={"User-Agent": self._settings.user_agent, "Accept-Encoding": coding.OFFERED},
            auto_decompress=False,  # done here, by `coding`
            read_bufsize=_CHUNK,
            max_field_size=_LONGEST_HEADER,
            max_headers=_MOST_HEADERS,
        )
        return await self._open.enter_async_context(session)

    def _of(self, pool: "_Pool") -> aiohttp.ClientSession:
        return pool.keeping if len(self._sockets) <= _MOST_KEPT else pool.closing

    async def _get(
        self,
        came: "_Came",
        headers: Mapping[str, str],
        most_bytes: int,
        proxy: str | None,
        *,
        verify_tls: bool,
        allow_private: bool,
    ) -> None:
        way = _way(proxy, verify_tls=verify_tls, allow_private=allow_private)
        url, credentials = target.parse(came.url)
        to_send = _merged(credentials, headers) if credentials else headers
        while True:
            came.final_url = str(url)
            response = await self._ask(way, url, to_send)
            came.head(response)
            if response.status not in _REDIRECTS or not response.headers.get("Location"):
                return await came.read_whole(response, most_bytes)
            response.release()
            self._refuse_too_many(came)
            came.redirected()
            came_from, url = url, target.follow(url, response.headers["Location"])
            came.refuse_other_host(came_from, url)
            if url.origin() != came_from.origin():
                to_send = _for_any_origin(to_send)

    async def _ask(
        self, way: "_Way", url: URL, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        if way.proxy:
            return await self._ask_proxy(way, url, headers)
        return await self._of(self._named if way.allow_private else self._pages).get(
            url, headers=headers, ssl=way.verify_tls, allow_redirects=False
        )

    async def _ask_proxy(
        self, way: "_Way", url: URL, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        self._refuse_denied_target(url)
        response = await self._of(self._named).get(
            url,
            # aiohttp sends `proxy_headers` with CONNECT only: through the tunnel they must not go.
            headers=_merged(headers, way.for_proxy) if url.scheme == "http" else headers,
            proxy=way.proxy,
            proxy_headers=way.for_proxy,
            ssl=way.verify_tls,
            allow_redirects=False,
        )
        if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            response.release()
            raise _Refusal(Reason.CONNECT_FAILED, "the proxy wants other credentials")
        return response

    def _refuse_denied_target(self, url: URL) -> None:
        host = url.raw_host or ""
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 section 6.3
            host = "127.0.0.1"
        with suppress(ValueError):  # a name, which the proxy resolves
            self._public.check(host)

    def _refuse_too_many(self, came: "_Came") -> None:
        most = self._settings.max_redirects
        if len(came.hops) >= most:
            raise _Refusal(Reason.TOO_MANY_REDIRECTS, f"more than {most} redirects")

    async def _post(
        self,
        came: "_Came",
        body: bytes,
        headers: Mapping[str, str],
        most_bytes: int,
        *,
        allow_private: bool,
    ) -> None:
        url, credentials = target.parse(came.url)
        came.final_url = str(url)
        response = await self._of(self._deliveries[allow_private]).post(
            url,
            data=body,
            headers=_merged(credentials, headers, {"Accept-Encoding": "identity"}),
            allow_redirects=False,
        )
        came.head(response)
        await came.read_start(response, most_bytes)


class _Pool(NamedTuple):
    """Connections that one guard let through: in one session they are kept for the next request."""

    keeping: aiohttp.ClientSession
    closing: aiohttp.ClientSession


@dataclass(frozen=True)
class _Way:
    """How the hops of one GET go out; `for_proxy`: headers that nobody else is to see."""

    verify_tls: bool
    allow_private: bool
    proxy: URL | None = None
    for_proxy: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)


def _way(proxy: str | None, *, verify_tls: bool, allow_private: bool) -> _Way:
    if proxy is None:
        return _Way(verify_tls, allow_private)
    return _Way(verify_tls, allow_private, *target.parse_proxy(proxy))


class _Refusal(Exception):  # noqa: N818 - what we refuse is no error of ours
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass
class _Came:
    """What has come so far: it outlives the deadline that ends the request.

    `status_decides`: once a status is there, nothing that happens later is a failure. `stays`: it
    goes to no other host.
    """

    url: str
    status_decides: bool = False
    stays: bool = False
    started: float = field(default_factory=time.monotonic)
    final_url: str = ""
    status: int | None = None
    phrase: str = ""
    headers: CIMultiDictProxy[str] = field(default_factory=lambda: _NOTHING_CAME)
    body: list[bytes] = field(default_factory=list)
    length: int = 0
    hops: list[Hop] = field(default_factory=list)
    failure: Reason | None = None
    detail: str = ""
    onward: str | None = None

    def head(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.phrase = response.reason or _phrase(response.status)
        self.headers = _storable(response)

    def redirected(self) -> None:
        """Note that what came was a redirect, and forget it: the next answer is to come."""
        assert self.status is not None
        self.hops.append(Hop(self.status, self.final_url))
        self.status, self.phrase, self.headers = None, "", _NOTHING_CAME

    def refuse_other_host(self, came_from: URL, url: URL) -> None:
        """Note where it would go on, and end there, if it is not to leave its host."""
        if self.stays and (host := target.host(url)) != target.host(came_from):
            self.onward = str(url)
            raise _Refusal(Reason.REDIRECTED, f"redirected to {host}")

    async def read_whole(self, response: aiohttp.ClientResponse, most_bytes: int) -> None:
        """Read the body and undo its coding; refuse one over `most_bytes`."""
        try:
            _refuse_length(response.content_length or 0, most_bytes)
            decoder = coding.decoder(response.headers.get("Content-Encoding", ""))
            received = 0
            while chunk := await response.content.readany():
                received += len(chunk)
                _refuse_length(received, most_bytes)  # what decodes to nothing has no other end
                for piece in decoder.feed(chunk) if decoder else (chunk,):
                    self._add(piece)
                    _refuse_length(self.length, most_bytes)
            if decoder:
                decoder.finish()
        finally:
            response.release()  # closes the connection where the body was not read to its end

    async def read_start(self, response: aiohttp.ClientResponse, most_bytes: int) -> None:
        """Read the body, as it comes, up to `most_bytes`."""
        try:
            while self.length < most_bytes and (chunk := await response.content.readany()):
                self._add(chunk[: most_bytes - self.length])
        finally:
            response.release()

    def failed(self, error: Exception, *, is_closing: bool) -> None:
        """Note what went wrong, unless the status that came is the outcome all the same."""
        if self.status is not None and self.status_decides:
            return
        self.body.clear()
        if self.status is not None and self.status >= HTTPStatus.BAD_REQUEST:
            return
        if is_closing and isinstance(error, TimeoutError):
            self.failure, self.detail = Reason.CONNECTION_LOST, "the client was closed"
        else:
            self.failure, self.detail = _explain(error)

    def response(self) -> Response:
        asked_for = target.redacted(self.url)
        return Response(
            url=asked_for,
            final_url=self.final_url or asked_for,
            status=self.status,
            headers=self.headers,
            body=b"".join(self.body),
            elapsed_seconds=time.monotonic() - self.started,
            hops=tuple(self.hops),
            failure=self.failure,
            detail=_line(self.detail or f"{self.status} {self.phrase}"),
            onward=self.onward,
        )

    def _add(self, piece: bytes) -> None:
        self.body.append(piece)
        self.length += len(piece)


def _merged(*several: Mapping[str, str]) -> CIMultiDict[str]:
    """All headers in one; of those with the same name the last counts."""
    merged: CIMultiDict[str] = CIMultiDict()
    for headers in several:
        merged.update(headers)
    return merged


def _for_any_origin(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in _FOR_ANY_ORIGIN}


def _storable(response: aiohttp.ClientResponse) -> CIMultiDictProxy[str]:
    if all(value.isascii() for _, value in response.raw_headers):
        return response.headers
    return CIMultiDictProxy(
        CIMultiDict((name, _text(value)) for name, value in response.headers.items())
    )


def _refuse_length(length: int, most_bytes: int) -> None:
    if length > most_bytes:
        raise _Refusal(Reason.TOO_LARGE, f"the body is {length} bytes or more, over {most_bytes}")


# TimeoutError is an OSError; any other exception is a fault of ours and is not caught.
_PEERS_DOING = (
    _Refusal,
    target.InvalidURLError,
    coding.UndecodableError,
    aiohttp.ClientError,
    OSError,
)


def _explain(error: Exception) -> tuple[Reason, str]:
    """The reason of a request's failure and one line for people, without the URL's secrets."""
    match error:
        case _Refusal():
            return error.reason, str(error)
        case target.InvalidURLError() | aiohttp.InvalidURL():
            return Reason.INVALID_URL, str(error)
        case aiohttp.ClientConnectorError() | AddressDeniedError():
            return _explain_unconnected(error)
        case aiohttp.ConnectionTimeoutError():
            return Reason.CONNECT_FAILED, "no connection before the connect timeout"
        case TimeoutError():
            return Reason.TIMEOUT, Reason.TIMEOUT.text
        case aiohttp.ClientHttpProxyError():
            return Reason.CONNECT_FAILED, f"the proxy answered {error.status} {error.message}"
        case aiohttp.ClientResponseError():
            return Reason.CONNECTION_LOST, f"the answer was not HTTP: {error.message}"
    return Reason.CONNECTION_LOST, str(error) or Reason.CONNECTION_LOST.text


def _explain_unconnected(
    error: aiohttp.ClientConnectorError | AddressDeniedError,
) -> tuple[Reason, str]:
    match error:
        case aiohttp.ClientSSLError():
            return Reason.TLS_FAILED, str(error)
        case AddressDeniedError():
            return Reason.ADDRESS_DENIED, str(error)
        case aiohttp.ClientConnectorError(os_error=AddressDeniedError()):
            return Reason.ADDRESS_DENIED, str(error.os_error)
        case aiohttp.ClientConnectorDNSError():
            return Reason.DNS_FAILED, str(error.os_error)
    return Reason.CONNECT_FAILED, str(error)


def _text(value: str) -> str:
    """A header's value without the surrogates by which aiohttp keeps bytes that are not UTF-8."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _line(text: str) -> str:
    if text.isprintable():
        return text[:_LONGEST_DETAIL]
    words = " ".join(_text(text).split())
    return "".join(filter(str.isprintable, words))[:_LONGEST_DETAIL]
