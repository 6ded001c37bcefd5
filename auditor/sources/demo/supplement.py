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
from botocore import xform_name

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
        organizations: A session of the management account, which answers the members' questions about the organisation.
        management: Number of the management account.
        principals: ARN of a user or role -> members of its entry in GetAccountAuthorizationDetails.
        attached: ARN of a user, group or role -> names of AWS managed policies that are attached to it.
        managed: Name of an AWS managed policy -> its document.
        pools: Identity pool id -> members of DescribeIdentityPool's answer.
        pool_roles: Identity pool id -> the answer of GetIdentityPoolRoles.
        stream_policies: ARN of a stream -> its resource policy.
        denied: Account -> operations that the auditor may not call there.
        answers: Operation -> what answers it: ``function(account, region, request)``, where moto lacks it. None
            leaves the question to moto.
        amends: Operation -> ``function(account, request, answer)`` that completes moto's answer.
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
    organizations: boto3.Session | None = None
    management: str = ""
    principals: dict[str, Answer] = field(default_factory=dict)
    attached: dict[str, list[str]] = field(default_factory=dict)
    managed: dict[str, Answer] = field(default_factory=dict)
    pools: dict[str, Answer] = field(default_factory=dict)
    pool_roles: dict[str, Answer] = field(default_factory=dict)
    stream_policies: dict[str, str] = field(default_factory=dict)
    denied: dict[str, set[str]] = field(default_factory=dict)
    answers: dict[str, Callable[[str, str, Answer], Answer | None]] = field(default_factory=dict)
    amends: dict[str, Callable[[str, Answer, Answer], None]] = field(default_factory=dict)
    now: datetime = field(
        default_factory=lambda: datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())), UTC)
    )

    def attach(self, session: boto3.Session, account: str) -> None:
        """Complete what the session's clients are answered; clients that exist already are not reached."""

        def before(model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> Any:
            request = context["demo_request"] = _request(params.get("body"))
            if model.name in self.denied.get(account, ()):
                given: Answer | None = _denied(f"not authorized to perform {model.name}")
            elif model.service_model.service_name == "organizations" and account != self.management:
                given = self._organization(model.name, request)
            else:
                answer = self._missing.get(model.name) or self.answers.get(model.name)
                given = answer(account, context["client_region"], request) if answer else None
            if given is None:
                return None
            status = 400 if "Error" in given else 200
            return SimpleNamespace(status_code=status), given | {"ResponseMetadata": {"HTTPStatusCode": status}}

        def after(model: Any, parsed: Answer, context: dict[str, Any], **_: Any) -> None:
            for amend in (self._amended.get(model.name), self.amends.get(model.name)):
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
            "GetKeyPolicy": self._foreign_key,
            "ListGrants": self._foreign_key,
            "GetIdentityPoolRoles": lambda _account, _region, request: (
                {"IdentityPoolId": request["IdentityPoolId"]} | self.pool_roles.get(request["IdentityPoolId"], {})
            ),
            "GetResourcePolicy": self._stream_policy,
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
            "GetAccountAuthorizationDetails": self._identities,
            "DescribeIdentityPool": lambda _account, _request, parsed: parsed.update(
                self.pools.get(parsed["IdentityPoolId"], {})
            ),
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

    def _organization(self, operation: str, request: Answer) -> Answer:
        """Moto keeps the organisation in its management account only; the delegation that members have is here."""
        if self.organizations is None:
            return {"Error": {"Code": "AWSOrganizationsNotInUseException", "Message": "no organisation"}}
        client = self.organizations.client("organizations", region_name="us-east-1")
        answer: Answer = getattr(client, xform_name(operation))(**request)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def _stream_policy(self, _account: str, _region: str, request: Answer) -> Answer | None:
        """Moto knows no resource policies of streams."""
        arn = request["ResourceArn"]
        if "/stream/" not in arn:
            return None
        if arn in self.stream_policies:
            return {"Policy": self.stream_policies[arn], "RevisionId": "1"}
        return {"Error": {"Code": "PolicyNotFoundException", "Message": f"Resource-based policy not found for {arn}"}}

    def _identities(self, _account: str, _request: Answer, parsed: Answer) -> None:
        """Moto leaves out users' boundaries and tags, and loads AWS's managed policies all or not at all."""
        used: set[str] = set()
        for member in ("UserDetailList", "GroupDetailList", "RoleDetailList"):
            for entry in parsed.get(member, []):
                entry.update(self.principals.get(entry["Arn"], {}))
                names = self.attached.get(entry["Arn"], [])
                used.update(names)
                entry["AttachedManagedPolicies"] = [
                    *entry.get("AttachedManagedPolicies", []),
                    *({"PolicyName": name, "PolicyArn": managed_arn(name)} for name in names),
                ]
        parsed["Policies"] += [
            {
                "PolicyName": name,
                "Arn": managed_arn(name),
                "DefaultVersionId": "v1",
                "PolicyVersionList": [{"VersionId": "v1", "IsDefaultVersion": True, "Document": self.managed[name]}],
            }
            for name in sorted(used)
        ]

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


def managed_arn(name: str) -> str:
    """Return the ARN of an AWS managed policy."""
    return f"arn:aws:iam::aws:policy/{name}"


def _request(body: Any) -> Answer:
    """Return the parameters in a request's body; those that stand in its path or query are not needed."""
    if isinstance(body, dict):
        return dict(body)
    text = body.decode() if isinstance(body, bytes) else body
    if not isinstance(text, str) or not text.startswith("{"):
        return {}
    parameters: Answer = json.loads(text)
    return parameters


def _denied(message: str) -> Answer:
    return {"Error": {"Code": "AccessDeniedException", "Message": f"The auditor is {message}"}}
