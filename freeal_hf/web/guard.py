"""Blocks calls to private addresses: checks a URL when it is entered, and each connection."""

import ipaddress
import socket
import sys
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class ForbiddenAddressError(OSError):
    """Raised if a visitor's URL or a connection has a private address."""


def check_url(url: str, trusted: Collection[str] = ()) -> None:
    """Checks that a URL belongs to a public web server.

    Args:
        url (`str`): The URL.
        trusted (`Collection[str]`): Private addresses `HOST:PORT` that the operator allows.

    Raises:
        ForbiddenAddressError: If the URL has no host, another scheme, a key, or a host with a private address.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        raise ForbiddenAddressError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in _PORTS or not host:
        raise ForbiddenAddressError(f"{url!r} is not the URL of a server; it must look like https://host/v1.")
    if parts.username or parts.password:
        raise ForbiddenAddressError("The URL contains a key. Leave it out, and enter the key in its own field.")
    if f"{host}:{port}" in trusted:
        return
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise ForbiddenAddressError(f"There is no server named {host!r}; check the address.") from error
    for address in sorted(found):
        if not is_public(address):
            raise ForbiddenAddressError(
                f"{host!r} has the address {address}, which is not public. A run can only call public servers, and "
                "those that the operator of this Space lists in FREEAL_SPACE_TRUSTED_ADDRESSES."
            )


def is_public(address: str) -> bool:
    """Returns whether an IP address is public: not loopback, private, link-local, multicast or reserved."""
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
        # Also refuse site-local addresses, and private IPv4 addresses in the forms of IPv6.
        if found not in _UNICAST:
            return False
    return found.is_global and not found.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")


def forbid_private_connections(trusted: Collection[str] = ()) -> None:
    """Blocks all connections of this process to addresses that are not public.

    `socket.connect` is checked, so that redirects, and names whose address changes after the first check (DNS
    rebinding), are also blocked. The check is an audit hook, which code of this process cannot remove.

    Args:
        trusted (`Collection[str]`): Private addresses `HOST:PORT` that are allowed.
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
            raise ForbiddenAddressError(f"{host} is not a public address; a run can only call public servers.")

    sys.addaudithook(hook)
