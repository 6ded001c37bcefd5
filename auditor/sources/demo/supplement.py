"""What moto does not hold: answers that are put into a session's calls below boto3's clients.

Calls that moto lacks are answered here; answers that it has are completed or corrected. Both happen in
botocore's own events, so clients, paging and errors stay real.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3

from auditor.sources.aws.account import DEFAULT_REGIONS

Answer = dict[str, Any]


@dataclass
class Supplement:
    """State beside moto's, filled while the organisation is planted.

    Attributes:
        opted_in: Account -> the opt-in regions that it enabled.
        tables: Table ARN -> members of its ``TableDescription``.
        keys: Key ARN -> members of its ``KeyMetadata``.
        rotation_periods: Key ARN -> days.
        clusters: DAX cluster ARN -> members of its ``Cluster``.
        subnet_groups: (account, region) -> DAX subnet groups.
        legacy: (account, region) -> global tables of version 2017.11.29.
        trails: account -> trails of the organisation that the account sees in every region.
        now: The organisation's clock, which ``SOURCE_DATE_EPOCH`` can set; its times come from it, not from moto.
    """

    opted_in: Mapping[str, tuple[str, ...]]
    tables: dict[str, Answer] = field(default_factory=dict)
    keys: dict[str, Answer] = field(default_factory=dict)
    rotation_periods: dict[str, int] = field(default_factory=dict)
    clusters: dict[str, Answer] = field(default_factory=dict)
    subnet_groups: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)
    legacy: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)
    trails: dict[str, list[Answer]] = field(default_factory=dict)
    now: datetime = field(
        default_factory=lambda: datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())), UTC)
    )

    def attach(self, session: boto3.Session, account: str) -> None:
        """Complete what the session's clients are answered; clients that exist already are not reached."""

        def before(model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> Any:
            request = context["demo_request"] = _request(params.get("body"))
            answer = self._missing.get(model.name)
            given = answer(account, context["client_region"], request) if answer else None
            if given is None:
                return None
            status = 400 if "Error" in given else 200
            return SimpleNamespace(status_code=status), given | {"ResponseMetadata": {"HTTPStatusCode": status}}

        def after(model: Any, parsed: Answer, context: dict[str, Any], **_: Any) -> None:
            amend = self._amended.get(model.name)
            if amend and "Error" not in parsed:
                amend(account, context["demo_request"], parsed)

        session.events.register("before-call", before)
        session.events.register("after-call", after)

    @property
    def _missing(self) -> dict[str, Callable[[str, str, Answer], Answer | None]]:
        return {
            "ListGlobalTables": lambda account, region, _: {"GlobalTables": self.legacy.get((account, region), [])},
            "DescribeSubnetGroups": lambda account, region, _: {
                "SubnetGroups": self.subnet_groups.get((account, region), [])
            },
            "DescribeVpcBlockPublicAccessOptions": lambda account, region, _: {
                "VpcBlockPublicAccessOptions": {
                    "AwsAccountId": account,
                    "AwsRegion": region,
                    "InternetGatewayBlockMode": "off",
                    "State": "default-state",
                }
            },
            "ListRegions": lambda account, _region, _request: {
                "Regions": [
                    {"RegionName": name, "RegionOptStatus": status} for name, status in self._regions(account).items()
                ]
            },
            "DescribeKey": self._foreign_key,
            "GetKeyRotationStatus": self._foreign_key,
            "GetTrailStatus": self._foreign_trail,
            "GetEventSelectors": self._foreign_trail,
            "ListEventDataStores": lambda _account, _region, _request: {"EventDataStores": []},
        }

    @property
    def _amended(self) -> dict[str, Callable[[str, Answer, Answer], None]]:
        return {
            "DescribeTable": lambda _account, _request, parsed: parsed["Table"].update(
                self.tables.get(parsed["Table"]["TableArn"], {})
            ),
            "DescribeContinuousBackups": self._recovery,
            "DescribeKey": self._key,
            "GetKeyRotationStatus": self._rotation,
            "DescribeClusters": self._clusters,
            "DescribeRegions": self._enabled_regions,
            "DescribeVpcEndpoints": self._endpoints,
            "DescribePrefixLists": self._prefix_lists,
            "DescribeTrails": lambda account, _request, parsed: parsed["trailList"].extend(
                self.trails.get(account, [])
            ),
        }

    def _regions(self, account: str) -> dict[str, str]:
        own = dict.fromkeys(self.opted_in.get(account, ()), "ENABLED")
        return dict.fromkeys(DEFAULT_REGIONS["aws"], "ENABLED_BY_DEFAULT") | own

    def _foreign_key(self, account: str, _region: str, request: Answer) -> Answer | None:
        """A key of another account answers only whom its policy names, and that is not the auditor."""
        if f":{account}:" in request["KeyId"]:
            return None
        return _denied(f"not authorized on resource: {request['KeyId']}")

    def _foreign_trail(self, account: str, _region: str, request: Answer) -> Answer | None:
        """A member account sees the organisation's trail and may not look into it."""
        arn = request.get("Name") or request.get("TrailName") or ""
        return None if f":{account}:" in arn else _denied(f"not authorized on resource: {arn}")

    def _recovery(self, _account: str, _request: Answer, parsed: Answer) -> None:
        recovery = parsed["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        if recovery["PointInTimeRecoveryStatus"] == "ENABLED":
            days = recovery.get("RecoveryPeriodInDays", 35)
            recovery["EarliestRestorableDateTime"] = self.now - timedelta(days=days)
            recovery["LatestRestorableDateTime"] = self.now - timedelta(minutes=5)

    def _key(self, _account: str, _request: Answer, parsed: Answer) -> None:
        metadata = parsed["KeyMetadata"]
        metadata |= self.keys.get(metadata["Arn"], {})
        if "DeletionDate" in metadata:
            metadata["DeletionDate"] = self.now + timedelta(days=7)

    def _rotation(self, _account: str, request: Answer, parsed: Answer) -> None:
        parsed["KeyId"] = request["KeyId"]
        if parsed["KeyRotationEnabled"]:
            parsed["RotationPeriodInDays"] = self.rotation_periods.get(request["KeyId"], 365)

    def _clusters(self, _account: str, _request: Answer, parsed: Answer) -> None:
        for cluster in parsed["Clusters"]:
            cluster.update(self.clusters.get(cluster["ClusterArn"], {}))

    def _enabled_regions(self, account: str, _request: Answer, parsed: Answer) -> None:
        """AWS leaves out what is not enabled unless AllRegions is asked for; moto does not."""
        enabled = self._regions(account)
        parsed["Regions"] = [
            entry | {"OptInStatus": {"ENABLED": "opted-in"}.get(enabled[entry["RegionName"]], "opt-in-not-required")}
            for entry in parsed["Regions"]
            if entry["RegionName"] in enabled
        ]

    def _prefix_lists(self, account: str, _request: Answer, parsed: Answer) -> None:
        """AWS gives the blocks of its own lists here too; moto leaves them out."""
        # On import it opens a session, which must not meet the user's AWS settings.
        from moto.ec2.models import ec2_backends

        held = {
            key: one for region in ec2_backends[account].values() for key, one in region.managed_prefix_lists.items()
        }
        for entry in parsed["PrefixLists"]:
            entries = held[entry["PrefixListId"]].entries.values()
            entry["Cidrs"] = [one["Cidr"] for version in entries for one in version]

    def _endpoints(self, _account: str, _request: Answer, parsed: Answer) -> None:
        for entry in parsed["VpcEndpoints"]:
            if entry["VpcEndpointType"] == "Gateway":
                entry["PrivateDnsEnabled"] = False


def _request(body: Any) -> Answer:
    """Return the parameters of a JSON protocol's request; those of others are not needed."""
    text = body.decode() if isinstance(body, bytes) else body
    if not isinstance(text, str) or not text.startswith("{"):
        return {}
    parameters: Answer = json.loads(text)
    return parameters


def _denied(message: str) -> Answer:
    return {"Error": {"Code": "AccessDeniedException", "Message": f"The auditor is {message}"}}
