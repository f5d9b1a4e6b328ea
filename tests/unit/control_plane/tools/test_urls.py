"""Which URLs a tool may have, and which addresses may be asked."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from control_plane.tools import addresses
from control_plane.tools.urls import Target, ToolRefused, UrlPolicy, check

STRICT = UrlPolicy()
LOOSE = UrlPolicy(allowed_hosts=frozenset({"127.0.0.1", "tools.internal"}), ports=frozenset({443, 8443}))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("10.0.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("169.254.10.10", "link-local"),
        ("169.254.169.254", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("100.64.0.1", "CGNAT"),
        ("0.0.0.0", "this very host"),
        ("192.0.0.8", "reserved"),
        ("198.18.0.1", "benchmarking"),
        ("203.0.113.5", "documentation"),
        ("192.88.99.1", "6to4"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::1", "loopback"),
        ("::", "this very host"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("::ffff:0:127.0.0.1", "IPv4-translated"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b:1::a00:1", "NAT64"),
        ("2002:7f00:1::", "6to4"),
        ("2001:0:7f00:1::", "Teredo"),
        ("fd00::1", "unique local"),
        ("fd00:ec2::254", "metadata"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "documentation"),
        ("4000::1", "not a public"),
    ],
)
def test_an_address_that_only_we_can_reach_is_refused_by_name(address: str, reason: str) -> None:
    assert reason in addresses.refusal(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1"])
def test_a_public_address_is_not_refused(address: str) -> None:
    assert addresses.refusal(ip_address(address)) == ""


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://tools.example.com/f", "https"),
        ("ftp://tools.example.com/f", "https"),
        ("file:///etc/passwd", "https"),
        ("gopher://127.0.0.1/", "https"),
        ("//tools.example.com/f", "https"),
        ("https://", "host name"),
        ("https://user:secret@tools.example.com/", "credentials"),
        ("https://tools.example.com@127.0.0.1/", "credentials"),
        ("https://tools.example.com/#there", "fragment"),
        ("https://tools.example.com:8080/", "port 8080"),
        ("https://tools.example.com:99999/", "not a URL"),
        ("https://127.0.0.1/", "loopback"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:127.0.0.1]/", "IPv4-mapped"),
        ("https://169.254.169.254/latest/meta-data/", "metadata"),
        ("https://2130706433/", "unusual form"),
        ("https://0x7f000001/", "unusual form"),
        ("https://0x7f.0.0.1/", "unusual form"),
        ("https://017700000001/", "unusual form"),
        ("https://0177.0.0.1/", "unusual form"),
        ("https://127.1/", "unusual form"),
        ("https://127.0.0.1./", "unusual form"),
        ("https://127.0.0.0x1/", "unusual form"),
        ("https://tools.example.com\\@127.0.0.1/", "percent-encoded"),
        ("https://tools.example.com /", "percent-encoded"),
        ("https://tools.example.com/a\r\nX-Evil: 1", "percent-encoded"),
        ("https://tools.example.com/\x00", "percent-encoded"),
        ("https://１２７.0.0.1/", "percent-encoded"),
        ("https://tools%2eexample.com/", "host name"),
        ("https://-tools.example.com/", "host name"),
        ("https://[fe80::1%25eth0]/", "link-local"),
        ("https://[tools]/", "not a URL"),
        ("https://tools.example.com/" + "x" * 2048, "longer"),
    ],
)
def test_a_url_that_leads_astray_is_refused_by_name(url: str, reason: str) -> None:
    with pytest.raises(ToolRefused, match=reason):
        check(url, STRICT)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://tools.example.com/f?a=1", Target("https", "tools.example.com", 443, trusted=False)),
        ("https://TOOLS.example.com:8443/", Target("https", "tools.example.com", 8443, trusted=False)),
        ("https://8.8.8.8/", Target("https", "8.8.8.8", 443, trusted=False)),
        ("http://127.0.0.1:9000/f", Target("http", "127.0.0.1", 9000, trusted=True)),
        ("http://tools.internal/f", Target("http", "tools.internal", 80, trusted=True)),
    ],
)
def test_a_url_leads_where_it_says(url: str, target: Target) -> None:
    assert check(url, LOOSE) == target
