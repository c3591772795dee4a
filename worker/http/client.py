"""The one client. Whatever a peer or the network does, a `Response` comes back.

Built on aiohttp since, of the clients measured, it alone ends at its deadline whatever the peer
drips, holds a compressed body back while it is decompressed, and lets us make its sockets.
"""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType, TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict, CIMultiDictProxy

from worker.http import target
from worker.http.guard import AddressDeniedError, Guard, GuardedResolver, Names
from worker.http.response import Hop, Response
from worker.reasons import Reason
from worker.settings import HttpSettings

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FOR_ONE_ORIGIN = frozenset({"authorization", "cookie", "proxy-authorization"})
_PAGES_AT_ONCE_PER_HOST = 6  # what browsers hold to
_LONGEST_HEADER = 32_768  # some sites' Content-Security-Policy is over aiohttp's own 8,190
_MOST_HEADERS = 200
_CHUNK = 65_536
_LONGEST_DETAIL = 300

# What aiohttp leaves as it came; anything else unknown (`utf-8`, `none`) is a server's slip.
_UNDECODED = frozenset({"x-gzip", "compress", "x-compress"})


class Client:
    """GET and POST by the one way out. An async context manager; one instance serves one batch.

    It remembers for its life which names could not be resolved. `resolver` looks names up in
    place of the system's configuration (aiodns either way).
    """

    def __init__(self, settings: HttpSettings, *, resolver: AbstractResolver | None = None) -> None:
        self._settings = settings
        self._resolver = resolver
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        resolver = self._resolver or aiohttp.AsyncResolver()
        if resolver is not self._resolver:
            self._open.push_async_callback(resolver.close)
        names = Names(resolver)
        public = Guard(self._settings.allow_networks)
        private = replace(public, allow_private=True)
        # A pool of connections for each guard: what one let through, another may not reuse.
        self._pages = await self._session(names, public, per_host=_PAGES_AT_ONCE_PER_HOST)
        self._deliveries = {
            guard.allow_private: await self._session(names, guard, per_host=0)
            for guard in (public, private)
        }
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        max_bytes: int | None = None,
        timeout_seconds: float | None = None,
    ) -> Response:
        """GET `url`, following redirects; the guard and the one deadline hold for all hops.

        A decompressed body over `max_bytes` is the failure TOO_LARGE.
        """
        came = _Came(url)
        deadline = self._deadline(timeout_seconds)
        most = self._settings.max_body_bytes if max_bytes is None else max_bytes

        async def work() -> None:
            async with _until(deadline):
                await self._follow(came, headers, most)

        return await _settle(came, work())

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
        came = _Came(url)
        deadline = self._deadline(timeout_seconds)

        async def work() -> None:
            async with _until(deadline):
                response = await self._post(came, body, headers, allow_private=allow_private)
            with suppress(*_PEERS_DOING):
                async with _until(deadline):
                    await came.read(response, max_bytes, cut=True)

        return await _settle(came, work())

    def _deadline(self, seconds: float | None) -> float:
        allowed = self._settings.timeout_seconds if seconds is None else seconds
        return time.monotonic() + allowed

    async def _session(self, names: Names, guard: Guard, *, per_host: int) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(names, guard),
            socket_factory=guard.socket,
            limit=0,  # the batch is the limit: a hundred hanging hosts must not delay the next
            limit_per_host=per_host,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # neither proxies nor .netrc: a proxy would resolve names itself
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._settings.connect_timeout_seconds
            ),
            headers={"User-Agent": self._settings.user_agent},
            read_bufsize=_CHUNK,
            max_field_size=_LONGEST_HEADER,
            max_headers=_MOST_HEADERS,
        )
        return await self._open.enter_async_context(session)

    async def _follow(self, came: "_Came", headers: Mapping[str, str], most_bytes: int) -> None:
        url, credentials = target.parse(came.url)
        to_send = _merged(credentials, headers)
        while True:
            came.final_url = str(url)
            response = await self._pages.get(url, headers=to_send, allow_redirects=False)
            came.head(response)
            if response.status not in _REDIRECTS or not response.headers.get("Location"):
                return await came.read(response, most_bytes)
            response.release()
            self._refuse_too_many(came)
            came.redirected()
            came_from, url = url, target.follow(url, response.headers["Location"])
            if url.origin() != came_from.origin():
                to_send = _for_any_origin(to_send)

    def _refuse_too_many(self, came: "_Came") -> None:
        most = self._settings.max_redirects
        if len(came.hops) >= most:
            raise _Refusal(Reason.TOO_MANY_REDIRECTS, f"more than {most} redirects")

    async def _post(
        self, came: "_Came", body: bytes, headers: Mapping[str, str], *, allow_private: bool
    ) -> aiohttp.ClientResponse:
        url, credentials = target.parse(came.url)
        came.final_url = str(url)
        response = await self._deliveries[allow_private].post(
            url,
            data=body,
            headers=_merged(credentials, headers, {"Accept-Encoding": "identity"}),
            allow_redirects=False,
            auto_decompress=False,
        )
        came.head(response)
        return response


