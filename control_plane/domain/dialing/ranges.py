"""Ranges that cost far more than other numbers of their country, or that nobody is called at.

Two tables. RANGES are refused whatever countries are allowed; only DIALING_ALLOW_PREFIXES lifts one.
COSTLY_REGIONS are refused where every country is allowed (`*`); naming the country lifts it.

Sources: ITU-T E.164 assigned codes (the global networks), libphonenumber's number types where its metadata
lags behind (the national premium ranges), carriers' published fraud advisories (the rest). They are a net
under the country allow-list, not a price list.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Digits after the `+`; an `x` stands for any digit."""

    digits: str
    what: str

    def covers(self, number: str) -> bool:
        """`number`: E.164."""
        digits = number[1 : 1 + len(self.digits)]
        return len(digits) == len(self.digits) and all(
            wanted in ("x", given) for wanted, given in zip(self.digits, digits, strict=True)
        )


RANGES: tuple[Range, ...] = (
    # Codes of no country (ITU-T E.164): billed by the network's operator, in dollars a minute.
    Range("800", "an international freephone number, which cannot be reached from everywhere"),
    Range("808", "an international shared-cost number"),
    Range("870", "an Inmarsat satellite phone"),
    Range("878", "a universal personal number"),
    Range("881", "a satellite phone"),
    Range("882", "an international network"),
    Range("883", "an international network"),
    Range("888", "a number for disaster relief"),
    Range("979", "an international premium number"),
    # North America: pay-per-call, and exchanges whose operators live on the calls they attract.
    Range("1900", "a pay-per-call number"),
    Range("1xxx976", "a pay-per-call number"),
    Range("1712432", "a conference exchange known for traffic pumping"),
    Range("1712775", "a conference exchange known for traffic pumping"),
    Range("1641715", "a conference exchange known for traffic pumping"),
    Range("1605475", "a conference exchange known for traffic pumping"),
    # Numbers that forward to wherever their holder likes, at the caller's cost.
    Range("4470", "a personal number"),
    Range("49700", "a personal number"),
    # Premium ranges of countries often allowed, also where the number itself is not assigned.
    Range("449", "a premium number"),
    Range("4487", "a service number"),
    Range("33899", "a premium number"),
    Range("49900", "a premium number"),
    Range("49137", "a mass-voting number"),
    Range("39899", "a premium number"),
    Range("34803", "a premium number"),
    Range("34806", "a premium number"),
    Range("34807", "a premium number"),
    Range("6119", "a premium number"),
    Range("43900", "a premium number"),
    Range("41900", "a premium number"),
    Range("41901", "a premium number"),
    Range("41906", "a premium number"),
)

# ISO 3166 codes of places that the world calls rarely and fraudsters often: revenue shares are paid on
# incoming minutes there. The Caribbean and Pacific members of +1 look like domestic numbers besides.
COSTLY_REGIONS: frozenset[str] = frozenset(
    (
        # members of +1
        *("AG", "AI", "AS", "BB", "BM", "BS", "DM", "DO", "GD", "GU", "JM", "KN", "KY", "LC", "MP", "MS"),
        *("SX", "TC", "TT", "VC", "VG"),
        # islands
        *("AC", "CK", "FJ", "FK", "FM", "IO", "KI", "KM", "MG", "MH", "MV", "NC", "NF", "NR", "NU", "PF"),
        *("PG", "PW", "SB", "SC", "SH", "ST", "TK", "TL", "TO", "TV", "VU", "WF", "WS"),
        # others that advisories name again and again
        *("BI", "CD", "CF", "CG", "CU", "ER", "GM", "GN", "GW", "KP", "LR", "SL", "SO", "TD", "TN", "ZW"),
    )
)
