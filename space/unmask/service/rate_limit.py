"""Who asks, and how much each may ask for. Addresses stay in memory and are never logged."""

import hashlib
import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any, TypeVar

HOUSEHOLD_PREFIX = 64  # bits of an IPv6 address that one household or server holds all addresses under
MAX_CLIENTS = 10_000  # whose rates are remembered
UNKNOWN = "unknown"  # all whose address nobody can tell, together

Work = TypeVar("Work")
Client = Hashable


@dataclass(frozen=True)
class Clients:
    """How clients are told apart, and what each may take. 0 switches a limit off."""

    places: int = 4  # checks of one client that wait or run at the same time
    per_minute: int = 30  # checks that one client may ask for
    proxies: int = 0  # servers in front of this one, each of which notes whom it was asked by
    tokens: frozenset[str] = frozenset()  # whoever knows one is a client of their own, wherever they are


def identify(host: str | None, headers: Mapping[str, str], clients: Clients) -> str:
    """One name for all requests that come from one client.

    A token counts only if the owner gave it out; `X-Forwarded-For` only as far as known proxies wrote it.
    """
    token = headers.get("authorization", "").removeprefix("Bearer ").strip()
    if token and token in clients.tokens:
        return f"token {hashlib.sha256(token.encode()).hexdigest()[:16]}"
    forwarded = [entry.strip() for entry in headers.get("x-forwarded-for", "").split(",") if entry.strip()]
    if clients.proxies and forwarded:
        host = forwarded[max(0, len(forwarded) - clients.proxies)]
    return household(host or "")


def household(host: str) -> str:
    """203.0.113.7 stays, 2001:db8::1 becomes 2001:db8::/64, ::ffff:203.0.113.7 becomes 203.0.113.7."""
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return UNKNOWN
    if not isinstance(address, IPv4Address):
        address = address.ipv4_mapped or address
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), HOUSEHOLD_PREFIX), strict=False))


USUAL = Clients()


class Rates:
    """A bucket a client: it holds `per_minute` and fills again within a minute. Not safe between threads."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left: dict[Client, tuple[float, float]] = {}  # what was in the bucket, and when

    def take(self, client: Client) -> bool:
        """Whether the client may ask once more now."""
        if self._per_minute <= 0:
            return True
        left = self._now_left(client)
        if left < 1:
            return False
        self._left.pop(client, None)
        self._left[client] = (left - 1, self._clock())
        if len(self._left) > MAX_CLIENTS:
            self._forget()
        return True

    def _now_left(self, client: Client) -> float:
        left, at = self._left.get(client, (float(self._per_minute), self._clock()))
        return min(self._per_minute, left + (self._clock() - at) * self._per_minute / 60)

    def _forget(self) -> None:
        """Whoever has a full bucket, and at worst whoever came longest ago."""
        self._left = {client: kept for client, kept in self._left.items() if self._now_left(client) < self._per_minute}
        while len(self._left) > MAX_CLIENTS:
            del self._left[next(iter(self._left))]


def fair_order(
    waiting: Sequence[Work],
    owner: Callable[[Work], Client],
    running: Collection[Work],
    last_turns: Mapping[Any, int],  # a number that rises from turn to turn
    overdue: Callable[[Work], bool] = lambda work: False,
) -> list[Work]:
    """Whose turn it is next: who has least under way, then who had no turn lately, then who came first.

    One who asks for ten checks at once has the second of them done after everybody's first, but not after
    all who come later, without end: what is `overdue` goes before everything, in the order of its coming.
    """
    under_way: dict[Client, int] = {}
    for work in running:
        under_way[owner(work)] = under_way.get(owner(work), 0) + 1
    keys = []
    for index, work in enumerate(waiting):
        has = under_way.get(owner(work), 0)
        keys.append((-1, 0, index) if overdue(work) else (has, last_turns.get(owner(work), 0), index))
        under_way[owner(work)] = has + 1
    return [waiting[index] for *_, index in sorted(keys)]
