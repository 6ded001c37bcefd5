"""Value detectors: what in an item looks like personal data or a credential. Pure: no calls, and no value leaves.

Checksums, lengths and reserved ranges decide wherever there are any, since a false alarm costs a person's time. What
has a shape and not the checksum is told apart from what has neither: a column of numbers of which a tenth pass a
checksum holds ids, one of which nearly all do holds cards.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from auditor.facts import Hit

#: Stands for attribute names that themselves look like values.
WITHHELD = "(name withheld)"

#: Attributes of the encryption clients, which hold no data of the application.
RESERVED = ("aws_dbe_", "*amzn-ddb-map-")

#: Types of attribute values in which texts can stand; binary ones, where encrypted data is, are not looked at.
READABLE = frozenset({"S", "N", "SS", "NS", "M", "L"})

#: Domains that nobody has (RFC 2606), and endings of file names that look like domains.
EXAMPLE_DOMAINS = ("example.com", "example.net", "example.org")
NO_DOMAINS = frozenset(
    (
        *("test", "example", "invalid", "localhost", "local", "internal"),
        *("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "json", "html", "pdf"),
    )
)

#: Characters of an IBAN by country (SWIFT, IBAN registry).
IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FK", "FO", "FI", "GL", "NL", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "MN", "XK"), 20),
    **dict.fromkeys(("CH", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "CR", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "OM", "SO", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HN", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
    **dict.fromkeys(("RU",), 33),
}

#: Beginnings of card numbers (ISO/IEC 7812 ranges as the card networks publish them) with their lengths. Visa's
#: 13 digits, issued no more, are left out: article numbers have 13 digits too.
CARD_RANGES: tuple[tuple[int, int, frozenset[int]], ...] = (
    (4, 4, frozenset({16, 19})),
    (51, 55, frozenset({16})),
    (2221, 2720, frozenset({16})),
    (34, 34, frozenset({15})),
    (37, 37, frozenset({15})),
    (6011, 6011, frozenset({16, 19})),
    (644, 649, frozenset({16, 19})),
    (65, 65, frozenset({16, 19})),
    (62, 62, frozenset({16, 17, 18, 19})),
    (3528, 3589, frozenset({16, 19})),
    (36, 36, frozenset({14})),
    (38, 39, frozenset({14})),
    (300, 305, frozenset({14})),
)

#: How the digits of a card are grouped, where they are.
CARD_GROUPS = ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3))
#: The digits of each group, those of a number in one piece included; of the first group; and how many groups there are.
CARD_SHAPES = frozenset({*CARD_GROUPS, *((size,) for *_, sizes in CARD_RANGES for size in sizes)})
CARD_BEGINNINGS = frozenset(shape[0] for shape in CARD_SHAPES)
CARD_PIECES = sorted({len(shape) for shape in CARD_SHAPES})

#: Social security numbers that were printed in advertisements and have been withdrawn.
WITHDRAWN_SSNS = frozenset({"078-05-1120", "219-09-9999"})

# Local parts and domains may be in any script (RFC 6531), top-level ones in one script or encoded (xn--…).
_EMAIL = re.compile(
    r"[\w.%+'-]{1,64}@((?:[\w-]{1,63}\.){1,8}(xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24}|[^\W\d_A-Za-z]{2,24}))"
    r"(?![A-Za-z0-9-])"
)
_DIGITS = re.compile(r"(?<![\w.-])\d+(?:[ -]\d+)*(?![\w-]|\.\d)", re.ASCII)
_SSN = re.compile(r"(?<![\w-])(\d{3})([- ])(\d{2})\2(\d{4})(?![\w-])", re.ASCII)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?=[ A-Z0-9])", re.ASCII)
_AWS_KEY = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])")
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_JWT = re.compile(
    r"(?<![A-Za-z0-9_.-])(e[wy][A-Za-z0-9_-]{8,4096})\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*(?!\.?[A-Za-z0-9_-])"
)


def find(text: str) -> Iterator[tuple[str, bool]]:
    """Yield what stands in a text: (detector, True), or (detector, False) for its shape without its checksum."""
    if "@" in text:
        for found in _EMAIL.finditer(text):
            if _is_real_domain(found[1].lower(), found[2].lower()):
                yield "email", True
    for found in _DIGITS.finditer(text):
        yield from _cards(found[0])
    for found in _SSN.finditer(text):
        if _is_ssn(found[1], found[3], found[4]):
            yield "us-ssn", True
    for found in _IBAN.finditer(text):
        yield from _iban(text, found.start())
    for found in _AWS_KEY.finditer(text):
        if not found[0].endswith("EXAMPLE"):
            yield "aws-access-key-id", True
    if _PRIVATE_KEY.search(text):
        yield "private-key", True
    for found in _JWT.finditer(text):
        if _is_jwt_header(found[1]):
            yield "jwt", True


def _is_real_domain(domain: str, top: str) -> bool:
    examples = any(domain == one or domain.endswith(f".{one}") for one in EXAMPLE_DOMAINS)
    return not examples and top not in NO_DOMAINS


def _cards(run: str) -> Iterator[tuple[str, bool]]:
    """Yield the cards in a run of groups of digits, in which a date or a security code may stand beside them."""
    parts = re.split("([ -])", run)
    groups, gaps = parts[::2], ["", *parts[1::2], ""]  # what stands before a group, and after the last one
    place = 0
    while place < len(groups):
        taken, valid = 0, False
        for size in CARD_PIECES if len(groups[place]) in CARD_BEGINNINGS else ():
            end = place + size
            if end > len(groups) or tuple(map(len, groups[place:end])) not in CARD_SHAPES:
                continue
            # What a hyphen joins is one thing: such as an order number that begins like a card's.
            apart = "-" not in (gaps[place], gaps[end]) and len({*gaps[place + 1 : end]}) <= 1
            digits = "".join(groups[place:end])
            if apart and _is_card_shaped(digits):
                taken, valid = size, valid or _luhn(digits)
        if taken:
            yield "payment-card", valid
        place += taken or 1


def _is_card_shaped(digits: str) -> bool:
    known = any(
        len(digits) in sizes and low <= int(digits[: len(str(low))]) <= high for low, high, sizes in CARD_RANGES
    )
    # Trade item numbers have 14 digits and a check digit of their own (GS1 General Specifications).
    return known and len(set(digits)) > 1 and not (len(digits) == 14 and _sum(digits, 1, 3) % 10 == 0)


def _sum(digits: str, odd: int, even: int) -> int:
    """Return the sum of digits with weights that alternate from the right."""
    return sum(int(one) * (even if place % 2 else odd) for place, one in enumerate(reversed(digits)))


def _luhn(digits: str) -> bool:
    doubled = (int(one) * (2 if place % 2 else 1) for place, one in enumerate(reversed(digits)))
    return sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0


def _is_ssn(area: str, group: str, serial: str) -> bool:
    """Tell whether a number may have been issued (SSA: no area 000, 666 or 900-999, no part of zeros only)."""
    possible = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return possible and f"{area}-{group}-{serial}" not in WITHDRAWN_SSNS


def _iban(text: str, start: int) -> Iterator[tuple[str, bool]]:
    """Yield the IBAN that begins there, printed in groups of four or not."""
    length = IBAN_LENGTHS.get(text[start : start + 2])
    if length is None:
        return
    grouped = text[start + 4 : start + 5] == " "
    taken = text[start : start + length + ((length - 1) // 4 if grouped else 0)]
    code = taken.replace(" ", "") if grouped else taken
    follows = text[start + len(taken) : start + len(taken) + 1]
    if len(code) != length or not re.fullmatch("[A-Z0-9]+", code) or (follows.isascii() and follows.isalnum()):
        return
    if grouped and " ".join(code[place : place + 4] for place in range(0, length, 4)) != taken:
        return
    yield "iban", int("".join(str(int(one, 36)) for one in code[4:] + code[:4])) % 97 == 1


def _is_jwt_header(part: str) -> bool:
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return False
    return isinstance(header, dict) and isinstance(header.get("alg"), str)


def looks_like_a_value(name: str) -> bool:
    """Tell whether an attribute's name may itself be data: a map spread over attributes has keys for names."""
    if "@" in name or len(name) > 64 or re.search(r"\d(?:[ ._-]?\d){6}", name):
        return True
    token = max(re.findall(r"[A-Za-z0-9+/=]+", name), key=len, default="")
    mixed = len(token) >= 16 and any(one.isdigit() for one in token) and any(one.isalpha() for one in token)
    return mixed or any(True for _ in find(name))


