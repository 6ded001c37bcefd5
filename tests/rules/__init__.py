"""Tests of rules, one module a rule: plain calls with facts."""

from collections.abc import Callable
from typing import Any

from auditor import packs
from auditor.resources import Account, DaxCluster, Key, Region, Subnet, Table, Trail, Vpc

ACCOUNT = Account("111122223333")
REGION = Region(ACCOUNT, "eu-west-1")
TABLE = Table(REGION, "orders")
CLUSTER = DaxCluster(REGION, "orders-cache")
KEY = Key(REGION, "1234abcd-12ab-34cd-56ef-1234567890ab")
VPC = Vpc(REGION, "vpc-1")
SUBNET = Subnet(REGION, "subnet-1")
TRAIL = Trail(REGION, "audit")


def load(rule_id: str) -> Callable[..., Any]:
    """Return the rule's function, as loaded from the built-in pack."""
    return packs.built_in()[rule_id].function
