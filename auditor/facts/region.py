"""Facts about accounts and regions themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from auditor.facts.base import fact
from auditor.resources import Account, DaxCluster, Region, Resource, Table


@fact(Account)
@dataclass(frozen=True, slots=True)
class CollectionTime:
    """When the account's facts were collected. The "now" of every rule, so that a snapshot's verdicts stay.

    Attributes:
        at: Start of the collection, UTC.
        caller: ARN of who collected (sts:GetCallerIdentity), or an empty text.
    """

    at: datetime
    caller: str = ""


@dataclass(frozen=True, slots=True)
class RegionStatus:
    """One region as EC2 or Account Management describes it.

    Attributes:
        name: Region code.
        opt_in: The account opted in to it (it is not enabled by default).
    """

    name: str
    opt_in: bool


@fact(Account, "ec2:DescribeRegions", "account:ListRegions")
@dataclass(frozen=True, slots=True)
class EnabledRegions:
    """The regions enabled in the account (ec2:DescribeRegions; account:ListRegions where that is denied)."""

    regions: tuple[RegionStatus, ...]


@fact(Account, "ec2:DescribeRegions", "account:ListRegions", lists=Region)
@dataclass(frozen=True, slots=True)
class RegionScope:
    """Which regions of the account are audited, and why these.

    A gap here means that the enabled regions could not be read and the partition's default ones were taken.

    Attributes:
        regions: The audited regions.
        chosen: They were named by the user; otherwise they are all enabled ones.
    """

    regions: tuple[Region, ...]
    chosen: bool

    def names(self) -> Iterator[Resource]:
        """Yield the regions."""
        yield from self.regions


@fact(Region, "dynamodb:ListTables", lists=Table)
@dataclass(frozen=True, slots=True)
class TableNames:
    """The tables of a region (dynamodb:ListTables)."""

    tables: tuple[Table, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the tables."""
        yield from self.tables


@fact(Region, "dax:DescribeClusters", lists=DaxCluster)
@dataclass(frozen=True, slots=True)
class DaxClusterNames:
    """The DAX clusters of a region (dax:DescribeClusters); none where DAX is not offered."""

    clusters: tuple[DaxCluster, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the clusters."""
        yield from self.clusters


@dataclass(frozen=True, slots=True)
class RegionUse:
    """Whether the region holds tables or DAX clusters (derived)."""

    in_use: bool
