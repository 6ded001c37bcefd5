"""The map of the report: which way workloads reach DynamoDB, and who can use which tables.

Nothing is collected for it: it shows what the facts say that the rules asked for, and says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from auditor.picture import drawing
from auditor.picture.rights import VERBS, Right, TableUse, table_use
from auditor.picture.roads import Network, Roads, VpcPicture


@dataclass(frozen=True)
class Picture:
    """The map of a report.

    Attributes:
        network: Which way workloads reach DynamoDB.
        use: Who can use which tables.
        names: The names of the audited accounts by number.
    """

    network: Network
    use: TableUse
    names: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def of_network(self) -> drawing.Network:
        """The ways to DynamoDB, as drawn."""
        return drawing.network(self)

    @cached_property
    def of_use(self) -> drawing.Use:
        """Who can use the tables, as drawn."""
        return drawing.use(self)

    def as_json(self) -> dict[str, Any]:
        """Return the map as JSON values; principals and tables are listed once and referred to by ARN or place."""
        return {
            "network": {
                "absent": self.network.absent,
                "notes": list(self.network.notes),
                "vpcs": [_vpc_document(one) for one in self.network.vpcs if not one.quiet],
                "quietVpcs": sum(one.quiet for one in self.network.vpcs),
            },
            "access": {
                "absent": self.use.absent,
                "notes": list(self.use.notes),
                "principals": [{"kind": one.kind, "name": one.name, "account": one.account} for one in self.use.people],
                "tables": [
                    {
                        "tables": [table.arn for table in group.tables],
                        "principalsKnown": group.whole,
                        "access": [
                            {
                                "principals": list(bundle.who),
                                **{verb: _right_document(bundle.rights.get(verb)) for verb in VERBS},
                            }
                            for bundle in group.bundles
                        ],
                    }
                    for group in self.use.groups
                ],
            },
        }


def picture(resolver: Any) -> Picture:
    """Return the map of an inventory.

    Args:
        resolver: The engine's ``Resolver``, after the rules were asked: what they derived is not derived again.
    """
    names = {scope.account.id: scope.name for scope in resolver.inventory.scopes}
    return Picture(Roads(resolver).network(), table_use(resolver), names)


def _right_document(right: Right | None) -> dict[str, Any] | None:
    return None if right is None else {"verdict": right.state, "asRole": right.as_role}


def _vpc_document(one: VpcPicture) -> dict[str, Any]:
    return {
        "id": one.vpc.arn,
        "audited": one.audited,
        "subnets": one.subnets,
        "workloadInterfaces": one.interfaces,
        "paths": [
            {
                "hop": way.hop,
                "reach": way.reach,
                "subnets": way.subnets,
                "through": list(way.through),
                "reason": way.why,
            }
            for way in one.ways
        ],
        "daxClusters": [{"id": held.cluster.arn, "publicSubnet": held.public} for held in one.clusters],
    }
