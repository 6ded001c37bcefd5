"""Items of tables, encrypted by their application or not.

The values are those that card networks, banks and standards publish for tests: nobody's.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3

from auditor.sources.demo.supplement import Supplement

Item = dict[str, Any]

IRELAND, FRANKFURT, VIRGINIA = "eu-west-1", "eu-central-1", "us-east-1"

#: Card numbers for tests and example IBANs.
CARDS = ("4111111111111111", "5555555555554444", "378282246310005", "6011111111111117", "3530111333300000")
IBANS = ("DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "FR1420041010050500013M02606", "NL91ABNA0417164300")

#: Items that a table gets, as many as one call takes.
NUMBER = 25


def plant(account: str, session: boto3.Session, supplement: Supplement) -> None:
    """Plant what an account of the example organisation has of this."""
    del supplement
    for (region, name), make in _contents()[account].items():
        items = [{"pk": {"S": f"{name}#{number:04}"}} | make(number) for number in range(NUMBER)]
        requests: list[Any] = [{"PutRequest": {"Item": item}} for item in items]
        session.client("dynamodb", region_name=region).batch_write_item(RequestItems={name: requests})


def _contents() -> dict[str, dict[tuple[str, str], Callable[[int], Item]]]:
    """Return what the tables of each account hold; those that are not named are empty."""
    from auditor.sources.demo.company import MANAGEMENT, PRODUCTION, SANDBOX

    return {
        MANAGEMENT: {
            (FRANKFURT, "identity-audit"): _encrypted,
            (IRELAND, "billing-reports"): _report,
            (IRELAND, "terraform-locks"): _lock,
        },
        PRODUCTION: {
            # A migration that nobody has finished, in both members of the global table.
            (IRELAND, "orders"): lambda number: _encrypted(number) if number % 5 else _order(number),
            (FRANKFURT, "orders"): lambda number: _encrypted(number) if number % 5 else _order(number),
            **dict.fromkeys([(region, "customers") for region in (IRELAND, FRANKFURT, VIRGINIA)], _customer),
            (IRELAND, "payments"): _encrypted,
            # Everything is signed, and nothing encrypted.
            (IRELAND, "refunds"): lambda number: _sealed(number, b"sss") | {"amount": {"N": str(number)}},
            (IRELAND, "sessions"): _session,
            (IRELAND, "carts"): _cart,
            (IRELAND, "inventory"): _stock,
            (IRELAND, "shipments"): _order,
            (IRELAND, "product-catalog"): _product,
            (IRELAND, "prices"): _product,
            (IRELAND, "invoices"): _legacy,
            (IRELAND, "ledger"): _encrypted,
            # The application encrypts in a way of its own, as the table's tag says.
            (IRELAND, "statements"): lambda number: {"blob": {"B": _bytes("statement", number) * 3}},
            (IRELAND, "contracts"): _report,
            (IRELAND, "feature-flags"): _lock,
            (FRANKFURT, "subscriptions"): _encrypted,
            (FRANKFURT, "telemetry"): _stock,
            (VIRGINIA, "marketing-leads"): _lead,
        },
        SANDBOX: {
            (IRELAND, "scratch"): _customer,
            (IRELAND, "alice-test"): _cart,
            (IRELAND, "load-test-orders"): _order,
            (FRANKFURT, "customers-copy"): _customer,
        },
    }


def _bytes(text: str, number: int) -> bytes:
    return hashlib.sha256(f"{text} {number}".encode()).digest()


def _sealed(number: int, legend: bytes) -> Item:
    """Return the header and footer of the AWS Database Encryption SDK for attributes with a legend."""
    wrapped = _bytes("data key", number) * 5
    provider, info = b"aws-kms", b"arn:aws:kms:eu-west-1:444455556666:key/wrapping"
    fields = [provider, info, wrapped]
    keys = b"".join(itertools.chain.from_iterable((len(one).to_bytes(2, "big"), one) for one in fields))
    head = b"".join(
        (
            *(bytes([1, 1]), _bytes("message", number)),
            *(len(legend).to_bytes(2, "big"), legend),
            *((0).to_bytes(2, "big"), bytes([1]), keys),
            _bytes("commitment", number),
        )
    )
    return {"aws_dbe_head": {"B": head}, "aws_dbe_foot": {"B": _bytes("tag", number) * 3}}


def _encrypted(number: int) -> Item:
    return _sealed(number, b"ees") | {
        "name": {"B": _bytes("name", number)},
        "iban": {"B": _bytes("iban", number)},
        "country": {"S": ("DE", "IE", "FR")[number % 3]},
    }


def _legacy(number: int) -> Item:
    return {
        "*amzn-ddb-map-desc*": {"B": _bytes("material", number) * 2},
        "*amzn-ddb-map-sig*": {"B": _bytes("signature", number)},
        "total": {"B": _bytes("total", number)},
    }


def _customer(number: int) -> Item:
    payment = {"card": {"S": CARDS[number % len(CARDS)]}, "holder": {"S": f"Customer {number}"}}
    return {
        "email": {"S": f"customer{number}@example.com"},
        "iban": {"S": IBANS[number % len(IBANS)]},
        "payment": {"M": payment},
    }


def _lead(number: int) -> Item:
    return {"email": {"S": f"lead{number}@example.org"}, "source": {"S": "newsletter"}}


def _session(number: int) -> Item:
    parts: Iterator[Any] = iter(({"alg": "HS256", "typ": "JWT"}, {"sub": f"user-{number}", "scope": "web"}))
    texts = [json.dumps(one).encode() for one in parts]
    token = b".".join(
        base64.urlsafe_b64encode(one).rstrip(b"=") for one in (*texts, _bytes("signature", number))
    ).decode()
    return {"token": {"S": token}, "expires": {"N": str(1_800_000_000 + number)}}


def _order(number: int) -> Item:
    return {"status": {"S": "shipped"}, "lines": {"L": [{"M": {"sku": {"S": f"SKU-{number}"}, "n": {"N": "2"}}}]}}


def _cart(number: int) -> Item:
    return {"owner": {"S": f"shopper{number}@example.com"}, "items": {"SS": [f"SKU-{number}", "SKU-1"]}}


def _stock(number: int) -> Item:
    # Serial numbers look like cards, and one in ten has the checksum by chance.
    return {"serial": {"N": str(4_000_000_000_000_000 + number)}, "shelf": {"S": f"A{number}"}}


def _product(number: int) -> Item:
    return {"ean": {"S": f"40063813{number:05}"}, "title": {"S": f"Product {number}"}}


def _report(number: int) -> Item:
    return {"month": {"S": f"2026-{number % 12 + 1:02}"}, "amount": {"N": str(1000 + number)}}


def _lock(number: int) -> Item:
    return {"state": {"S": "released"}, "version": {"N": str(number)}}