def texts(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts and numbers in an attribute value in the shape of DynamoDB's API, the keys of maps included."""
    todo: list[Any] = [value]
    while todo:
        for kind, held in todo.pop().items():
            if kind in ("S", "N"):
                yield str(held)
            elif kind in ("SS", "NS"):
                yield from map(str, held)
            elif kind == "L":
                todo += held
            elif kind == "M":
                yield from held
                todo += held.values()


class Tally:
    """Counts by attribute and detector over the items of a sample. It keeps no value."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._looked: Counter[str] = Counter()
        self._valid: Counter[tuple[str, str]] = Counter()
        self._shaped: Counter[tuple[str, str]] = Counter()

    def add(self, item: Mapping[str, Mapping[str, Any]]) -> None:
        """Look at an item in the shape of DynamoDB's API (``{"name": {"S": "…"}}``).

        Of several values with a shape in one attribute half must have the checksum: in a list of ids some do.
        """
        looked, valid, shaped = set[str](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for name, value in item.items():
            if name.startswith(RESERVED) or not READABLE.intersection(value):
                continue
            hidden = looks_like_a_value(name)
            label = WITHHELD if hidden else name
            looked.add(label)
            for text in (*([name] if hidden else ()), *texts(value)):
                for detector, sure in find(text):
                    shaped[label, detector] += 1
                    valid[label, detector] += sure
        self._looked.update(looked)
        self._valid.update(one for one, count in valid.items() if count and 2 * count >= shaped[one])
        self._shaped.update(shaped.keys())

    def hits(self, keys: frozenset[str] = frozenset()) -> tuple[Hit, ...]:
        """Return what was found, in order of attribute and detector; ``keys`` are the attributes of keys."""
        return tuple(
            Hit(name, detector, count, self._looked[name], self._shaped[name, detector], key=name in keys)
            for (name, detector), count in sorted(self._valid.items())
        )
