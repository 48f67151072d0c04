"""Who may be reached: RFC 6890's special addresses and everything that translates to one may not."""

import ipaddress

import pytest

from shared import addresses

NONE = ()


def may_reach(text, allowed=NONE):
    return addresses.may_reach(ipaddress.ip_address(text), addresses.networks(allowed))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"],
)
def test_public_addresses_may_be_reached(address):
    assert may_reach(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.9",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
def test_special_addresses_may_not_be_reached_in_any_form(address):
    bits = int(ipaddress.IPv4Address(address))
    forms = [
        ipaddress.IPv6Address(form)
        for form in (
            bits,  # ::127.0.0.1
            0xFFFF << 32 | bits,  # ::ffff:127.0.0.1
            0xFFFF << 48 | bits,  # ::ffff:0:127.0.0.1
            0x64FF9B << 96 | bits,
            0x64FF9B0001 << 80 | bits,  # a network's own NAT64
            0x2002 << 112 | bits << 80,  # 6to4
            0x20010000 << 96 | bits ^ 0xFFFFFFFF,  # Teredo
        )
    ]

    assert not any(may_reach(str(form)) for form in (address, *forms))


@pytest.mark.parametrize(
    "address",
    [
        "::",
        "::1",
        "fe80::1",
        "fe80::1%lo",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:808:808::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "64:ff9b:1::808:808",
    ],
)
def test_special_addresses_of_ipv6_may_not_be_reached(address):
    assert not may_reach(address)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", ["10.0.0.0/8"]),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"]),
        ("64:ff9b::a01:203", ["192.168.0.0/16", "10.1.2.3"]),
        ("::1", ["::1/128"]),
        ("fd12::1", ["fd00::/8"]),
    ],
)
def test_an_allowed_network_may_be_reached(address, allowed):
    assert may_reach(address, allowed)


@pytest.mark.parametrize("address", ["10.1.2.4", "127.0.0.1", "fd12::1"])
def test_a_network_allows_no_other(address):
    assert not may_reach(address, ["10.1.2.3/32", "fc00::/16"])


@pytest.mark.parametrize("text", ["10.0.0.1/8", "example.com", "10.0.0.0/33", "*"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match="is no network"):
        addresses.networks([text])
