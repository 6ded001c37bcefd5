"""Who may reach a port: what the security groups of an endpoint or a cluster let in, taken together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from auditor.facts import Gap, Permission, PrefixLists, Reason, SecurityGroups

Network = IPv4Network | IPv6Network

#: All addresses: IPv6's that are routed on the internet are in one eighth of them (IANA, IPv6 Global Unicast).
EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("2000::/3"))


@dataclass(frozen=True, slots=True)
class Admission:
    """One source that a security group lets through to a port.

    Attributes:
        group: The security group's id.
        port: The port.
        source: As AWS has it: a block, the id of a prefix list, the id of a security group.
        protocol: ``IpProtocol``.
        from_port: ``FromPort``.
        to_port: ``ToPort``.
        networks: The source's addresses; empty where it is a security group.
        account: The account of a source that is another account's security group.
        gap: Why the source's addresses are not known.
    """

    group: str
    port: int
    source: str
    protocol: str
    from_port: int | None = None
    to_port: int | None = None
    networks: tuple[Network, ...] = ()
    account: str = ""
    gap: Gap | None = None

    @property
    def by_group(self) -> bool:
        """The source is a security group: whoever is in it, in this VPC or a peered one."""
        return self.gap is None and not self.networks and not self.source.startswith("pl-")

    @property
    def all_ports(self) -> bool:
        """Whatever listens can be reached, not only what this port is for."""
        if self.protocol == "-1" or self.from_port is None or self.to_port is None:
            return True
        return (self.from_port, self.to_port) == (-1, -1) or (self.from_port <= 1 and self.to_port >= 65535)

    def evidence(self) -> dict[str, object]:
        """Return it under the API's names."""
        shown: dict[str, object] = {"GroupId": self.group, "port": self.port, "source": self.source}
        if self.account:
            shown["UserId"] = self.account
        return shown | {"IpProtocol": self.protocol, "FromPort": self.from_port, "ToPort": self.to_port}


@dataclass(frozen=True, slots=True)
class Openings:
    """What some security groups let through to some ports.

    Attributes:
        admissions: What they do, for each port.
        gap: Why more may be let in than is known: a group, or a prefix list's entries, were not returned.
    """

    admissions: tuple[Admission, ...] = ()
    gap: Gap | None = None

    def worldwide(self) -> tuple[Admission, ...]:
        """Return what lets everybody in on a port, by one block or by several that make up all addresses of a kind."""
        found: list[Admission] = []
        for port in sorted({one.port for one in self.admissions}):
            for everything in EVERYWHERE:
                here = [
                    one
                    for one in self.admissions
                    if one.port == port and any(network.version == everything.version for network in one.networks)
                ]
                alone = [one for one in here if covers(one.networks, everything)]
                if alone or covers((network for one in here for network in one.networks), everything):
                    found += [one for one in alone or here if one not in found]
        return tuple(found)

    def admits(self, network: Network) -> bool:
        """Tell whether all addresses of a block are let in by address."""
        return covers((net for one in self.admissions for net in one.networks), network)


def openings(
    group_ids: Iterable[str], ports: Iterable[int], groups: SecurityGroups | Gap, lists: PrefixLists | Gap
) -> Openings:
    """Return what security groups that are attached to one thing let through to its ports; they add up.

    Args:
        group_ids: Ids of the attached security groups.
        ports: The TCP ports.
        groups: The region's security groups.
        lists: The region's prefix lists, for sources that are such.
    """
    wanted = sorted(set(group_ids))
    if not wanted:
        text = "Which security groups are attached was not returned."
        return Openings(gap=Gap(Reason.PARTIAL_DATA, text))
    if isinstance(groups, Gap):
        return Openings(gap=groups)
    found: list[Admission] = []
    gap: Gap | None = None
    for group_id in wanted:
        group = groups.groups.get(group_id)
        if group is None:
            text = f"The security group {group_id} was not returned: it is deleted, or another account's."
            gap = gap or Gap(Reason.PARTIAL_DATA, text, "ec2:DescribeSecurityGroups")
            continue
        for port in ports:
            for permission in group.ingress:
                if permission.admits(port):
                    found += _sources(group_id, port, permission, lists)
    return Openings(tuple(found), gap or next((one.gap for one in found if one.gap is not None), None))


def _sources(group: str, port: int, permission: Permission, lists: PrefixLists | Gap) -> Iterator[Admission]:
    entry = Admission(group, port, "", permission.protocol, permission.from_port, permission.to_port)
    for block in permission.cidrs:
        network = parse(block)
        if network is None:
            text = f"The source {block!r} of security group {group} is no block of addresses."
            yield replace(entry, source=block, gap=Gap(Reason.UNDECIDABLE, text))
        else:
            yield replace(entry, source=block, networks=(network,))
    for account, source in permission.groups:
        yield replace(entry, source=source, account=account)
    for list_id in permission.prefix_lists:
        known = _entries(list_id, lists)
        if isinstance(known, Gap):
            yield replace(entry, source=list_id, gap=known)
        elif known:  # an empty list lets nobody in
            yield replace(entry, source=list_id, networks=known)


def _entries(list_id: str, lists: PrefixLists | Gap) -> tuple[Network, ...] | Gap:
    if isinstance(lists, Gap):
        return lists
    held = next((one for one in lists.lists if one.id == list_id), None)
    # The entries of AWS's own lists are not asked for, DynamoDB's apart.
    if held is None or (held.owner == "AWS" and not held.cidrs):
        text = f"The entries of the prefix list {list_id}, which is a source of a security group, are not known."
        return Gap(Reason.PARTIAL_DATA, text, "ec2:GetManagedPrefixListEntries")
    return blocks(held.cidrs)


def parse(block: str) -> Network | None:
    """Return a block of addresses, or None for what is none."""
    try:
        return ip_network(block.strip(), strict=False)
    except ValueError:
        return None


def blocks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the blocks of addresses among some texts."""
    return tuple(network for network in map(parse, texts) if network is not None)


def covers(held: Iterable[Network], wanted: Network) -> bool:
    """Tell whether some blocks together hold all addresses of one."""
    if isinstance(wanted, IPv4Network):
        return any(wanted.subnet_of(one) for one in collapse_addresses(n for n in held if isinstance(n, IPv4Network)))
    return any(wanted.subnet_of(one) for one in collapse_addresses(n for n in held if isinstance(n, IPv6Network)))
