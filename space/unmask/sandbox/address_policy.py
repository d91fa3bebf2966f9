"""Decide which network addresses may be reached, and hold a process to that.

Everything here is pure but `guard_process` and `seal_process`. They make the interpreter itself refuse a
forbidden address at the moment of the connection, so that redirects, rebinding names, playlists and fragments
all pass one check.
"""

import re
import socket
import sys
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import PurePath
from urllib.parse import SplitResult, urlsplit, urlunsplit

from unmask.errors import BadUrl, BlockedAddress
from unmask.limits import Limits

IPAddress = IPv4Address | IPv6Address

MAX_URL_CHARACTERS = 4096
WEB_PORTS = frozenset({80, 443, 8080, 8443})

# Names that only mean something inside a local network or a cloud.
LOCAL_NAMES = (".localhost", ".local", ".localdomain", ".internal", ".intranet", ".lan", ".home", ".corp",
               ".private", ".home.arpa")  # fmt: skip

# IANA's special-purpose registries, written out: what `ipaddress` calls global differs between Pythons.
NOT_PUBLIC_V4 = tuple(map(ip_network, (
    "0.0.0.0/8",  # this host
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # private
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # Azure's host service, a public number with a private meaning
    "169.254.0.0/16",  # link-local, most clouds' metadata
    "192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24",  # protocols
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # documentation
    "198.18.0.0/15",  # benchmarks
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
)))  # fmt: skip
GLOBAL_V6 = ip_network("2000::/3")
NOT_PUBLIC_V6 = tuple(map(ip_network, (
    "2001::/23",  # protocols, Teredo among them
    "2001:db8::/32", "3fff::/20",  # documentation
    "2002::/16",  # 6to4, which hides an IPv4 address
    "2620:4f:8000::/48",  # AS112
)))  # fmt: skip
NAT64 = ip_network("64:ff9b::/96")  # the last 32 bits are the IPv4 address that is reached

