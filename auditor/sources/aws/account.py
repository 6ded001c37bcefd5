"""Regions of an account: ec2:DescribeRegions, or account:ListRegions where that is denied."""

from __future__ import annotations

from botocore.loaders import Loader

from auditor.config import suggest
from auditor.errors import UsageError
from auditor.facts import EnabledRegions, Gap, RegionScope, RegionStatus
from auditor.resources import Account, Region
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Access, Aws, Missing

#: Regions that every account of the partition has (AWS Account Management Reference Guide, "Regions").
DEFAULT_REGIONS = {
    "aws": [
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"),
        *("eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-north-1", "ap-south-1"),
        *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2"),
    ],
    "aws-cn": ["cn-north-1", "cn-northwest-1"],
    "aws-us-gov": ["us-gov-east-1", "us-gov-west-1"],
    "aws-eusc": ["eusc-de-east-1"],
}


@collects(EnabledRegions, about=Account)
def enabled_regions(aws: Aws, account: Account) -> Yield:
    """Yield the account's enabled regions."""
    yield account, read_enabled(aws)


def read_enabled(aws: Aws) -> EnabledRegions:
    """Return the enabled regions.

    Raises:
        Missing: both calls failed; the gap names ec2:DescribeRegions.
    """
    try:
        answer = aws.call("ec2:DescribeRegions", AllRegions=False)
        found = [
            RegionStatus(one["RegionName"], one.get("OptInStatus", "").lower() == "opted-in")
            for one in answer["Regions"]
            if one.get("OptInStatus", "").lower() != "not-opted-in"
        ]
    except Missing as first:
        try:
            found = [
                RegionStatus(one["RegionName"], one["RegionOptStatus"].upper() == "ENABLED")
                for page in aws.pages("account:ListRegions")
                for one in page["Regions"]
                if one["RegionOptStatus"].upper() in ("ENABLED", "ENABLED_BY_DEFAULT")
            ]
        except Missing:
            raise first from None
    return EnabledRegions(tuple(sorted(found, key=lambda status: status.name)))


def known_regions() -> dict[str, str]:
    """Return all regions that botocore knows, with their partition."""
    loader = Loader()
    regions: dict[str, str] = {}
    for partition in loader.load_data("partitions")["partitions"]:
        regions |= dict.fromkeys(partition["regions"], partition["id"])
    return {name: partition for name, partition in regions.items() if not name.endswith("-global")}


def check_regions(names: list[str]) -> None:
    """Refuse names that are no AWS regions.

    Raises:
        UsageError: with the nearest region's name.
    """
    known = known_regions()
    for name in names:
        if "," in name:
            raise UsageError(
                f'"{name}" is not one AWS region.', "Repeat the option: --region eu-west-1 --region us-east-1."
            )
        if name not in known:
            raise UsageError(f'"{name}" is not an AWS region.{suggest(name, list(known))}', "Example: eu-west-1.")


def choose_regions(access: Access, names: list[str]) -> list[tuple[type, object]]:
    """Return the facts that settle which regions are audited: ``RegionScope`` and perhaps ``EnabledRegions``.

    Args:
        access: The account's credentials.
        names: Regions that the user named; empty: all enabled ones.

    Returns:
        (fact class, fact or gap) pairs about the account, the scope first. Where the enabled regions cannot
        be read the scope is a gap, and a third pair ``(Region, [...])`` holds the partition's default ones.

    Raises:
        UsageError: a named region belongs to another partition than the account.
    """
    account = access.account
    if names:
        partitions = known_regions()
        for name in names:
            if partitions[name] != account.partition:
                raise UsageError(
                    f"region {name} is in partition {partitions[name]}, account {account.id} in {account.partition}.",
                    "Name regions of the account's own partition.",
                )
        regions = tuple(Region(account, name) for name in sorted(set(names)))
        return [(RegionScope, RegionScope(regions, chosen=True))]
    try:
        enabled = read_enabled(Aws(access, access.home_region()))
    except Missing as missing:
        gap = Gap(
            missing.gap.reason,
            f"{missing.gap.detail} Only the regions that every account has were audited.",
            missing.gap.action,
        )
        defaults = [Region(account, name) for name in DEFAULT_REGIONS.get(account.partition, [access.home_region()])]
        return [(RegionScope, gap), (EnabledRegions, missing.gap), (Region, defaults)]
    regions = tuple(Region(account, status.name) for status in enabled.regions)
    return [(RegionScope, RegionScope(regions, chosen=False)), (EnabledRegions, enabled)]