class _Refusal(Exception):  # noqa: N818 - what we refuse is no error of ours
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass
class _Came:
    """What has come so far: it outlives the deadline that ends the request."""

    url: str
    final_url: str = ""
    status: int | None = None
    phrase: str = ""
    headers: CIMultiDictProxy[str] = field(default_factory=lambda: CIMultiDictProxy(CIMultiDict()))
    body: bytearray = field(default_factory=bytearray)
    hops: list[Hop] = field(default_factory=list)

    def head(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.phrase = response.reason or _phrase(response.status)
        self.headers = CIMultiDictProxy(
            CIMultiDict((name, _text(value)) for name, value in response.headers.items())
        )

    def redirected(self) -> None:
        """Note that what came was a redirect, and forget it: the next answer is to come."""
        assert self.status is not None
        self.hops.append(Hop(self.status, self.final_url))
        self.status, self.phrase, self.headers = None, "", CIMultiDictProxy(CIMultiDict())

    async def read(
        self, response: aiohttp.ClientResponse, most_bytes: int, *, cut: bool = False
    ) -> None:
        """Read the body up to `most_bytes`; one that is longer is cut or refused."""
        try:
            if not cut:
                _refuse_early(response, most_bytes)
            while len(self.body) < most_bytes + (not cut):
                if not (chunk := await response.content.readany()):
                    return
                self.body += chunk
            if not cut:
                raise _Refusal(Reason.TOO_LARGE, f"the body is over {most_bytes} bytes")
            del self.body[most_bytes:]
        finally:
            response.release()  # closes the connection where the body was not read to its end

    def response(self, elapsed: float, failure: Reason | None = None, detail: str = "") -> Response:
        return Response(
            url=target.redacted(self.url),
            final_url=self.final_url or target.redacted(self.url),
            status=self.status,
            headers=self.headers,
            body=b"" if failure else bytes(self.body),
            elapsed_seconds=elapsed,
            hops=tuple(self.hops),
            failure=failure,
            detail=_line(detail or f"{self.status} {self.phrase}"),
        )


async def _settle(came: _Came, work: Awaitable[None]) -> Response:
    started = time.monotonic()
    try:
        await work
    except _PEERS_DOING as error:
        reason, detail = _explain(error)
        return came.response(time.monotonic() - started, reason, detail)
    return came.response(time.monotonic() - started)


def _until(deadline: float) -> asyncio.Timeout:
    return asyncio.timeout(deadline - time.monotonic())


def _merged(*several: Mapping[str, str]) -> CIMultiDict[str]:
    """All headers in one; of those with the same name the last counts."""
    merged: CIMultiDict[str] = CIMultiDict()
    for headers in several:
        merged.update(headers)
    return merged


def _for_any_origin(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _FOR_ONE_ORIGIN
    )


def _refuse_early(response: aiohttp.ClientResponse, most_bytes: int) -> None:
    if (response.content_length or 0) > most_bytes:
        raise _Refusal(
            Reason.TOO_LARGE, f"the body is {response.content_length} bytes, over {most_bytes}"
        )
    codings = [
        coding.strip().lower() for coding in response.headers.get("Content-Encoding", "").split(",")
    ]
    if len(codings) > 1 or _UNDECODED.intersection(codings):
        raise _Refusal(
            Reason.CONNECTION_LOST, f"the body is encoded in a way not asked for: {codings}"
        )


# TimeoutError is an OSError; any other exception is a fault of ours and is not caught.
_PEERS_DOING = (_Refusal, target.InvalidURLError, aiohttp.ClientError, OSError)


def _explain(error: Exception) -> tuple[Reason, str]:
    """The reason of a request's failure and one line for people, without the URL's secrets."""
    match error:
        case _Refusal():
            return error.reason, str(error)
        case target.InvalidURLError() | aiohttp.InvalidURL():
            return Reason.INVALID_URL, str(error)
        case aiohttp.ClientConnectorError(os_error=AddressDeniedError()):
            return Reason.ADDRESS_DENIED, str(error.os_error)
        case aiohttp.ClientSSLError():
            return Reason.TLS_FAILED, str(error)
        case aiohttp.ClientConnectorDNSError():
            return Reason.DNS_FAILED, str(error.os_error)
        case aiohttp.ClientConnectorError():
            return Reason.CONNECT_FAILED, str(error)
        case aiohttp.ConnectionTimeoutError():
            return Reason.CONNECT_FAILED, "no connection before the connect timeout"
        case TimeoutError():
            return Reason.TIMEOUT, Reason.TIMEOUT.text
        case aiohttp.ClientResponseError():
            return Reason.CONNECTION_LOST, f"the answer was not HTTP: {error.message}"
    return Reason.CONNECTION_LOST, str(error) or Reason.CONNECTION_LOST.text


def _text(value: str) -> str:
    """A header's value without the surrogates by which aiohttp keeps bytes that are not UTF-8."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _line(text: str) -> str:
    words = " ".join(_text(text).split())
    return "".join(filter(str.isprintable, words))[:_LONGEST_DETAIL]
