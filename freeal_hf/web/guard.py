"""Keeps a visitor's calls away from private addresses: checked when a URL is typed, and again at every connection."""

import ipaddress
import socket
import sys
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class ForbiddenAddressError(OSError):
    """An address that nobody but the operator may reach."""


def check_url(url: str, trusted: Collection[str] = ()) -> None:
    """Refuses a URL that is not of a public web server.

    Args:
        url (`str`): What a visitor typed.
        trusted (`Collection[str]`): `HOST:PORT` that the operator allows although they are private.

    Raises:
        ForbiddenAddressError: If the URL has no host, another scheme, a key in it, or a host with a private address.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        raise ForbiddenAddressError(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in _PORTS or not host:
        raise ForbiddenAddressError(f"{url!r} is no URL of a server; it must look like https://host/v1.")
    if parts.username or parts.password:
        raise ForbiddenAddressError("The URL holds a key: put it into the field of the key instead.")
    if f"{host}:{port}" in trusted:
        return
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise ForbiddenAddressError(f"There is no server named {host!r}.") from error
    for address in sorted(found):
        if not is_public(address):
            raise ForbiddenAddressError(
                f"{host!r} has the address {address}, which is not public. A run only calls servers on the internet, "
                "and those that whoever runs this Space names in FREEAL_SPACE_TRUSTED_ADDRESSES."
            )


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet: not loopback, private, link-local, multicast or reserved."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inside = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inside:
            return is_public(str(inside))
        if found in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        # Not site-local, nor an IPv4 address in one of the older disguises.
        if found not in _UNICAST:
            return False
    return found.is_global and not found.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")


def forbid_private_connections(trusted: Collection[str] = ()) -> None:
    """From now on this process opens no connection to an address that is not public.

    The check stands at `socket.connect` itself, so that redirects and names that change their address between check
    and call (DNS rebinding) do not pass. It is an audit hook: no code of this process can take it off again.

    Args:
        trusted (`Collection[str]`): `HOST:PORT` that are allowed all the same.
    """
    allowed = set(trusted)
    for entry in trusted:
        host, _, port = entry.rpartition(":")
        for found in socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM):
            allowed.add(f"{found[4][0]}:{port}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            return
        family, address = getattr(arguments[0], "family", None), arguments[1]
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return
        host, port = str(address[0]), address[1]
        if not is_public(host) and f"{host}:{port}" not in allowed:
            raise ForbiddenAddressError(f"{host} is no public address; a run only calls servers on the internet.")

    sys.addaudithook(hook)
