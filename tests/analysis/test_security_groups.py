"""What security groups let in: ports, sources of every kind, groups that add up, and what is not known."""

from ipaddress import ip_network
from typing import Any

import pytest

from auditor.analysis.security_groups import Openings, blocks, covers, openings, parse
from auditor.facts import Gap, Permission, PrefixList, PrefixLists, Reason, SecurityGroup, SecurityGroups

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeSecurityGroups")
NO_LISTS = PrefixLists(())


def tcp(port: int, *cidrs: str, **more: Any) -> Permission:
    return Permission("tcp", port, port, cidrs, **more)


def opened(*permissions: Permission, ports: tuple[int, ...] = (443,), lists: PrefixLists | Gap = NO_LISTS) -> Openings:
    group = SecurityGroup("sg-1", "clients", "vpc-1", permissions)
    return openings(["sg-1"], ports, SecurityGroups({"sg-1": group}), lists)


def sources(found: Openings) -> list[str]:
    return [one.source for one in found.admissions]


@pytest.mark.parametrize(
    ("permission", "admits"),
    [
        (tcp(443, "10.0.0.0/8"), True),
        (Permission("tcp", 0, 65535, ("10.0.0.0/8",)), True),
        (Permission("6", 400, 500, ("10.0.0.0/8",)), True),
        (Permission("-1", None, None, ("10.0.0.0/8",)), True),
        (Permission("tcp", 444, 500, ("10.0.0.0/8",)), False),
        (Permission("udp", 443, 443, ("10.0.0.0/8",)), False),
        (Permission("icmp", -1, -1, ("10.0.0.0/8",)), False),
    ],
)
def test_only_rules_for_tcp_that_hold_the_port_count(permission: Permission, admits: bool) -> None:
    assert sources(opened(permission)) == (["10.0.0.0/8"] if admits else [])


@pytest.mark.parametrize(
    ("cidrs", "everybody"),
    [
        (("0.0.0.0/0",), True),
        (("::/0",), True),
        (("2000::/3",), True),
        (("0.0.0.0/1", "128.0.0.0/1"), True),
        (("0.0.0.0/1", "128.0.0.0/2"), False),
        (("10.0.0.0/8",), False),
        (("2001:db8::/32",), False),
        (("0.0.0.0/1", "8000::/1"), False),
    ],
)
def test_everybody_is_one_block_or_several_that_make_up_all_addresses(cidrs: tuple[str, ...], everybody: bool) -> None:
    found = opened(tcp(443, *cidrs))
    assert sorted(one.source for one in found.worldwide()) == (sorted(cidrs) if everybody else [])


def test_halves_of_the_internet_on_two_ports_let_nobody_in_everywhere() -> None:
    found = opened(tcp(8111, "0.0.0.0/1"), tcp(9111, "128.0.0.0/1"), ports=(8111, 9111))
    assert found.worldwide() == ()


def test_groups_add_up_and_one_that_is_missing_is_a_gap_beside_what_is_known() -> None:
    first = SecurityGroup("sg-1", "a", "vpc-1", (tcp(443, "0.0.0.0/1"),))
    second = SecurityGroup("sg-2", "b", "vpc-1", (tcp(443, "128.0.0.0/1"),))
    held = SecurityGroups({"sg-1": first, "sg-2": second})
    found = openings(["sg-2", "sg-1", "sg-1", "sg-gone"], (443,), held, NO_LISTS)
    assert [one.group for one in found.worldwide()] == ["sg-1", "sg-2"]
    assert found.gap is not None
    assert (found.gap.reason, "sg-gone" in found.gap.detail) == (Reason.PARTIAL_DATA, True)
    assert openings(["sg-1", "sg-2"], (443,), held, NO_LISTS).gap is None


def test_without_groups_or_their_listing_nothing_is_known() -> None:
    assert openings(["sg-1"], (443,), DENIED, NO_LISTS) == Openings(gap=DENIED)
    none = openings([], (443,), SecurityGroups({}), NO_LISTS)
    assert none.gap is not None
    assert none.gap.reason is Reason.PARTIAL_DATA


def test_a_security_group_as_a_source_is_known_by_name_only() -> None:
    found = opened(Permission("tcp", 443, 443, groups=(("", "sg-app"), ("222233334444", "sg-peer"))))
    assert [(one.source, one.account, one.by_group) for one in found.admissions] == [
        ("sg-app", "", True),
        ("sg-peer", "222233334444", True),
    ]
    assert found.gap is None


def test_prefix_lists_stand_for_their_entries() -> None:
    lists = PrefixLists(
        (
            PrefixList("pl-office", "office", "111122223333", ("172.16.0.0/20", "0.0.0.0/0")),
            PrefixList("pl-empty", "later", "111122223333", ()),
            PrefixList("pl-aws", "com.amazonaws.global.cloudfront.origin-facing", "AWS", ()),
        )
    )
    office = opened(Permission("tcp", 443, 443, prefix_lists=("pl-office",)), lists=lists)
    assert [one.source for one in office.worldwide()] == ["pl-office"]
    assert opened(Permission("tcp", 443, 443, prefix_lists=("pl-empty",)), lists=lists) == Openings()
    for unread, known in (("pl-aws", lists), ("pl-gone", lists), ("pl-office", DENIED)):
        found = opened(Permission("tcp", 443, 443, prefix_lists=(unread,)), lists=known)
        assert (sources(found), found.worldwide()) == ([unread], ())
        assert found.gap is not None
        assert not found.admissions[0].by_group


def test_a_source_that_is_no_block_is_a_gap() -> None:
    found = opened(tcp(443, "10.0.0.0/64"))
    assert found.gap is not None
    assert found.gap.reason is Reason.UNDECIDABLE


@pytest.mark.parametrize(
    ("permission", "every"),
    [
        (Permission("-1", None, None, ("10.0.0.0/8",)), True),
        (Permission("tcp", 0, 65535, ("10.0.0.0/8",)), True),
        (Permission("tcp", 1, 65535, ("10.0.0.0/8",)), True),
        (Permission("tcp", -1, -1, ("10.0.0.0/8",)), True),
        (Permission("tcp", 1024, 65535, ("10.0.0.0/8",)), False),
        (Permission("tcp", 443, 443, ("10.0.0.0/8",)), False),
    ],
)
def test_a_rule_for_all_ports_is_told_from_one_for_many(permission: Permission, every: bool) -> None:
    (admission,) = opened(permission, ports=(9111,) if permission.to_port != 443 else (443,)).admissions
    assert admission.all_ports is every


def test_blocks_together_cover_what_none_of_them_does() -> None:
    halves = blocks(["10.0.0.0/17", "10.0.128.0/17", "not a block", "2001:db8::/33"])
    assert len(halves) == 3
    assert covers(halves, ip_network("10.0.0.0/16"))
    assert not covers(halves, ip_network("10.0.0.0/15"))
    assert not covers(halves, ip_network("2001:db8::/32"))
    assert not covers((), ip_network("10.0.0.0/16"))


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "sg-1", "10.0.0.0/8/8", "٣.0.0.0/8"])
def test_what_is_no_block_is_none(text: str) -> None:
    assert parse(text) is None


def test_evidence_has_the_names_of_the_api() -> None:
    found = opened(Permission("tcp", 443, 443, groups=(("222233334444", "sg-peer"),)))
    assert found.admissions[0].evidence() == {
        "GroupId": "sg-1",
        "port": 443,
        "source": "sg-peer",
        "UserId": "222233334444",
        "IpProtocol": "tcp",
        "FromPort": 443,
        "ToPort": 443,
    }
