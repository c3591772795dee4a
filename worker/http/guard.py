"""The address guard: it stands where the connection is made, so nothing gets around it.

A name is resolved once a connection and the connection goes to an address of that answer, never
to the name again (`GuardedResolver` refuses the whole answer when one address in it is denied).
An address, however it was come by, is judged once more as its socket is made (`Guard.socket`):
literals, cached answers and the hops of a redirect all pass there.
"""

import asyncio
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from ssrfguard import DEFAULT_DENIED, AddressTable, Block, Reach

_RESOLVE_SECONDS = 5.0
_MOST_FAILED_NAMES = 10_000
_LOOK_UPS_A_CHANNEL = 5_000

# Public by its number, but Azure's host answers there to the machines it runs.
_AZURE_HOST = Block(ip_network("168.63.129.16/32"), "Azure host", "no RFC", Reach.DENIED)
_TABLE = AddressTable((*DEFAULT_DENIED.blocks, _AZURE_HOST))

# By the deciding row of the table, which is its most specific: the metadata service inside
# fc00::/7 (fd00:ec2::254) has a row of its own and so stays denied.
_PRIVATE = frozenset(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "127.0.0.0/8",
            "::1/128",
            "fc00::/7",
        ),
    )
)


class AddressDeniedError(OSError):
    """The host is at an address that must not be connected to.

    An OSError, so that aiohttp hands it on as the reason of a failed connection.
    """


@dataclass(frozen=True)
class Guard:
    """Which addresses may be connected to: the public ones, and what is allowed besides.

    `allow_networks` is the operator's word and covers anything; `allow_private` covers RFC 1918,
    unique-local and loopback addresses, never link-local ones and metadata services.
    """

    allow_networks: Sequence[IPv4Network | IPv6Network] = ()
    allow_private: bool = False

    def check(self, address: str) -> None:
        """Raise `AddressDeniedError` when `address` (text of an IP address) is denied."""
        parsed = _parsed(address)
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped  # the same peer, whichever way it is written
        if self._is_allowed(parsed):
            return
        verdict = _TABLE.classify(parsed)
        if not verdict.blocked or (self.allow_private and _is_private(verdict)):
            return
        raise AddressDeniedError(f"{address} must not be connected to: {verdict.reason}")

    def socket(self, addr_info: tuple[Any, ...]) -> socket.socket:
        """The socket for a connection to `addr_info`; raises `AddressDeniedError`.

        aiohttp's `socket_factory`: what is connected is this very address.
        """
        family, kind, protocol, _, address = addr_info
        self.check(address[0])
        return socket.socket(family, kind, protocol)

    def _is_allowed(self, address: IPv4Address | IPv6Address) -> bool:
        return any(
            network.version == address.version and address in network
            for network in self.allow_networks
        )


@lru_cache(1_024)  # an address is judged as its name is resolved and again as it is connected
def _parsed(address: str) -> IPv4Address | IPv6Address:
    return ip_address(address)


def _is_private(verdict: Any) -> bool:
    # A chain means that the address only carries a private one (NAT64, 6to4, Teredo).
    return not verdict.chain and verdict.block.network in _PRIVATE


class Names:
    """Names to addresses, each look-up within its own limit; remembers for a while what failed.

    So the many articles of one dead site wait for one look-up, and its feeds' next polls for none.
    Answers that came are left to the connector's own short memory.
    """

    def __init__(
        self,
        resolver: AbstractResolver,
        failed_for: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`failed_for`: seconds for which a failure is remembered, by `clock`."""
        self._resolver = resolver
        self._failed_for = failed_for
        self._clock = clock
        self._failed: OrderedDict[str, tuple[float, str]] = OrderedDict()  # the oldest first

    async def look_up(
        self, host: str, port: int, family: socket.AddressFamily
    ) -> list[ResolveResult]:
        """What the resolver answers for `host`. Raises OSError."""
        self._refuse_failed(host)
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                return await self._resolver.resolve(host, port, family)
        except TimeoutError:
            why = f"{host} was not resolved within {_RESOLVE_SECONDS:g} s"
        except OSError as error:
            why = f"{host} was not resolved: {error.strerror or error}"
        self._remember(host, why)
        raise OSError(why)

    def _refuse_failed(self, host: str) -> None:
        until, why = self._failed.get(host, (0.0, ""))
        if why and self._clock() < until:
            raise OSError(why)

    def _remember(self, host: str, why: str) -> None:
        self._failed[host] = self._clock() + self._failed_for, why
        self._failed.move_to_end(host)
        if len(self._failed) > _MOST_FAILED_NAMES:
            self._failed.popitem(last=False)


class RenewedResolver(AbstractResolver):
    """aiodns on a c-ares channel that is replaced every 5,000 look-ups.

    A channel grows for as long as it lives: by 0.9 kB a name, 2 kB when the answer may be kept
    for long (measured with pycares 5.2 over 25,000 names).
    """

    def __init__(self, make: Callable[[], AbstractResolver] | None = None) -> None:
        self._make = make or _resolver_of_its_own
        self._channel = _Channel(self._make())

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """What aiodns answers. Raises OSError."""
        if self._channel.look_ups >= _LOOK_UPS_A_CHANNEL:
            retired, self._channel = self._channel, _Channel(self._make())
            await retired.retire()
        return await self._channel.resolve(host, port, family)

    async def close(self) -> None:
        """Close the channel; look-ups under way are cancelled."""
        await self._channel.close()


def _resolver_of_its_own() -> AbstractResolver:
    # Without an argument, aiohttp lets all resolvers of a loop share one channel.
    return aiohttp.AsyncResolver(tries=3)


class _Channel:
    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver
        self._under_way = 0
        self._is_retired = False
        self.look_ups = 0

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily
    ) -> list[ResolveResult]:
        self.look_ups += 1
        self._under_way += 1
        try:
            return await self._resolver.resolve(host, port, family)
        finally:
            self._under_way -= 1
            await self._close_if_done()

    async def retire(self) -> None:
        """Close once the last look-up is done."""
        self._is_retired = True
        await self._close_if_done()

    async def close(self) -> None:
        await self._resolver.close()

    async def _close_if_done(self) -> None:
        if self._is_retired and not self._under_way:
            await self._resolver.close()


class GuardedResolver(AbstractResolver):
    """Resolves names for one connector and refuses those with any denied address.

    Any, since an answer of a public and a private address is how rebinding is done.
    """

    def __init__(self, names: Names, guard: Guard) -> None:
        self._names = names
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`, all of them allowed.

        Raises OSError, `AddressDeniedError` among them.
        """
        found = await self._names.look_up(host, port, family)
        for answer in found:
            self._guard.check(answer["host"])
        return found

    async def close(self) -> None:
        """Nothing to close: the resolver is the client's."""
