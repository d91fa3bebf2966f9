"""Who sends a request, and how many each client may send. Addresses stay in memory and are never logged."""

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

from cachetools import TTLCache

NETWORK_PREFIX = 64  # bits of an IPv6 address; one household or server holds all addresses below it
WINDOW_SECONDS = 60.0
MAX_CLIENTS = 10_000  # whose requests are counted at the same time
UNKNOWN = "unknown"  # all clients without a readable address, together


@dataclass(frozen=True)
class ClientLimits:
    """How clients are told apart, and what each may ask for. 0 switches a limit off."""

    max_checks: int = 4  # of one client that wait or run at the same time
    per_minute: int = 30  # checks that one client may ask for
    proxies: int = 0  # reverse proxies in front of this server, each of which appends to X-Forwarded-For
    tokens: frozenset[str] = frozenset()  # a request with one counts for the token, from any address


DEFAULT_LIMITS = ClientLimits()


def identify(host: str | None, headers: Mapping[str, str], clients: ClientLimits) -> str:
    """Return one name for all requests of one client.

    A token counts only if the owner issued it; `X-Forwarded-For` only as far as known proxies wrote it.
    """
    token = headers.get("authorization", "").removeprefix("Bearer ").strip()
    if token and token in clients.tokens:
        return f"token {hashlib.sha256(token.encode()).hexdigest()[:16]}"
    forwarded = [entry.strip() for entry in headers.get("x-forwarded-for", "").split(",") if entry.strip()]
    if clients.proxies and forwarded:
        host = forwarded[max(0, len(forwarded) - clients.proxies)]
    return client_network(host or "")


def client_network(host: str) -> str:
    """Return the IPv4 address or the IPv6 /64 prefix of a host.

    >>> [client_network(host) for host in ("203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7")]
    ['203.0.113.7', '2001:db8::/64', '203.0.113.7']
    """
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return UNKNOWN
    if not isinstance(address, IPv4Address):
        address = address.ipv4_mapped or address
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), NETWORK_PREFIX), strict=False))


class RateLimiter:
    """Count the requests of each client in windows of a minute. Not thread-safe."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._counts: TTLCache[str, Iterator[int]] = TTLCache(MAX_CLIENTS, WINDOW_SECONDS, clock)

    def allow(self, client: str) -> bool:
        """Count a request; return whether it is within the limit."""
        count = self._counts.setdefault(client, itertools.count(1))  # it expires a minute after the first
        return self._per_minute <= 0 or next(count) <= self._per_minute
