"""Which addresses may be connected to on a user's behalf."""

import pytest

from store.addresses import is_allowed


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::808:808"]
)
def test_public_addresses_are(address: str) -> None:
    """Without any being named."""
    assert is_allowed(address, ())


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),  # refused
        *("100.64.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16", "198.18.0.1", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("64:ff9b:1::a01:203", "64:ff9b:1:ffff::7f00:1", "::7f00:1", "::10.1.2.3", "::ffff:0:7f00:1", "5f00::1"),
        *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe", "2001:db8::1"),
    ],
)
def test_internal_ones_are_not(address: str) -> None:
    """However they are written: loopback, private, link-local, multicast, clouds' metadata; mapped, wrapped."""
    assert not is_allowed(address, ())


def test_named_networks_are() -> None:
    """Those alone; an address that is mapped into IPv6 is the address that it stands for."""
    assert is_allowed("10.1.2.3", ("10.0.0.0/8",))
    assert is_allowed("::ffff:10.1.2.3", ("10.0.0.0/8",))
    assert not is_allowed("192.168.0.1", ("10.0.0.0/8", "fd00::/8"))
