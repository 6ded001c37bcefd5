"""An AWS of synthetic tables on 127.0.0.1, with AWS's latency and request rates, for one account.

Run by itself it prints the port that it listens on, serves until it is killed, and answers ``GET /stats`` with
what it was asked so far. Answers are written as boto3 would parse them and encoded by botocore's own models.
Besides what the auditor asks it answers what Prowler asks for its DynamoDB checks (see ``peers.py``).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import functools
import json
import random
import re
import sys
import time
import urllib.parse
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

import botocore
import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.validate import ParamValidator

from auditor.sources.aws.pacing import DEFAULT_RATE, DOCUMENTED_RATES
from auditor.sources.aws.session import declared_operations

Params = dict[str, Any]

ACCOUNT = "123456789012"
HOME, SECOND = "eu-west-1", "eu-central-1"
ZONES = ("a", "b", "c")
CREATED = 1_760_000_000
ORGANIZATION, ROOT, UNIT = "o-exampleorgid", "r-abcd", "ou-abcd-11111111"

#: Members of the organisation besides ACCOUNT are numbered from here on.
FIRST_MEMBER = 200000000000

#: An access key id that AssumeRole gives out ends in the account's number.
TEMPORARY = "ASIA0000"

#: The policies of AWS that every target of an organisation has.
MANAGED = {"SERVICE_CONTROL_POLICY": "FullAWSAccess", "RESOURCE_CONTROL_POLICY": "RCPFullAWSAccess"}

#: Columns of a credential report (IAM User Guide, "Getting credential reports").
REPORT = (
    *("user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed"),
    *("password_next_rotation", "mfa_active"),
    *(
        f"access_key_{number}_{column}"
        for number in (1, 2)
        for column in ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
    ),
    *(f"cert_{number}_{column}" for number in (1, 2) for column in ("active", "last_rotated")),
)

#: Calls a second that AWS takes. Where the auditor stays far below AWS's own number, AWS's number.
RATES: dict[str, float] = DOCUMENTED_RATES | {
    "dynamodb:DescribeTable": 2500,
    "kms:DescribeKey": 2000,
    "kms:GetKeyRotationStatus": 1000,
    "kms:ListAliases": 500,
    "kms:GetKeyPolicy": 1000,
    "kms:ListGrants": 100,
    "dynamodb:GetResourcePolicy": 2500,
    "dynamodb:DescribeKinesisStreamingDestination": 2500,
}

#: What only Prowler's DynamoDB checks ask; a member account may not ask for its own entry in the organisation.
PEERS_OPERATIONS = (
    "organizations:DescribeAccount",
    "backup:ListBackupPlans",
    "backup:ListRecoveryPointsByBackupVault",
    "backup:ListReportPlans",
    "backup:ListTags",
)

#: What AWS answers above the rate: HTTP status and error code, by protocol.
THROTTLING = {
    "json": (400, "ThrottlingException"),
    "rest-json": (429, "TooManyRequestsException"),
    "ec2": (503, "RequestLimitExceeded"),
    "query": (400, "Throttling"),
    "rest-xml": (503, "SlowDown"),
}

#: Where everyday names and names in requests (X-Amz-Target, credential scope) are botocore's or the auditor's.
SERVICES = {"tag": "resourcegroupstaggingapi"}
SCOPES = {"tagging": "tag", "monitoring": "cloudwatch", "access-analyzer": "accessanalyzer"}


#: Metric filters of the trail's log group, each with an alarm.
ALARMED = {
    "tables": '{ $.eventSource = "dynamodb.amazonaws.com" }',
    "keys": '{ $.eventSource = "kms.amazonaws.com" && $.eventName = "*Key*" }',
    "trail": '{ $.eventSource = "cloudtrail.amazonaws.com" && $.readOnly IS FALSE }',
}


class Refused(Exception):
    """AWS answers with an error."""

    def __init__(self, code: str, status: int = 400) -> None:
        """Keep the error's code."""
        super().__init__(code)
        self.code, self.status = code, status


