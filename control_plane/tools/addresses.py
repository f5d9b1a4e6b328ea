"""Which addresses a tool may live at: decided for the address a connection is made to, not for a name.

A tool's URL comes from whoever creates calls, and is asked from inside our network. So it must not lead to
anything that only our network reaches: private and local ranges, cloud metadata services, and the forms in
which such an address can hide in another one. Pure: no I/O.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_METADATA = {
    IPv4Address("169.254.169.254"): "AWS, Azure, Google Cloud, Oracle and others",
    IPv4Address("169.254.170.2"): "AWS ECS",
    IPv4Address("169.254.170.23"): "AWS EKS",
    IPv4Address("100.100.100.200"): "Alibaba Cloud",
    IPv4Address("192.0.0.192"): "Oracle Cloud",
    IPv4Address("168.63.129.16"): "Azure's host, although the address is a public one",
    IPv6Address("fd00:ec2::254"): "AWS",
    IPv6Address("fd00:ec2::23"): "AWS EKS",
    IPv6Address("fd20:ce::254"): "Google Cloud",
}
# RFC 6890's registry, with the reasons in words. Looked at in this order.
_REFUSED4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("127.0.0.0/8", "a loopback address"),
        ("10.0.0.0/8", "a private address"),
        ("172.16.0.0/12", "a private address"),
        ("192.168.0.0/16", "a private address"),
        ("169.254.0.0/16", "a link-local address"),
        ("100.64.0.0/10", "a carrier's shared address (CGNAT)"),
        ("0.0.0.0/8", "an address of this very host"),
        ("192.0.0.0/24", "a protocol's reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)
_REFUSED6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::1/128", "a loopback address"),
        ("::/128", "an address of this very host"),
        ("::ffff:0:0/96", "an IPv4-mapped address"),
        ("::ffff:0:0:0/96", "an IPv4-translated address"),
        ("::/96", "an IPv4-compatible address"),
        ("64:ff9b::/96", "a NAT64 address"),
        ("64:ff9b:1::/48", "a NAT64 address"),
        ("2002::/16", "a 6to4 address"),
        ("2001::/32", "a Teredo address"),
        ("fc00::/7", "a private address (unique local)"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
        ("2001:db8::/32", "a documentation address"),
        ("3fff::/20", "a documentation address"),
        ("5f00::/16", "a segment routing address"),
        ("100::/64", "a discard-only address"),
    )
)


_GLOBAL_UNICAST = IPv6Network("2000::/3")  # all of IPv6 that is given out (RFC 4291)


def refusal(address: Address) -> str:
    """Why nothing may be fetched from `address`; empty: it may."""
    if address in _METADATA:
        return f"{address} is a cloud's metadata service ({_METADATA[address]})"
    ranges = _REFUSED4 if isinstance(address, IPv4Address) else _REFUSED6
    for network, reason in ranges:
        if address in network:
            return f"{address} is {reason}"
    if isinstance(address, IPv6Address) and (address.scope_id or address not in _GLOBAL_UNICAST):
        return f"{address} is not a public address"
    # What the registry has learned since this table was written.
    return "" if address.is_global else f"{address} is not a public address"


def literal(host: str) -> Address | None:
    """The address that `host` spells out, None for a name.

    Raises:
        ValueError: the C library would take it for an address, written in a form nobody needs: 2130706433,
            0x7f.1, 0177.0.0.1, 127.1. Such forms exist in URLs to get past a look at them.
    """
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        pass
    last = host.rstrip(".").rpartition(".")[2].lower()
    if last.isdecimal() or last.startswith("0x"):  # no top-level domain is a number (RFC 3696)
        raise ValueError(f"{host} is an IP address in an unusual form (decimal, octal, hexadecimal or short)")
    return None
