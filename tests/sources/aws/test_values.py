"""Value detectors: what is found, and above all what is not."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.facts import Hit
from auditor.sources.aws.values import WITHHELD, Tally, find, looks_like_a_value, texts


def sure(text: str) -> list[str]:
    return [detector for detector, valid in find(text) if valid]


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("text", ["ann@shop.eu", "Ann <ann.o'neil+x@mail.shop.co.uk>", "mailto:ann@shop.museum?x=1"])
def test_an_email_address_is_found(text: str) -> None:
    assert sure(text) == ["email"]


@pytest.mark.parametrize(
    "text",
    [
        "ann@münchen.de",
        "jörg@shop.eu",
        "почта@пример.рф",
        "ann@shop.xn--p1ai",
        "ann@xn--mnchen-3ya.de",
        "連絡先ann@shop.euです",
    ],
)
def test_an_email_address_of_any_script_is_found(text: str) -> None:
    assert sure(text) == ["email"]


@pytest.mark.parametrize("text", ["連絡先はann@example.comです", "почта@пример.test", "ann@shop.xn--", "ann@お店"])
def test_another_script_makes_no_address_of_what_is_none(text: str) -> None:
    assert sure(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com",
        "ann@mail.example.org",
        "ANN@EXAMPLE.NET",
        "ann@shop.test",
        "ann@shop.example",
        "ann@shop.invalid",
        "root@localhost",
        "root@web1.internal",
        "logo@2x.png",
        "@shop.eu",
        "ann@shop",
        "a @ b.eu",
        "react@18.2.0",
    ],
)
def test_example_domains_and_file_names_are_no_email_addresses(text: str) -> None:
    assert sure(text) == []


def test_a_domain_that_only_ends_like_an_example_counts() -> None:
    assert sure("ann@notexample.com") == ["email"]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "6200000000000005",
        "paid with 4111111111111111.",
        "4111 1111 1111 1111 12/27",
        "4111111111111111 12/27",
        "4111 1111 1111 1111 123",
        "4111-1111-1111-1111 123",
        "3782 822463 10005 1227",
        "4111111111111111 123",
        "1 4111111111111111",
        "2 4111 1111 1111 1111",
        "2026-05-04 4111111111111111",
        "4111 1111 1111 1111 030",  # whose 19 digits have no right checksum of their own
    ],
)
def test_a_card_of_every_network_is_found(text: str) -> None:
    assert sure(text) == ["payment-card"]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # the checksum
        "1111111111111117",  # no network begins so
        "411111111111111",  # a Visa card has not 15 digits
        "4222222222222",  # nor 13 any more: an article number may
        "0000000000000000",
        "3333333333333333",
        "4111.1111.1111.1111",
        "4111 1111-1111 1111",
        "41 1111 1111 1111 11",
        "4111 111111 111111",
        "4111111111111111-0001",
        "0001-4111111111111111",
        "4111-1111-1111-1111-0001",
        "4111-1111 1111-1111",
        "411111111111 1111",
        "x4111111111111111",
        "4111111111111111a",
        "0.4111111111111111",
        "4111111111111111.5",
        "41111111-1111-4111-1111-411111111111",  # a UUID
        "id-4111111111111111",
        "36920634201732",  # a trade item number with its own check digit
    ],
)
def test_other_numbers_are_no_cards(text: str) -> None:
    assert sure(text) == []


def test_every_card_of_a_list_is_told_once() -> None:
    assert list(find("4111111111111111 4242 4242 4242 4242 4111111111111112")) == [
        *[("payment-card", True)] * 2,
        ("payment-card", False),
    ]


def test_what_has_a_cards_shape_and_not_its_checksum_is_told_apart() -> None:
    assert list(find("4111111111111112")) == [("payment-card", False)]
    assert list(find("1111111111111111")) == []
    assert list(find("5555555555555555")) == []  # a placeholder


@pytest.mark.parametrize("text", ["123-45-6789", "SSN: 123 45 6789", "(899-99-9999)"])
def test_a_social_security_number_with_separators_is_found(text: str) -> None:
    assert sure(text) == ["us-ssn"]


@pytest.mark.parametrize(
    "text",
    [
        *("123456789", "123-45 6789", "000-12-3456", "666-12-3456", "900-12-3456", "987-65-4321"),
        *("123-00-4567", "123-45-0000", "078-05-1120", "219-09-9999", "1123-45-6789", "123-45-67890", "2026-10-12"),
    ],
)
def test_what_was_never_issued_or_has_no_separators_is_none(text: str) -> None:
    assert sure(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "DE89370400440532013000",
        "GB82 WEST 1234 5698 7654 32",
        "pay to FR1420041010050500013M02606, please",
        "MT84MALT011000012345MTLCAST001S",
        "NO9386011117947",
        "iban:NL91ABNA0417164300",
    ],
)
def test_an_iban_is_found_grouped_or_not(text: str) -> None:
    assert sure(text) == ["iban"]


@pytest.mark.parametrize(
    "text",
    [
        "DE8937040044053201300",
        "DE893704004405320130001",
        "ZZ89370400440532013000",
        "GB82 WEST 1234 5698 765432",
        "GB82  WEST 1234 5698 7654 32",
        "XDE89370400440532013000",
        "DE89370400440532013000X",
        "DE89",
        "DE89 ",
    ],
)
def test_another_length_country_or_grouping_is_no_iban(text: str) -> None:
    assert sure(text) == []


def test_an_iban_with_another_checksum_has_the_shape_only() -> None:
    assert list(find("DE88370400440532013000")) == [("iban", False)]


def test_an_access_key_id_is_found_and_the_one_of_the_documentation_is_not() -> None:
    assert sure("key=AKIA" + "QWERTYUIOPASDFGH") == ["aws-access-key-id"]
    assert sure("ASIA" + "QWERTYUIOPASDFGH") == ["aws-access-key-id"]
    assert sure("AKIAIOSFODNN7EXAMPLE") == []
    assert sure("AKIA" + "QWERTYUIOPASDFG") == []
    assert sure("AROA" + "QWERTYUIOPASDFGH") == []


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_is_found(kind: str) -> None:
    assert sure(f"-----BEGIN {kind}PRIVATE KEY-----\nMIIE") == ["private-key"]


def test_a_public_key_or_a_certificate_is_no_private_key() -> None:
    assert sure("-----BEGIN PUBLIC KEY-----\nMIIB") == []
    assert sure("-----BEGIN CERTIFICATE-----\nMIIB") == []


def test_a_token_with_a_json_header_is_found() -> None:
    token = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': 'ann'})}.c2lnbmF0dXJl"
    assert sure(f"Bearer {token}") == ["jwt"]
    assert sure(f"The token is {token}.") == ["jwt"]
    assert sure(f"{part({'alg': 'none'})}.{part({'sub': 'ann'})}.") == ["jwt"]


@pytest.mark.parametrize(
    "text",
    [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",  # a hash
        f"{part({'v': 1})}.{part({'sub': 'ann'})}.c2lnbmF0dXJl",
        f"{part(['alg'])}.{part({'sub': 'ann'})}.c2lnbmF0dXJl",
        f"{part({'alg': 'HS256'})}.{part({'sub': 'ann'})}",
        f"{part({'alg': 'HS256'})}.a1.b2.c3.d4",
        "eyJhbGciOiJIUzI1NiJ.not",
        "www.eyecatcher.shop",
        "eyeeyeeyeeye.com.test",
    ],
)
def test_hashes_and_other_dotted_texts_are_no_tokens(text: str) -> None:
    assert "jwt" not in sure(text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ADEGB0123456789 .-@_/:xey"), max_size=80) | st.text(max_size=60))
def test_any_text_is_read_without_failing(text: str) -> None:
    assert all(isinstance(detector, str) for detector, _ in find(text))
    looks_like_a_value(text)


@pytest.mark.parametrize(
    "hostile",
    ["a" * 400_000, "a@" * 200_000, "a." * 200_000, "4 " * 200_000, "DE89" * 100_000, "AB12 " * 80_000, "eyJ" * 130_000,
     "-----BEGIN " * 30_000, "a@a." * 100_000, "4-" * 200_000, "4111 " * 80_000, "4" * 400_000, "4 " * 200_000 + "x",
     "é@" * 100_000, "a@" + "é." * 100_000, "a@xn--" * 60_000, "ж" * 200_000 + "@"],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_the_longest_item_of_the_worst_kind_takes_no_time(hostile: str, benchmark_seconds: Callable[[], float]) -> None:
    list(find(hostile))
    looks_like_a_value(hostile)
    assert benchmark_seconds() < 5


@pytest.fixture
def benchmark_seconds() -> Callable[[], float]:
    import time

    begin = time.perf_counter()
    return lambda: time.perf_counter() - begin


def test_every_text_of_a_value_is_seen_however_deep_and_binary_ones_are_not() -> None:
    value = {
        "M": {
            "a": {"L": [{"S": "one"}, {"N": "2"}, {"M": {"b": {"SS": ["three"]}, "c": {"NS": ["4"]}}}]},
            "d": {"B": b"ann@shop.eu"},
            "e": {"BS": [b"x"]},
            "f": {"BOOL": True},
            "g": {"NULL": True},
        }
    }
    assert sorted(texts(value)) == ["2", "4", "a", "b", "c", "d", "e", "f", "g", "one", "three"]


def tally(*items: dict[str, Any], keys: frozenset[str] = frozenset()) -> tuple[Hit, ...]:
    made = Tally()
    for item in items:
        made.add(item)
    return made.hits(keys)


def test_items_are_counted_once_and_only_those_that_were_looked_at() -> None:
    card = {"S": "4111111111111111"}
    assert tally(
        {"pay": {"L": [card, card]}},
        {"pay": {"S": "cash"}},
        {"pay": {"S": "4111111111111112"}},
        {"pay": {"B": b"4111111111111111"}},
        {"pay": {"NULL": True}},
        {"other": card},
    ) == (
        Hit("other", "payment-card", 1, 1, 1),
        Hit("pay", "payment-card", 1, 3, 2),
    )


def test_a_list_of_long_ids_of_which_a_few_pass_the_checksum_by_chance_has_the_shape_only() -> None:
    ids = {"L": [{"N": str(4_000_000_000_000_017 + number)} for number in range(0, 200, 10)]}
    assert sum(valid for one in ids["L"] for _, valid in find(one["N"])) == 2
    listed = {"S": " ".join(one["N"] for one in ids["L"])}
    assert tally({"ids": ids}, {"ids": listed}, {"ids": {"S": "4111111111111111 4111111111111112"}}) == (
        Hit("ids", "payment-card", 1, 3, 3),
    )


def test_an_attribute_of_a_key_is_marked() -> None:
    hits = tally({"pk": {"S": "ann@shop.eu"}, "mail": {"S": "ann@shop.eu"}}, keys=frozenset({"pk"}))
    assert [(one.attribute, one.key) for one in hits] == [("mail", False), ("pk", True)]


def test_keys_of_maps_are_values_too_and_only_the_top_level_is_named() -> None:
    assert tally({"members": {"M": {"ann@shop.eu": {"BOOL": True}}}}) == (Hit("members", "email", 1, 1, 1),)


def test_what_the_encryption_clients_add_is_not_looked_at() -> None:
    assert tally({"aws_dbe_b_mail": {"S": "ann@shop.eu"}, "*amzn-ddb-map-desc*": {"S": "ann@shop.eu"}}) == ()


@pytest.mark.parametrize(
    "name",
    ["ann@shop.eu", "ann@example.com", "4111111111111112", "078-05-1120 x", "DE89370400440532013000", "555 123 4567",
     "3f2b8c1d9e0a4b5c", "x" * 65],
)  # fmt: skip
def test_a_name_that_looks_like_a_value_is_withheld_and_counts_as_one(name: str) -> None:
    hits = tally({name: {"S": "ann@shop.eu"}}, {name: {"S": "plain"}})
    assert {one.attribute for one in hits} == {WITHHELD}
    assert name not in str(hits)


def test_names_of_attributes_that_are_people_are_found_together() -> None:
    hits = tally({"ann@shop.eu": {"N": "1"}}, {"bob@shop.eu": {"N": "1"}})
    assert hits == (Hit(WITHHELD, "email", 2, 2, 2),)


@pytest.mark.parametrize(
    "name", ["email", "cardNumber", "gsi1pk", "address_line_2", "created2026", "customerIdentifier"]
)
def test_usual_names_are_kept(name: str) -> None:
    assert not looks_like_a_value(name)