@dataclass
class Bucket:
    """AWS's side of a rate: a token bucket that holds one second's worth and starts full."""

    rate: float
    tokens: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        """Start full."""
        self.tokens = max(1.0, self.rate)

    def take(self, now: float) -> bool:
        """Tell whether a call at this moment is let in."""
        self.tokens = min(max(1.0, self.rate), self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Seen:
    """What came in for one operation in one region; moments in seconds."""

    calls: int = 0
    throttled: int = 0
    first: float = 0.0
    last: float = 0.0


class World:
    """The answers: every region has the same tables, a tenth as many keys, one network, one DAX cluster.

    The account has a role for every ten tables, and stands below one organisational unit. Regions that are ``empty``
    have neither tables nor clusters. The organisation has some ``accounts``, all alike.
    """

    def __init__(self, tables: int, empty: Collection[str] = (), accounts: int = 1) -> None:
        """Name the tables; table ``n`` differs from its neighbours by what divides ``n``."""
        self.names = [f"table-{number:05}" for number in range(tables)]
        self.empty = frozenset(empty)
        self.started = time.time()
        self.members = {ACCOUNT: "shop"} | {
            str(FIRST_MEMBER + number): f"shop-{number}" for number in range(1, accounts)
        }

    def answer(self, operation: str, region: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return an operation's answer.

        Raises:
            Refused: there is no such thing.
            AttributeError: the operation is not answered here.
        """
        service, _, name = operation.partition(":")
        prefix = service.replace("-", "_")
        method: Callable[[str, Params], dict[str, Any]] = getattr(self, f"_{prefix}_{botocore.xform_name(name)}")
        return method(region, params)

    def _number(self, table: str) -> int:
        number = int(table[-5:]) if table[-5:].isdigit() else -1
        if self.names[number : number + 1] != [table]:
            raise Refused("ResourceNotFoundException")
        return number

    def _dynamodb_list_tables(self, region: str, params: Params) -> dict[str, Any]:
        if region in self.empty:
            return {"TableNames": []}
        page = _page(self.names, params.get("ExclusiveStartTableName"), params.get("Limit", 100))
        more = {"LastEvaluatedTableName": page[-1]} if page and page[-1] != self.names[-1] else {}
        return {"TableNames": page, **more}

    def _dynamodb_describe_table(self, region: str, params: Params) -> dict[str, Any]:
        name = params["TableName"]
        number = self._number(name)
        table: dict[str, Any] = {
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "TableName": name,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "TableStatus": "ACTIVE",
            "CreationDateTime": CREATED,
            "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
            "TableSizeBytes": 4096 * number,
            # Nothing can be said of what unclassified tables hold unless items are sampled, so they hold nothing.
            "ItemCount": 100 * number if number % 3 and number % 10 != 9 else 0,
            "TableArn": table_arn(region, name),
            "TableId": f"{number:08x}-aaaa-4bbb-8ccc-ddddeeeeffff",
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "DeletionProtectionEnabled": number % 3 != 0,
        }
        if number % 2:
            key = key_arn(region, number // 10)
            table["SSEDescription"] = {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}
        if number % 5 == 0:
            table["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
            table["LatestStreamArn"] = f"{table['TableArn']}/stream/2026-01-01T00:00:00.000"
        if number % 50 == 0 and region in (HOME, SECOND):
            other = SECOND if region == HOME else HOME
            replica = {"RegionName": other, "ReplicaArn": table_arn(other, name), "ReplicaStatus": "ACTIVE"}
            table |= {"GlobalTableVersion": "2019.11.21", "Replicas": [replica]}
        return {"Table": table}

    def _dynamodb_describe_continuous_backups(self, region: str, params: Params) -> dict[str, Any]:
        recovery: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
        if self._number(params["TableName"]) % 4:
            recovery = {
                "PointInTimeRecoveryStatus": "ENABLED",
                "RecoveryPeriodInDays": 35,
                "EarliestRestorableDateTime": CREATED,
                "LatestRestorableDateTime": CREATED + 86_400,
            }
        status = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
        return {"ContinuousBackupsDescription": status}

    def _dynamodb_list_tags_of_resource(self, region: str, params: Params) -> dict[str, Any]:
        return {"Tags": self._tags(self._number(params["ResourceArn"].rpartition("/")[2]))}

    def _tags(self, number: int) -> list[dict[str, str]]:
        if number % 10 == 9:
            return []
        tags = {"owner": f"team-{number % 7}", "env": "prod" if number % 2 else "test"}
        if number % 3:
            tags["data-classification"] = "internal"
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    def _dynamodb_list_global_tables(self, region: str, params: Params) -> dict[str, Any]:
        return {"GlobalTables": []}

    def _dynamodb_get_resource_policy(self, region: str, params: Params) -> dict[str, Any]:
        arn = params["ResourceArn"]
        number = self._number(arn.partition("/stream/")[0].rpartition("/")[2])
        if number % 20 or "/stream/" in arn:
            raise Refused("PolicyNotFoundException")
        statement = _allow(["dynamodb:GetItem", "dynamodb:Query"], arn) | {"Principal": {"AWS": role_arn(number // 10)}}
        return {"Policy": _policy(statement), "RevisionId": f"{CREATED}{number}"}

    def _tag_get_resources(self, region: str, params: Params) -> dict[str, Any]:
        tagged = [name for name in self.names if self._tags(self._number(name))]
        page = _page(tagged, params.get("PaginationToken"), params.get("ResourcesPerPage", 50))
        mapping = [
            {"ResourceARN": table_arn(region, name), "Tags": self._tags(self._number(name))}
            for name in page
            if "dynamodb:table" in params.get("ResourceTypeFilters", ["dynamodb:table"])
        ]
        more = page[-1] if page and page[-1] != tagged[-1] else ""
        return {"ResourceTagMappingList": mapping, "PaginationToken": more}

    def _dynamodb_scan(self, region: str, params: Params) -> dict[str, Any]:
        number = self._number(params["TableName"])
        capacity = {"TableName": params["TableName"], "CapacityUnits": 0.5}
        return {"Items": [], "Count": 0, "ScannedCount": 100 * number, "ConsumedCapacity": capacity}

    def _kms_describe_key(self, region: str, params: Params) -> dict[str, Any]:
        arn = params["KeyId"]
        metadata = {"KeyId": arn.rpartition("/")[2], "Arn": arn, "AWSAccountId": ACCOUNT, "CreationDate": CREATED}
        metadata |= {"Enabled": True, "KeyState": "Enabled", "KeyManager": "CUSTOMER", "Origin": "AWS_KMS"}
        return {"KeyMetadata": metadata | {"KeySpec": "SYMMETRIC_DEFAULT", "MultiRegion": False}}

    def _kms_get_key_rotation_status(self, region: str, params: Params) -> dict[str, Any]:
        enabled = params["KeyId"][-30] in "02468ace"
        return {"KeyId": params["KeyId"], "KeyRotationEnabled": enabled, "RotationPeriodInDays": 365}

    def _kms_list_aliases(self, region: str, params: Params) -> dict[str, Any]:
        keys = [key_arn(region, number) for number in range((len(self.names) + 9) // 10)]
        names = [f"alias/tables-{number}" for number in range(len(keys))]
        page = _page(names, params.get("Marker"), params.get("Limit", 50))
        aliases = [
            {
                "AliasName": name,
                "AliasArn": f"arn:aws:kms:{region}:{ACCOUNT}:{name}",
                "TargetKeyId": keys[int(name.rpartition("-")[2])].rpartition("/")[2],
            }
            for name in page
        ]
        more = {"NextMarker": page[-1]} if page and page[-1] != names[-1] else {}
        return {"Aliases": aliases, "Truncated": bool(more), **more}

    def _kms_get_key_policy(self, region: str, params: Params) -> dict[str, Any]:
        own = f"arn:aws:iam::{ACCOUNT}:root"
        return {"Policy": _policy(_allow("kms:*", "*") | {"Principal": {"AWS": own}}), "PolicyName": "default"}

    def _kms_list_grants(self, region: str, params: Params) -> dict[str, Any]:
        arn = params["KeyId"]
        table = self.names[int(arn.rpartition("/")[2][:8], 16) * 10 :][0]
        grant = {
            "KeyId": arn,
            "GrantId": arn.rpartition("/")[2].replace("-", "") * 2,
            "GranteePrincipal": f"dynamodb.{region}.amazonaws.com",
            "IssuingAccount": f"arn:aws:iam::{ACCOUNT}:root",
            "CreationDate": CREATED,
            "Operations": ["Decrypt", "Encrypt", "GenerateDataKey", "DescribeKey", "RetireGrant"],
            "Constraints": {"EncryptionContextSubset": {"aws:dynamodb:tableName": table}},
        }
        return {"Grants": [grant], "Truncated": False}

    def _dax_describe_clusters(self, region: str, params: Params) -> dict[str, Any]:
        cluster = {
            "ClusterName": "cache",
            "ClusterArn": f"arn:aws:dax:{region}:{ACCOUNT}:cache/cache",
            "TotalNodes": 3,
            "ActiveNodes": 3,
            "NodeType": "dax.r5.large",
            "Status": "available",
            "ClusterDiscoveryEndpoint": {"Address": "cache.dax.local", "Port": 9111, "URL": "daxs://cache.dax.local"},
            "Nodes": [{"NodeId": f"cache-{zone}", "AvailabilityZone": f"{region}{zone}"} for zone in ZONES],
            "SecurityGroups": [{"SecurityGroupIdentifier": "sg-0001", "Status": "active"}],
            "SubnetGroup": "private",
            "IamRoleArn": f"arn:aws:iam::{ACCOUNT}:role/dax",
            "SSEDescription": {"Status": "ENABLED"},
            "ClusterEndpointEncryptionType": "TLS",
        }
        return {"Clusters": [] if region in self.empty else [cluster]}

    def _dax_list_tags(self, region: str, params: Params) -> dict[str, Any]:
        return {"Tags": self._tags(1)}

    def _dax_describe_subnet_groups(self, region: str, params: Params) -> dict[str, Any]:
        subnets = [
            {"SubnetIdentifier": f"subnet-0{zone}", "SubnetAvailabilityZone": f"{region}{zone}"} for zone in ZONES
        ]
        return {"SubnetGroups": [{"SubnetGroupName": "private", "VpcId": "vpc-0a", "Subnets": subnets}]}

    def _config_describe_configuration_recorders(self, region: str, params: Params) -> dict[str, Any]:
        group = {"allSupported": True, "includeGlobalResourceTypes": True, "resourceTypes": []}
        role = f"arn:aws:iam::{ACCOUNT}:role/config"
        return {"ConfigurationRecorders": [{"name": "default", "roleARN": role, "recordingGroup": group}]}

    def _config_describe_configuration_recorder_status(self, region: str, params: Params) -> dict[str, Any]:
        status = {"name": "default", "recording": True, "lastStatus": "SUCCESS", "lastStartTime": CREATED}
        return {"ConfigurationRecordersStatus": [status]}

    def _config_select_resource_config(self, region: str, params: Params) -> dict[str, Any]:
        names = [] if region in self.empty else self.names
        page = _page(names, params.get("NextToken"), params.get("Limit", 25))
        more = {"NextToken": page[-1]} if page and page[-1] != names[-1] else {}
        return {"Results": [json.dumps(self._item(region, name)) for name in page], **more}

    def _config_select_aggregate_resource_config(self, region: str, params: Params) -> dict[str, Any]:
        """Answer a query that names the region it is about."""
        found = re.search(r"awsRegion = '([a-z0-9-]+)'", params["Expression"])
        return self._config_select_resource_config(found[1] if found else region, params)

    def _item(self, region: str, name: str) -> dict[str, Any]:
        """Return what AWS Config recorded of a table: its published properties have no window of recovery."""
        answer = self._dynamodb_describe_continuous_backups(region, {"TableName": name})
        recovery = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        backups = {
            "continuousBackupsStatus": "ENABLED",
            "pointInTimeRecoveryDescription": {"pointInTimeRecoveryStatus": recovery["PointInTimeRecoveryStatus"]},
        }
        return {
            "accountId": ACCOUNT,
            "awsRegion": region,
            "arn": table_arn(region, name),
            "resourceType": "AWS::DynamoDB::Table",
            "resourceId": name,
            "configurationItemCaptureTime": "2026-01-31T09:30:00.123Z",
            "configurationItemStatus": "OK",
            "supplementaryConfiguration": {"ContinuousBackupsDescription": backups, "Tags": []},
        }

    def _config_describe_delivery_channels(self, region: str, params: Params) -> dict[str, Any]:
        return {"DeliveryChannels": [{"name": "default", "s3BucketName": "config-bucket"}]}

    def _cloudtrail_describe_trails(self, region: str, params: Params) -> dict[str, Any]:
        trail = {
            "Name": "audit",
            "TrailARN": f"arn:aws:cloudtrail:{HOME}:{ACCOUNT}:trail/audit",
            "HomeRegion": HOME,
            "S3BucketName": "trail-bucket",
            "IsMultiRegionTrail": True,
            "LogFileValidationEnabled": True,
            "IsOrganizationTrail": False,
            "KmsKeyId": key_arn(HOME, 0),
            "CloudWatchLogsLogGroupArn": f"arn:aws:logs:{HOME}:{ACCOUNT}:log-group:trail:*",
        }
        return {"trailList": [trail]}

    def _cloudtrail_get_trail_status(self, region: str, params: Params) -> dict[str, Any]:
        return {"IsLogging": True, "LatestDeliveryTime": CREATED, "StartLoggingTime": CREATED}

    def _cloudtrail_list_event_data_stores(self, region: str, params: Params) -> dict[str, Any]:
        return {"EventDataStores": []}

    def _cloudtrail_get_event_data_store(self, region: str, params: Params) -> dict[str, Any]:
        return {"Name": "lake", "Status": "ENABLED", "MultiRegionEnabled": True}

    def _cloudtrail_get_event_selectors(self, region: str, params: Params) -> dict[str, Any]:
        selector = {"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": []}
        return {"TrailARN": params["TrailName"], "EventSelectors": [selector]}

    def _iam_get_account_authorization_details(self, region: str, params: Params) -> dict[str, Any]:
        dax = {"Service": "dax.amazonaws.com"}
        trust = _policy({"Effect": "Allow", "Principal": dax, "Action": "sts:AssumeRole"})
        roles = [_role("dax", trust, _allow(["dynamodb:GetItem", "dynamodb:Query"], table_arn("*", "table-*")))]
        trust = trust.replace("dax.", "lambda.")
        for number in range((len(self.names) + 9) // 10):
            scope = [table_arn("*", name) for name in self.names[number * 10 : number * 10 + 10]]
            actions = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"]
            roles.append(_role(role_arn(number).rpartition("/")[2], trust, _allow(actions, scope)))
        start, size = int(params.get("Marker", 0)), int(params.get("MaxItems", 100))
        answer = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": roles[start : start + size]}
        more = {"Marker": str(start + size)} if start + size < len(roles) else {}
        return answer | {"Policies": [], "IsTruncated": bool(more), **more}

    def _iam_get_policy(self, region: str, params: Params) -> dict[str, Any]:
        raise Refused("NoSuchEntity", 404)

    def _iam_get_policy_version(self, region: str, params: Params) -> dict[str, Any]:
        raise Refused("NoSuchEntity", 404)

    def _iam_generate_credential_report(self, region: str, params: Params) -> dict[str, Any]:
        return {"State": "COMPLETE"}

    def _iam_get_credential_report(self, region: str, params: Params) -> dict[str, Any]:
        row = dict.fromkeys(REPORT, "N/A") | {
            "user": "<root_account>",
            "arn": f"arn:aws:iam::{ACCOUNT}:root",
            "user_creation_time": "2020-01-31T09:30:00+00:00",
            "password_enabled": "not_supported",
            "mfa_active": "true",
            "access_key_1_active": "false",
            "access_key_2_active": "false",
        }
        content = f"{','.join(row)}\n{','.join(row.values())}".encode()
        return {"Content": content, "ReportFormat": "text/csv", "GeneratedTime": "2026-01-31T09:30:00Z"}

    def _organizations_describe_organization(self, region: str, params: Params) -> dict[str, Any]:
        organization = {
            "Id": ORGANIZATION,
            "Arn": f"arn:aws:organizations::{ACCOUNT}:organization/{ORGANIZATION}",
            "FeatureSet": "ALL",
            "MasterAccountId": "210987654321",
            "MasterAccountArn": f"arn:aws:organizations::210987654321:account/{ORGANIZATION}/210987654321",
            "MasterAccountEmail": "aws@example.com",
        }
        return {"Organization": organization}

    def _organizations_describe_account(self, region: str, params: Params) -> dict[str, Any]:
        raise Refused("AccessDeniedException")

    def _organizations_list_roots(self, region: str, params: Params) -> dict[str, Any]:
        types = [{"Type": kind, "Status": "ENABLED"} for kind in MANAGED]
        return {"Roots": [{"Id": ROOT, "Name": "Root", "PolicyTypes": types}]}

    def _organizations_list_accounts(self, region: str, params: Params) -> dict[str, Any]:
        accounts = self.members if len(self.members) > 1 else self.members | {"210987654321": "management"}
        page = _page(list(accounts), params.get("NextToken"), 20)
        more = {"NextToken": page[-1]} if page and page[-1] != list(accounts)[-1] else {}
        return {"Accounts": [{"Id": one, "Name": accounts[one], "Status": "ACTIVE"} for one in page], **more}

    def _organizations_list_accounts_for_parent(self, region: str, params: Params) -> dict[str, Any]:
        return self._organizations_list_accounts(region, params) if params["ParentId"] == UNIT else {"Accounts": []}

    def _organizations_list_organizational_units_for_parent(self, region: str, params: Params) -> dict[str, Any]:
        return {"OrganizationalUnits": [{"Id": UNIT, "Name": "shops"}] if params["ParentId"] == ROOT else []}

    def _organizations_list_policies(self, region: str, params: Params) -> dict[str, Any]:
        return self._organizations_list_policies_for_target(region, params)

    def _organizations_list_targets_for_policy(self, region: str, params: Params) -> dict[str, Any]:
        targets = [(ROOT, "ROOT"), (UNIT, "ORGANIZATIONAL_UNIT"), *((one, "ACCOUNT") for one in self.members)]
        return {"Targets": [{"TargetId": one, "Type": kind} for one, kind in targets]}

    def _sts_assume_role(self, region: str, params: Params) -> dict[str, Any]:
        account = params["RoleArn"].split(":")[4]
        if account not in self.members:
            raise Refused("AccessDenied", 403)
        credentials = {"AccessKeyId": TEMPORARY + account, "SecretAccessKey": "benchmark", "SessionToken": "benchmark"}
        return {"Credentials": credentials | {"Expiration": time.time() + 3600}}

    def _organizations_list_parents(self, region: str, params: Params) -> dict[str, Any]:
        if params["ChildId"] == UNIT:
            return {"Parents": [{"Id": ROOT, "Type": "ROOT"}]}
        return {"Parents": [{"Id": UNIT, "Type": "ORGANIZATIONAL_UNIT"}]}

    def _organizations_list_policies_for_target(self, region: str, params: Params) -> dict[str, Any]:
        name = MANAGED[params["Filter"]]
        return {"Policies": [{"Id": f"p-{name}", "Name": name, "Type": params["Filter"], "AwsManaged": True}]}

    def _organizations_describe_policy(self, region: str, params: Params) -> dict[str, Any]:
        kind = next(kind for kind, name in MANAGED.items() if params["PolicyId"] == f"p-{name}")
        summary = {"Id": params["PolicyId"], "Name": MANAGED[kind], "Type": kind, "AwsManaged": True}
        everyone: dict[str, Any] = {"Principal": "*"} if kind.startswith("RESOURCE") else {}
        return {"Policy": {"PolicySummary": summary, "Content": _policy(_allow("*", "*") | everyone)}}

    def _cognito_identity_list_identity_pools(self, region: str, params: Params) -> dict[str, Any]:
        pool = {"IdentityPoolId": f"{region}:00000000-1111-4222-8333-444455556666", "IdentityPoolName": "shop"}
        return {"IdentityPools": [pool]}

    def _cognito_identity_describe_identity_pool(self, region: str, params: Params) -> dict[str, Any]:
        pool = {"IdentityPoolId": params["IdentityPoolId"], "IdentityPoolName": "shop"}
        return pool | {"AllowUnauthenticatedIdentities": False, "AllowClassicFlow": False}

    def _cognito_identity_get_identity_pool_roles(self, region: str, params: Params) -> dict[str, Any]:
        return {"IdentityPoolId": params["IdentityPoolId"], "Roles": {}}

    def _sts_get_caller_identity(self, region: str, params: Params) -> dict[str, Any]:
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/auditor/benchmark"
        return {"UserId": "AROAEXAMPLE:benchmark", "Account": ACCOUNT, "Arn": arn}

    def _account_list_regions(self, region: str, params: Params) -> dict[str, Any]:
        return {"Regions": [{"RegionName": one, "RegionOptStatus": "ENABLED_BY_DEFAULT"} for one in (HOME, SECOND)]}

    def _ec2_describe_regions(self, region: str, params: Params) -> dict[str, Any]:
        return {"Regions": [{"RegionName": one, "OptInStatus": "opt-in-not-required"} for one in (HOME, SECOND)]}

    def _ec2_describe_vpcs(self, region: str, params: Params) -> dict[str, Any]:
        vpcs = [("vpc-0a", "10.0.0.0/16"), ("vpc-0b", "10.1.0.0/16"), ("vpc-0c", "10.2.0.0/16")]
        return {
            "Vpcs": [
                {"VpcId": vpc, "OwnerId": ACCOUNT, "CidrBlock": block, "IsDefault": False, "State": "available"}
                for vpc, block in vpcs
            ]
        }

    def _ec2_describe_vpc_attribute(self, region: str, params: Params) -> dict[str, Any]:
        attribute = params["Attribute"]
        return {"VpcId": params["VpcId"], attribute[0].upper() + attribute[1:]: {"Value": True}}

    def _ec2_describe_subnets(self, region: str, params: Params) -> dict[str, Any]:
        return {
            "Subnets": [
                {
                    "SubnetId": f"subnet-{number}{zone}",
                    "VpcId": f"vpc-0{'abc'[number]}",
                    "OwnerId": ACCOUNT,
                    "CidrBlock": f"10.{number}.{place}.0/24",
                    "AvailabilityZone": f"{region}{zone}",
                    "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"},
                    "State": "available",
                }
                for number in range(3)
                for place, zone in enumerate(ZONES)
            ]
        }

    def _ec2_describe_route_tables(self, region: str, params: Params) -> dict[str, Any]:
        hops = [
            {"DestinationPrefixListId": "pl-dynamodb", "GatewayId": "vpce-0a"},
            {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-0b"},
            {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-0c"},
        ]
        return {
            "RouteTables": [
                {
                    "RouteTableId": f"rtb-0{'abc'[number]}",
                    "VpcId": f"vpc-0{'abc'[number]}",
                    "OwnerId": ACCOUNT,
                    "Associations": [{"Main": True, "AssociationState": {"State": "associated"}}],
                    "Routes": [
                        {"DestinationCidrBlock": f"10.{number}.0.0/16", "GatewayId": "local", "State": "active"},
                        hop | {"State": "active", "Origin": "CreateRoute"},
                    ],
                }
                for number, hop in enumerate(hops)
            ]
        }

    def _ec2_describe_vpc_endpoints(self, region: str, params: Params) -> dict[str, Any]:
        endpoint = {
            "VpcEndpointId": "vpce-0a",
            "VpcEndpointType": "Gateway",
            "VpcId": "vpc-0a",
            "ServiceName": f"com.amazonaws.{region}.dynamodb",
            "State": "available",
            "RouteTableIds": ["rtb-0a"],
            "PolicyDocument": '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}',
        }
        return {"VpcEndpoints": [endpoint]}

    def _ec2_describe_nat_gateways(self, region: str, params: Params) -> dict[str, Any]:
        nat = {"NatGatewayId": "nat-0b", "VpcId": "vpc-0b", "SubnetId": "subnet-2a", "State": "available"}
        return {"NatGateways": [nat | {"ConnectivityType": "public"}]}

    def _ec2_describe_network_interfaces(self, region: str, params: Params) -> dict[str, Any]:
        return {
            "NetworkInterfaces": [
                {
                    "NetworkInterfaceId": f"eni-{number:08x}",
                    "SubnetId": f"subnet-{number % 3}{ZONES[number // 3 % 3]}",
                    "VpcId": f"vpc-0{'abc'[number % 3]}",
                    "InterfaceType": "interface",
                    "Status": "in-use",
                    "RequesterManaged": False,
                    "SourceDestCheck": True,
                    "Attachment": {"InstanceId": f"i-{number:08x}"},
                }
                for number in range(300)
            ]
        }

    def _ec2_describe_managed_prefix_lists(self, region: str, params: Params) -> dict[str, Any]:
        name = f"com.amazonaws.{region}.dynamodb"
        return {"PrefixLists": [{"PrefixListId": "pl-dynamodb", "PrefixListName": name, "OwnerId": "AWS"}]}

    def _ec2_get_managed_prefix_list_entries(self, region: str, params: Params) -> dict[str, Any]:
        return {"Entries": [{"Cidr": "52.119.240.0/21"}, {"Cidr": "3.218.180.0/22"}]}

    def _ec2_describe_prefix_lists(self, region: str, params: Params) -> dict[str, Any]:
        name = f"com.amazonaws.{region}.dynamodb"
        return {"PrefixLists": [{"PrefixListId": "pl-dynamodb", "PrefixListName": name, "Cidrs": ["52.119.240.0/21"]}]}

    def _backup_list_protected_resources(self, region: str, params: Params) -> dict[str, Any]:
        page = _page(self.names, params.get("nextToken"), params.get("maxResults", 1000))
        results = [
            {
                "ResourceArn": table_arn(region, name),
                "ResourceType": "DynamoDB",
                "LastBackupTime": int(self.started) - 3600,
                "LastBackupVaultArn": f"arn:aws:backup:{region}:{ACCOUNT}:backup-vault:tables",
            }
            for name in page
        ]
        more = {"NextToken": page[-1]} if page and page[-1] != self.names[-1] else {}
        return {"Results": results, **more}

    def _backup_list_backup_vaults(self, region: str, params: Params) -> dict[str, Any]:
        arn = f"arn:aws:backup:{region}:{ACCOUNT}:backup-vault:tables"
        vault = {"BackupVaultName": "tables", "BackupVaultArn": arn, "Locked": True}
        return {"BackupVaultList": [vault | {"EncryptionKeyArn": key_arn(region, 0), "NumberOfRecoveryPoints": 0}]}

    def _backup_list_backup_plans(self, region: str, params: Params) -> dict[str, Any]:
        return {"BackupPlansList": []}

    def _backup_list_recovery_points_by_backup_vault(self, region: str, params: Params) -> dict[str, Any]:
        return {"RecoveryPoints": []}

    def _backup_list_report_plans(self, region: str, params: Params) -> dict[str, Any]:
        return {"ReportPlans": []}

    def _backup_list_tags(self, region: str, params: Params) -> dict[str, Any]:
        return {"Tags": {}}

    def _dynamodb_list_backups(self, region: str, params: Params) -> dict[str, Any]:
        return {"BackupSummaries": []}

    def _dynamodb_describe_kinesis_streaming_destination(self, region: str, params: Params) -> dict[str, Any]:
        number = self._number(params["TableName"])
        arn = f"arn:aws:kinesis:{region}:{ACCOUNT}:stream/changes"
        held = [] if number % 50 else [{"StreamArn": arn, "DestinationStatus": "ACTIVE"}]
        return {"TableName": params["TableName"], "KinesisDataStreamDestinations": held}

    def _kinesis_describe_stream_summary(self, region: str, params: Params) -> dict[str, Any]:
        return {
            "StreamDescriptionSummary": {
                "StreamName": "changes",
                "StreamARN": f"arn:aws:kinesis:{region}:{ACCOUNT}:stream/changes",
                "StreamStatus": "ACTIVE",
                "RetentionPeriodHours": 24,
                "StreamCreationTimestamp": CREATED,
                "EnhancedMonitoring": [],
                "OpenShardCount": 1,
                "EncryptionType": "KMS",
            }
        }

    def _lambda_list_event_source_mappings(self, region: str, params: Params) -> dict[str, Any]:
        return {"EventSourceMappings": []}

    def _pipes_list_pipes(self, region: str, params: Params) -> dict[str, Any]:
        return {"Pipes": []}

    def _application_autoscaling_describe_scalable_targets(self, region: str, params: Params) -> dict[str, Any]:
        return {"ScalableTargets": []}

    def _dynamodb_list_exports(self, region: str, params: Params) -> dict[str, Any]:
        summaries = [
            {"ExportArn": f"{table_arn(region, name)}/export/01760000000000-{number:08}", "ExportStatus": "COMPLETED"}
            for number, name in enumerate(self.names[:5])
        ]
        return {"ExportSummaries": summaries}

    def _dynamodb_describe_export(self, region: str, params: Params) -> dict[str, Any]:
        arn = params["ExportArn"]
        description = {
            "ExportArn": arn,
            "ExportStatus": "COMPLETED",
            "TableArn": arn.partition("/export/")[0],
            "S3Bucket": "exports",
            "S3BucketOwner": ACCOUNT,
            "S3SseAlgorithm": "KMS",
        }
        return {"ExportDescription": description}

    def _dynamodb_list_bulk_operations(self, region: str, params: Params) -> dict[str, Any]:
        return {"BulkOperationsSummaryList": []}

    def _dynamodb_describe_bulk_operation(self, region: str, params: Params) -> dict[str, Any]:
        raise Refused("ResourceNotFoundException")

    def _s3_head_bucket(self, region: str, params: Params) -> dict[str, Any]:
        return {"BucketRegion": HOME}

    def _s3_get_bucket_policy_status(self, region: str, params: Params) -> dict[str, Any]:
        return {"PolicyStatus": {"IsPublic": False}}

    def _s3_get_public_access_block(self, region: str, params: Params) -> dict[str, Any]:
        return {"PublicAccessBlockConfiguration": {"RestrictPublicBuckets": True}}

    def _s3_get_bucket_encryption(self, region: str, params: Params) -> dict[str, Any]:
        default = {"SSEAlgorithm": "aws:kms"}
        return {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}}

    def _ec2_describe_vpc_block_public_access_options(self, region: str, params: Params) -> dict[str, Any]:
        return {"VpcBlockPublicAccessOptions": {"AwsAccountId": ACCOUNT, "InternetGatewayBlockMode": "off"}}

    def _logs_describe_metric_filters(self, region: str, params: Params) -> dict[str, Any]:
        return {
            "metricFilters": [
                {
                    "filterName": name,
                    "filterPattern": pattern,
                    "metricTransformations": [
                        {"metricName": name, "metricNamespace": "Security", "metricValue": "1", "defaultValue": 0}
                    ],
                    "logGroupName": "trail",
                }
                for name, pattern in ALARMED.items()
            ]
        }

    def _cloudwatch_describe_alarms(self, region: str, params: Params) -> dict[str, Any]:
        alarms = [
            {
                "AlarmName": name,
                "AlarmArn": f"arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{name}",
                "ActionsEnabled": True,
                "AlarmActions": [f"arn:aws:sns:{region}:{ACCOUNT}:security"],
                "MetricName": name,
                "Namespace": "Security",
                "Statistic": "Sum",
                "Period": 300,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
            }
            for name in ALARMED
        ]
        return {"MetricAlarms": alarms, "CompositeAlarms": [], "LogAlarms": []}

    def _cloudwatch_list_alarm_mute_rules(self, region: str, params: Params) -> dict[str, Any]:
        return {"AlarmMuteRuleSummaries": []}

    def _cloudwatch_get_alarm_mute_rule(self, region: str, params: Params) -> dict[str, Any]:
        return {"Name": "maintenance", "Status": "EXPIRED"}

    def _events_list_rules(self, region: str, params: Params) -> dict[str, Any]:
        pattern = json.dumps({"detail-type": ["AWS API Call via CloudTrail"], "source": ["aws.dynamodb"]})
        rule = {
            "Name": "tables",
            "Arn": f"arn:aws:events:{region}:{ACCOUNT}:rule/tables",
            "EventPattern": pattern,
            "State": "ENABLED",
            "EventBusName": "default",
        }
        return {"Rules": [rule]}

    def _events_list_targets_by_rule(self, region: str, params: Params) -> dict[str, Any]:
        return {"Targets": [{"Id": "soc", "Arn": f"arn:aws:lambda:{region}:{ACCOUNT}:function:soc"}]}

    def _sns_list_subscriptions_by_topic(self, region: str, params: Params) -> dict[str, Any]:
        arn = f"arn:aws:sns:{region}:{ACCOUNT}:security"
        return {"Subscriptions": [{"SubscriptionArn": f"{arn}:0", "Protocol": "https", "TopicArn": arn}]}

    def _sns_get_topic_attributes(self, region: str, params: Params) -> dict[str, Any]:
        arn = f"arn:aws:sns:{region}:{ACCOUNT}:security"
        statement = _allow("sns:Publish", arn) | {"Principal": {"Service": "cloudwatch.amazonaws.com"}}
        return {"Attributes": {"TopicArn": arn, "Policy": _policy(statement)}}

    def _ec2_describe_instances(self, region: str, params: Params) -> dict[str, Any]:
        roles = (len(self.names) + 9) // 10
        instances = [
            {
                "InstanceId": f"i-{number:08x}",
                "State": {"Code": 16, "Name": "running"},
                "SubnetId": f"subnet-{number % 3}{ZONES[number // 3 % 3]}",
                "VpcId": f"vpc-0{'abc'[number % 3]}",
                "IamInstanceProfile": {"Arn": role_arn(number % roles).replace(":role/", ":instance-profile/")},
                "MetadataOptions": {"State": "applied", "HttpTokens": "required", "HttpEndpoint": "enabled"},
                "Tags": [{"Key": "Name", "Value": f"app-{number:04}"}],
            }
            for number in range(300)
        ]
        return {"Reservations": [{"ReservationId": "r-0a", "OwnerId": ACCOUNT, "Instances": instances}]}

    def _lambda_list_functions(self, region: str, params: Params) -> dict[str, Any]:
        functions = [
            {
                "FunctionName": f"app-{number:04}",
                "FunctionArn": f"arn:aws:lambda:{region}:{ACCOUNT}:function:app-{number:04}",
                "Role": role_arn(number),
                "Environment": {"Variables": {"TABLE": self.names[number * 10]}},
            }
            for number in range(min(40, (len(self.names) + 9) // 10))
        ]
        return {"Functions": functions}

    def _iam_get_account_summary(self, region: str, params: Params) -> dict[str, Any]:
        return {"SummaryMap": {"AccountAccessKeysPresent": 0, "AccountMFAEnabled": 1, "AccountPasswordPresent": 1}}

    def _iam_list_organizations_features(self, region: str, params: Params) -> dict[str, Any]:
        raise Refused("AccountNotManagementOrDelegatedAdministratorException", 409)

    def _guardduty_list_detectors(self, region: str, params: Params) -> dict[str, Any]:
        return {"DetectorIds": ["12abc34d567e8fa901bc2d34e56789f0"]}

    def _guardduty_get_detector(self, region: str, params: Params) -> dict[str, Any]:
        role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/guardduty.amazonaws.com/AWSServiceRoleForAmazonGuardDuty"
        features = [{"Name": name, "Status": "ENABLED"} for name in ("CLOUD_TRAIL", "DNS_LOGS", "FLOW_LOGS")]
        return {
            "ServiceRole": role,
            "Status": "ENABLED",
            "FindingPublishingFrequency": "FIFTEEN_MINUTES",
            "Features": features,
        }

    def _accessanalyzer_list_analyzers(self, region: str, params: Params) -> dict[str, Any]:
        arn = f"arn:aws:access-analyzer:{region}:{ACCOUNT}:analyzer/account"
        analyzer = {"arn": arn, "name": "account", "type": "ACCOUNT", "status": "ACTIVE", "createdAt": CREATED}
        return {"analyzers": [analyzer]}

    def _accessanalyzer_list_findings_v2(self, region: str, params: Params) -> dict[str, Any]:
        return {"findings": []}

    def _securityhub_get_enabled_standards(self, region: str, params: Params) -> dict[str, Any]:
        name = "aws-foundational-security-best-practices/v/1.0.0"
        standard = {
            "StandardsSubscriptionArn": f"arn:aws:securityhub:{region}:{ACCOUNT}:subscription/{name}",
            "StandardsArn": f"arn:aws:securityhub:{region}::standards/{name}",
            "StandardsInput": {},
            "StandardsStatus": "READY",
        }
        return {"StandardsSubscriptions": [standard]}

    #: Managed rules of AWS Config that every region has.
    _CONFIG_RULES = (
        *("DYNAMODB_PITR_ENABLED", "DYNAMODB_TABLE_DELETION_PROTECTION_ENABLED", "DYNAMODB_TABLE_ENCRYPTED_KMS"),
        *("DYNAMODB_RESOURCES_PROTECTED_BY_BACKUP_PLAN", "DAX_ENCRYPTION_ENABLED", "DAX_TLS_ENDPOINT_ENCRYPTION"),
    )

    def _config_describe_config_rules(self, region: str, params: Params) -> dict[str, Any]:
        rules: list[dict[str, Any]] = [
            {
                "ConfigRuleName": one.lower().replace("_", "-"),
                "Source": {"Owner": "AWS", "SourceIdentifier": one},
                "ConfigRuleState": "ACTIVE",
            }
            for one in self._CONFIG_RULES
        ]
        endpoint = {"Owner": "AWS", "SourceIdentifier": "SERVICE_VPC_ENDPOINT_ENABLED"}
        parameters = json.dumps({"serviceName": "dynamodb"})
        rules.append(
            {
                "ConfigRuleName": "dynamodb-endpoint",
                "Source": endpoint,
                "InputParameters": parameters,
                "ConfigRuleState": "ACTIVE",
            }
        )
        return {"ConfigRules": rules}

    def _config_describe_compliance_by_config_rule(self, region: str, params: Params) -> dict[str, Any]:
        names = [one["ConfigRuleName"] for one in self._config_describe_config_rules(region, {})["ConfigRules"]]
        held = [{"ConfigRuleName": name, "Compliance": {"ComplianceType": "COMPLIANT"}} for name in names]
        return {"ComplianceByConfigRules": held}

    def _ec2_describe_availability_zones(self, region: str, params: Params) -> dict[str, Any]:
        zones = [{"ZoneName": f"{region}{zone}", "ZoneType": "availability-zone"} for zone in ZONES]
        return {"AvailabilityZones": [one | {"State": "available", "RegionName": region} for one in zones]}

    def _ec2_describe_security_groups(self, region: str, params: Params) -> dict[str, Any]:
        clients = [{"GroupId": "sg-0002", "UserId": ACCOUNT}]
        permission = {"IpProtocol": "tcp", "FromPort": 9111, "ToPort": 9111, "UserIdGroupPairs": clients}
        names = {"sg-0001": ("cache", [permission]), "sg-0002": ("clients", [])}
        return {
            "SecurityGroups": [
                {"GroupId": group, "GroupName": name, "VpcId": "vpc-0a", "OwnerId": ACCOUNT, "IpPermissions": ingress}
                for group, (name, ingress) in names.items()
            ]
        }

    def _ec2_describe_vpn_connections(self, region: str, params: Params) -> dict[str, Any]:
        return {"VpnConnections": []}

    def _ec2_describe_vpn_gateways(self, region: str, params: Params) -> dict[str, Any]:
        attachment = {"VpcId": "vpc-0a", "State": "attached"}
        return {"VpnGateways": [{"VpnGatewayId": "vgw-0a", "State": "available", "VpcAttachments": [attachment]}]}

    def _ec2_describe_customer_gateways(self, region: str, params: Params) -> dict[str, Any]:
        return {"CustomerGateways": []}

    def _ec2_describe_transit_gateway_attachments(self, region: str, params: Params) -> dict[str, Any]:
        return {"TransitGatewayAttachments": []}

    def _route53_list_hosted_zones_by_vpc(self, region: str, params: Params) -> dict[str, Any]:
        return {"HostedZoneSummaries": [], "MaxItems": "100"}

    def _directconnect_describe_virtual_interfaces(self, region: str, params: Params) -> dict[str, Any]:
        return {"virtualInterfaces": []}

    def _directconnect_describe_connections(self, region: str, params: Params) -> dict[str, Any]:
        return {"connections": []}

    def _directconnect_describe_direct_connect_gateway_associations(
        self, region: str, params: Params
    ) -> dict[str, Any]:
        return {"directConnectGatewayAssociations": []}


def table_arn(region: str, table: str) -> str:
    """Return a table's ARN."""
    return f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}"


def key_arn(region: str, number: int) -> str:
    """Return a key's ARN."""
    return f"arn:aws:kms:{region}:{ACCOUNT}:key/{number:08x}-1111-4222-8333-444455556666"


def role_arn(number: int) -> str:
    """Return the ARN of the role that uses ten tables."""
    return f"arn:aws:iam::{ACCOUNT}:role/app-{number:04}"


def _allow(actions: str | list[str], resources: str | list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _role(name: str, trust: str, statement: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of RoleDetailList; IAM percent-encodes the documents in it."""
    return {
        "Path": "/",
        "RoleName": name,
        "RoleId": f"AROA{name.upper():X<16}",
        "Arn": f"arn:aws:iam::{ACCOUNT}:role/{name}",
        "CreateDate": "2026-01-31T09:30:00Z",
        "AssumeRolePolicyDocument": urllib.parse.quote(trust),
        "RolePolicyList": [{"PolicyName": "tables", "PolicyDocument": urllib.parse.quote(_policy(statement))}],
        "AttachedManagedPolicies": [],
        "InstanceProfileList": [
            {
                "Path": "/",
                "InstanceProfileName": name,
                "InstanceProfileId": f"AIPA{name.upper():X<16}",
                "Arn": f"arn:aws:iam::{ACCOUNT}:instance-profile/{name}",
                "CreateDate": "2026-01-31T09:30:00Z",
                "Roles": [],
            }
        ],
        "RoleLastUsed": {"LastUsedDate": "2026-01-31T09:30:00Z", "Region": HOME},
    }


def _page(names: list[str], after: str | None, size: int) -> list[str]:
    start = names.index(after) + 1 if after else 0
    return names[start : start + int(size)]


@functools.cache
def model(operation: str) -> OperationModel:
    """Return botocore's model of an operation."""
    service, _, name = operation.partition(":")
    return _session().get_service_model(SERVICES.get(service, service)).operation_model(name)


@functools.cache
def _session() -> Any:
    return botocore.session.Session()


def encode(operation: str, answer: dict[str, Any]) -> bytes:
    """Return an answer as the operation's protocol writes it."""
    shape, protocol = model(operation).output_shape, model(operation).service_model.resolved_protocol
    if shape is None or model(operation).http["method"] == "HEAD":
        return b""
    if protocol == "rest-xml":
        root = shape.members[payload] if (payload := shape.serialization.get("payload")) else shape
        held = answer[payload] if payload else answer
        return _xml(root, held, root.serialization.get("name", root.name)).encode()
    if protocol not in ("ec2", "query"):
        return json.dumps(_wired(shape, answer)).encode()
    name = f"{model(operation).name}Response"
    inner = "".join(_members(shape, answer))
    if protocol == "query":
        inner = f"<{model(operation).name}Result>{inner}</{model(operation).name}Result>"
    return f"<{name}>{inner}<requestId>0</requestId></{name}>".encode()


def _wired(shape: Shape, value: Any) -> Any:
    """Return a value with the names that stand on the wire, which are not those of boto3 everywhere."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        members = shape.members
        return {
            members[name].serialization.get("name", name): _wired(members[name], one) for name, one in value.items()
        }
    if isinstance(shape, ListShape):
        return [_wired(shape.member, one) for one in value]
    if isinstance(shape, MapShape):
        return {key: _wired(shape.value, one) for key, one in value.items()}
    return value


def _members(shape: StructureShape, values: dict[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        member = shape.members[name]
        tag = member.serialization.get("name", name)
        if isinstance(member, ListShape) and member.serialization.get("flattened"):
            yield from (_xml(member.member, one, tag) for one in value)
        else:
            yield _xml(member, value, tag)


def _xml(shape: Shape, value: Any, tag: str) -> str:
    if isinstance(shape, StructureShape):
        inner = "".join(_members(shape, value))
    elif isinstance(shape, ListShape):
        inner = "".join(_xml(shape.member, one, shape.member.serialization.get("name", "member")) for one in value)
    elif isinstance(shape, MapShape):
        entries = [_xml(shape.key, key, "key") + _xml(shape.value, one, "value") for key, one in value.items()]
        inner = "".join(f"<entry>{entry}</entry>" for entry in entries)
    elif isinstance(value, bytes):
        inner = base64.b64encode(value).decode()
    else:
        inner = escape(str(value).lower() if isinstance(value, bool) else str(value))
    return f"<{tag}>{inner}</{tag}>"


def error(protocol: str, code: str) -> bytes:
    """Return an error as a protocol writes it."""
    inner = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    if protocol == "rest-xml":
        return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    if protocol == "ec2":
        return f"<Response><Errors>{inner}</Errors></Response>".encode()
    if protocol == "query":
        return f"<ErrorResponse>{inner}</ErrorResponse>".encode()
    return json.dumps({"__type": code, "message": "no"}).encode()


class Stub:
    """Requests to answers.

    Args:
        tables: Tables in every region.
        clock: Returns seconds.
        empty: Regions without tables.
        accounts: Accounts of the organisation.
        rates: Keep to AWS's rates.
        throttle: Calls in a hundred that are throttled besides, whatever their rate, by chance and the same each time.
    """

    def __init__(
        self,
        tables: int,
        clock: Callable[[], float] = time.monotonic,
        empty: Collection[str] = (),
        accounts: int = 1,
        rates: bool = True,
        throttle: float = 0,
    ) -> None:
        """Start with full buckets, nothing seen."""
        self._world, self._clock = World(tables, empty, accounts), clock
        self._rates, self._throttle, self._chance = rates, throttle / 100, random.Random(1)  # noqa: S311
        self._buckets: dict[tuple[str, str, str], Bucket] = {}
        self._seen: dict[tuple[str, str], Seen] = {}

    def answer(self, operation: str, region: str, params: Params, account: str = ACCOUNT) -> tuple[int, bytes]:
        """Return the HTTP status and the body for one call, that counts against the operation's rate."""
        now, key = self._clock(), (region, operation)
        protocol = model(operation).service_model.resolved_protocol
        seen = self._seen.setdefault(key, Seen(first=now))
        seen.calls, seen.last = seen.calls + 1, now
        bucket = self._buckets.setdefault((account, *key), Bucket(RATES.get(operation, DEFAULT_RATE), at=now))
        if self._chance.random() < self._throttle or (self._rates and not bucket.take(now)):
            seen.throttled += 1
            status, code = THROTTLING[protocol]
            return status, error(protocol, code)
        try:
            answer = self._world.answer(operation, region, params)
            if isinstance(answer.get("Content"), bytes):  # a report, which is encoded once more
                answer["Content"] = answer["Content"].replace(ACCOUNT.encode(), account.encode())
            return 200, encode(operation, answer)
        except Refused as refused:
            return refused.status, error(protocol, refused.code)

    def stats(self) -> dict[str, Any]:
        """Return what was seen, moments relative to the first call, with the rates that were kept to (None: any)."""
        start = min((seen.first for seen in self._seen.values()), default=0.0)
        return {
            "operations": [
                {
                    "region": region,
                    "operation": operation,
                    "calls": seen.calls,
                    "throttled": seen.throttled,
                    "rate": RATES.get(operation, DEFAULT_RATE) if self._rates else None,
                    "first": round(seen.first - start, 3),
                    "last": round(seen.last - start, 3),
                }
                for (region, operation), seen in sorted(self._seen.items())
            ],
            "cpu_seconds": round(time.process_time(), 2),
        }


@functools.cache
def answered() -> frozenset[str]:
    """Return the operations that are answered: those that facts declare, and Prowler's."""
    return declared_operations().union(PEERS_OPERATIONS)


@functools.cache
def routes(service: str) -> list[tuple[str, re.Pattern[str], frozenset[str], str]]:
    """Return the requests of a service whose operations paths tell apart: method, path, query keys, operation.

    The ones with most query keys come first: ``GET /bucket?policyStatus`` is none without it.
    """
    found = []
    for operation in answered():
        if operation.partition(":")[0] != service or not model(operation).service_model.resolved_protocol.startswith(
            "rest"
        ):
            continue
        http = model(operation).http
        path, _, query = http["requestUri"].partition("?")
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path.rstrip("/")))
        keys = frozenset(part.partition("=")[0] for part in query.split("&") if part)
        found.append((http["method"], re.compile(pattern + "/?"), keys, operation))
    return sorted(found, key=lambda one: -len(one[2]))


def parse(path: str, headers: dict[str, str], body: bytes, method: str = "POST") -> tuple[str, str, dict[str, Any]]:
    """Return operation, region and parameters of a request, as its target, action or path and its scope say."""
    scope = headers.get("authorization", "").partition("Credential=")[2].partition(",")[0].split("/")
    region, service = (scope[2], SCOPES.get(scope[3], scope[3])) if len(scope) == 5 else ("", "")
    if "x-amz-target" in headers:
        return f"{service}:{headers['x-amz-target'].rpartition('.')[2]}", region, json.loads(body or b"{}")
    place, _, query = path.partition("?")
    asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    for verb, pattern, keys, operation in routes(service):
        match = pattern.fullmatch(place)
        if verb == method and match and keys <= asked.keys():
            named = {name: urllib.parse.unquote(value) for name, value in match.groupdict().items()}
            return operation, region, {**asked, **named, **(json.loads(body) if body.startswith(b"{") else {})}
    params = dict(urllib.parse.parse_qsl(body.decode()))
    return f"{service}:{params.get('Action', '')}", region, params


def asker(headers: dict[str, str]) -> str:
    """Return the number of the account whose credentials signed a request."""
    key = headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
    return key.removeprefix(TEMPORARY) if key.startswith(TEMPORARY) else ACCOUNT


async def serve(stub: Stub, latency: float, port: int = 0) -> None:
    """Serve until cancelled; prints the port first."""
    known = answered() | {"sts:AssumeRole"}

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path = head.split(" ")[:2]
                if path == "/stats":
                    status, answer = 200, json.dumps(stub.stats()).encode()
                else:
                    # All accounts are alike but for their number, and numbers are equally long.
                    asking = asker(headers)
                    own, this = asking.encode(), ACCOUNT.encode()
                    alike = path.replace(asking, ACCOUNT), body.replace(own, this)
                    operation, region, params = parse(alike[0], headers, alike[1], method)
                    if operation in known:
                        status, answer = stub.answer(operation, region, params, asking)
                        if not operation.startswith(("organizations:", "sts:AssumeRole")):
                            answer = answer.replace(this, own)
                    else:
                        print(f"stub: not answered: {operation} {method} {path}", file=sys.stderr, flush=True)
                        status, answer = 400, error("json", "UnknownOperationException")
                    await asyncio.sleep(latency)
                kind = "text/xml" if answer.startswith(b"<") else "application/x-amz-json-1.0"
                writer.write(
                    f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n"
                    f"x-amz-bucket-region: {HOME}\r\n\r\n".encode()
                    + answer
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", port, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def check(tables: int = 60) -> None:
    """See that every answer has its operation's output shape.

    Raises:
        ValueError: one has not; the message says which and why.
    """
    world = World(tables)
    params = {
        "TableName": world.names[0],
        "ResourceArn": table_arn(HOME, world.names[0]),
        "KeyId": key_arn(HOME, 0),
        "TrailName": "trail",
        "VpcId": "vpc-0a",
        "Attribute": "enableDnsSupport",
        "ChildId": ACCOUNT,
        "TargetId": ROOT,
        "Filter": "SERVICE_CONTROL_POLICY",
        "ParentId": ROOT,
        "PolicyId": "p-FullAWSAccess",
        "Expression": f"SELECT arn WHERE awsRegion = '{HOME}'",
        "ExportArn": f"{table_arn(HOME, world.names[0])}/export/1",
        "IdentityPoolId": f"{HOME}:00000000-1111-4222-8333-444455556666",
    }
    for operation in sorted(answered()):
        try:
            answer = world.answer(operation, HOME, params)
        except Refused:
            continue  # an error has no shape
        report = ParamValidator().validate(answer, model(operation).output_shape)
        if report.has_errors():
            raise ValueError(f"{operation}: {report.generate_report()}")


def main() -> None:
    """Serve, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=1000, help="tables in every region")
    parser.add_argument("--latency-ms", type=float, default=30, help="time until an answer leaves")
    parser.add_argument("--empty", nargs="*", default=[], metavar="REGION", help="regions without tables")
    parser.add_argument("--accounts", type=int, default=1, help="accounts of the organisation, all alike")
    parser.add_argument("--rates", default="aws", choices=["aws", "off"], help="AWS's rates, or none (default aws)")
    parser.add_argument("--throttle", type=float, default=0, metavar="PERCENT", help="calls throttled by chance")
    parser.add_argument("--port", type=int, default=0, help="default: any that is free")
    options = parser.parse_args()
    check()
    stub = Stub(
        options.tables,
        empty=options.empty,
        accounts=options.accounts,
        rates=options.rates == "aws",
        throttle=options.throttle,
    )
    for operation in sorted(answered()):
        model(operation)  # loaded before the clock runs
    asyncio.run(serve(stub, options.latency_ms / 1000, options.port))


if __name__ == "__main__":
    main()
