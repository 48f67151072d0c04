"""Which addresses a request of a customer's may go to: public ones, and those in networks that the operator names.

Python's own `is_global` differs between its releases, and takes a translated private address for a public one; so the
special networks of IANA's registries (https://www.iana.org/assignments/iana-ipv4-special-registry, and -ipv6-) are
listed here. Of IPv6, only what is assigned as global unicast is public.
"""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_CLOSED_IPV4 = tuple(
    ipaddress.IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by the customers of a carrier
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
    )
)
_OPEN_IPV6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_IPV6 = tuple(
    ipaddress.IPv6Network(each)
    for each in (
        "2001::/23",  # protocols, such as Teredo, that may carry an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4: carries an IPv4 address
        "3fff::/20",
    )
)
#: Translates to the IPv4 address in its last 32 bits (RFC 6052); on networks without IPv4 every public host is in it.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks like `10.0.0.0/8` or `fd00::/8`; ValueError names the first that is none."""
    return tuple(_network(text) for text in texts)


def may_reach(address: Address, allowed: Iterable[Network]) -> bool:
    """True for a public address, and for one in an allowed network."""
    meant = _meant(address)
    return any(each in network for each in (address, meant) for network in allowed) or _is_public(meant)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text} is no network: {error}") from error


def _meant(address: Address) -> Address:
    """The IPv4 address that a connection to an IPv6 address ends at, where the address says so."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _CLOSED_IPV4)
    return address in _OPEN_IPV6 and not any(address in network for network in _CLOSED_IPV6)
