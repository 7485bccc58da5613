"""Which addresses the service may connect to on a user's behalf: the public ones, and the networks that are named."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

_NAT64: Final = IPv6Network("64:ff9b::/96")
# What not every Python counts as private: where clouds' services for their own machines answer, what may stand for an
# IPv4 address of one network's own (NAT64 by RFC 8215, compatible and translated addresses), and segments (RFC 9602).
_INTERNAL_V4: Final = ("192.0.0.0/24", "168.63.129.16/32")
_INTERNAL_V6: Final = ("fec0::/10", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96", "5f00::/16")
_INTERNAL: Final = tuple(map(ip_network, (*_INTERNAL_V4, *_INTERNAL_V6)))


def is_allowed(text: str, networks: Sequence[str]) -> bool:
    """Whether the address is public, or of one of the networks; also what it stands for where it wraps another one."""
    # A zone names an interface of this machine.
    if "%" in text:
        return False
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    plain = mapped or address
    if any(plain in ip_network(network) for network in networks):
        return True
    return all(map(_is_public, _with_wrapped(plain)))


def _with_wrapped(address: Address) -> list[Address]:
    """The address and the IPv4 addresses that packets to it may end at: 6to4, Teredo, NAT64."""
    found: list[Address] = [address]
    if isinstance(address, IPv6Address):
        if address.sixtofour is not None:
            found.append(address.sixtofour)
        if address.teredo is not None:
            found += address.teredo
        if address in _NAT64:
            found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def _is_public(address: Address) -> bool:
    special = address.is_multicast or address.is_loopback or address.is_link_local or address.is_unspecified
    return address.is_global and not special and not any(address in network for network in _INTERNAL)