# What `allow_private` adds. Link-local is not among it: clouds serve their keys there.
PRIVATE = tuple(map(ip_network, (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7",
)))  # fmt: skip
METADATA = frozenset(map(ip_address, ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254")))

CONNECT_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
START_EVENTS = frozenset({"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile",
                      "os.system", "pty.spawn"})  # fmt: skip
SOCKET_EVENTS = CONNECT_EVENTS | {"socket.__new__", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname"}


class Refused(PermissionError):
    """Raised in a library that tries a forbidden connection or program."""


def is_public(address: str | IPAddress) -> bool:
    """Tell whether the address belongs to the public internet; text that is no address does not."""
    number = _number(address)
    if number is None:
        return False
    if isinstance(number, IPv4Address):
        return not any(number in network for network in NOT_PUBLIC_V4)
    return number in GLOBAL_V6 and not any(number in network for network in NOT_PUBLIC_V6)


def is_allowed(address: str | IPAddress, limits: Limits) -> bool:
    """Tell whether a fetch may reach the address: a public one, or with `allow_private` a private one."""
    number = _number(address)
    if number is None or number in METADATA:
        return False
    return is_public(number) or (limits.allow_private and any(number in network for network in PRIVATE))


def check_url(url: str, limits: Limits) -> str:
    """Check a URL -> its one unambiguous spelling. Names are not looked up here: see `guard_process`.

    Raises:
        BadUrl: It is no absolute http(s) URL.
        BlockedAddress: Its host or port is not allowed.
    """
    parts = _split(url)
    host = _host(parts)
    address = _address(host)
    if address is not None and not is_allowed(address, limits):
        raise blocked()
    if address is None and _is_local_name(host) and not limits.allow_private:
        raise blocked()
    return urlunsplit(parts._replace(netloc=_netloc(address or host, _port(parts, limits))))


def blocked() -> BlockedAddress:
    """Make the one error for every refused address; it tells nothing about what is there."""
    return BlockedAddress(
        "This link leads to an address outside the public web, so it is not fetched. "
        "Save the video and upload the file instead, or set UNMASK_ALLOW_PRIVATE=1 on a machine of your own."
    )


def may_connect(address: object, limits: Limits) -> bool:
    """Tell whether a socket may connect or send to `address`, which is what Python's `connect` was given."""
    match address:
        case (str() as host, int() as port, *_):
            return is_allowed(host, limits) and (limits.allow_private or port in WEB_PORTS)
    return False  # Unix sockets and other families


def guard_process(limits: Limits, programs: Collection[str]) -> list[str]:
    """Let this process connect to allowed addresses only, and start only the named `programs`.

    An audit hook sees every connection of every library that uses Python's sockets, with the address that
    is really used, and cannot be removed. The returned list grows by one entry a refused connection.
    """
    refused: list[str] = []

    def watch(event: str, args: tuple[object, ...]) -> None:
        if event in CONNECT_EVENTS and args[1] is not None and not may_connect(args[1], limits):
            refused.append(event)
            raise Refused("This address is out of bounds.")
        if event in START_EVENTS or (event == "subprocess.Popen" and PurePath(str(args[0])).name not in programs):
            raise Refused("No other program may be started.")

    sys.addaudithook(watch)
    return refused


def seal_process() -> None:
    """Let this process use no sockets, open no files by name and start no programs."""

    def watch(event: str, args: tuple[object, ...]) -> None:
        by_name = event == "open" and not isinstance(args[0], int)
        if event in SOCKET_EVENTS or event in START_EVENTS or event == "subprocess.Popen" or by_name:
            raise Refused("This process opens nothing more.")

    sys.addaudithook(watch)


def _number(address: str | IPAddress) -> IPAddress | None:
    """Parse the address that is really reached: without the IPv6 forms that carry an IPv4 address."""
    try:
        number = ip_address(address)
    except ValueError:
        return None
    if isinstance(number, IPv4Address):
        return number
    if number.scope_id is not None:  # only link-local addresses need one
        return None
    if number in NAT64:
        return IPv4Address(int(number) & 0xFFFFFFFF)
    return number.ipv4_mapped or number


def _split(url: str) -> SplitResult:
    """Split a URL. Raises BadUrl for everything that two URL parsers may read differently."""
    url = url.strip()
    if not url:
        raise BadUrl("There is no link. Paste the address of a video, starting with https://.")
    if len(url) > MAX_URL_CHARACTERS:
        raise BadUrl(f"This link is longer than {MAX_URL_CHARACTERS} characters.")
    if not url.isprintable() or " " in url or "\\" in url:
        raise BadUrl("This link holds blanks, backslashes or invisible characters. Copy it again.")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadUrl("This is not a link that can be read. Copy it again.") from error
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BadUrl("Only links that start with http:// or https:// can be checked.")
    if "@" in parts.netloc:
        raise BadUrl("Links with a user name or password are not accepted. Leave that part out.")
    return parts


def _host(parts: SplitResult) -> str:
    """Give the host in lower-case ASCII without a dot at its end, or an IPv6 address without brackets."""
    host = parts.hostname or ""
    if ":" in host:
        return host
    try:
        host = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError as error:
        raise BadUrl("The server's name in this link is not a valid name.") from error
    if len(host) > 253 or not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", host):
        raise BadUrl("The server's name in this link is not a valid name.")
    return host


def _address(host: str) -> IPAddress | None:
    """Parse the address that `host` spells (2130706433, 0x7f.1 and 0177.0.0.1 are spellings of 127.0.0.1)."""
    try:
        if ":" in host:
            return ip_address(host)
        if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
            return IPv4Address(socket.inet_aton(host))
    except (ValueError, OSError) as error:
        raise BadUrl("The server's address in this link is not a valid number.") from error
    return None


def _is_local_name(host: str) -> bool:
    return "." not in host or host.endswith(LOCAL_NAMES)


def _port(parts: SplitResult, limits: Limits) -> int | None:
    try:
        port = parts.port
    except ValueError as error:
        raise BadUrl("The port in this link is not a valid number.") from error
    if port == 0:
        raise BadUrl("The port in this link is not a valid number.")
    if port is not None and port not in WEB_PORTS and not limits.allow_private:
        raise BlockedAddress(f"Links to port {port} are not fetched, only links to ordinary web ports.")
    return port


def _netloc(host: str | IPAddress, port: int | None) -> str:
    name = f"[{host}]" if isinstance(host, IPv6Address) else str(host)
    return name if port is None else f"{name}:{port}"
