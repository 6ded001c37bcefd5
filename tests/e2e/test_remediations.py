"""Remediations are real: their own commands, run by the AWS CLI against what fails, make the next audit pass.

The example organisation is audited, every command below is run as a reader would paste it, with the placeholders as
shell variables, and the organisation is audited again.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.loaders import Loader

from auditor import engine, packs, placeholders
from auditor.engine import Judgement, judge
from auditor.inventory import Caller
from auditor.report import Finding
from auditor.resources import Account, account_of, region_of
from auditor.rule_api import Status
from auditor.sources import demo
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access
from tests.e2e.conftest import Server
from tests.example import settings

RULES = packs.built_in()

Values = Mapping[str, str]

MANAGEMENT, PRODUCTION, SANDBOX = "111122223333", "444455556666", "777788889999"
IRELAND = "eu-west-1"


def nothing(_session: boto3.Session, _finding: Finding) -> Values:
    return {}


@dataclass(frozen=True)
class Case:
    """How a remediation is tried.

    Attributes:
        account: The account whose resource fails.
        name: The resource's name; an empty text: the first that fails.
        saying: A part of the finding's message.
        operator: The account that runs the commands, where it is another one.
        lines: Which of the remediation's commands to run, by position; None: all.
        values: Placeholders that the resource does not answer, asked for before each command.
        files: Documents that the commands name, by file name.
        prepare: Makes the failing state, where the example organisation has none in moto.
        instead: The name of the resource that takes the failing one's place.
        after: What the rule says then.
    """

    account: str = PRODUCTION
    name: str = ""
    saying: str = ""
    operator: str = ""
    lines: tuple[int, ...] | None = None
    values: Callable[[boto3.Session, Finding], Values] = nothing
    files: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[boto3.Session], None] | None = None
    instead: str = ""
    after: Status = Status.PASS


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(*actions: str, on: str | list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), **({"Resource": on} if on else {}), **more}


def deny(*actions: str, on: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": list(actions), "Resource": on, **more}


def fixed(**values: str) -> Callable[[boto3.Session, Finding], Values]:
    return lambda _session, _finding: values


def named_policy(name: str) -> Callable[[boto3.Session, Finding], Values]:
    """Return the id of an SCP that a command before has made."""

    def found(session: boto3.Session, finding: Finding) -> Values:
        listed = session.client("organizations").list_policies(Filter="SERVICE_CONTROL_POLICY")["Policies"]
        ids = [one["Id"] for one in listed if one["Name"] == name]
        return {"TARGET_ID": account_of(finding.resource).id} | ({"POLICY_ID": ids[0]} if ids else {})

    return found


def table(name: str, account: str = PRODUCTION) -> str:
    return f"arn:aws:dynamodb:{IRELAND}:{account}:table/{name}"


def access_policy(session: boto3.Session, finding: Finding) -> Values:
    """Return the customer managed policy that the example organisation attaches to a role."""
    arn = f"arn:aws:iam::{account_of(finding.resource).id}:policy/{finding.resource.label}-access"
    return {"POLICY_ARN": arn, "PRINCIPAL_ARN": finding.resource.arn}


def doomed_key(session: boto3.Session) -> None:
    """Make a table whose key is going to be deleted."""
    kms = session.client("kms", region_name=IRELAND)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    session.client("dynamodb", region_name=IRELAND).create_table(
        TableName="doomed",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
    )
    kms.schedule_key_deletion(KeyId=key.rpartition("/")[2])  # moto knows a key by its id here


def stream_for_nobody(session: boto3.Session) -> None:
    session.client("dynamodb", region_name=IRELAND).update_table(
        TableName="sessions", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    )


def open_bucket(session: boto3.Session) -> None:
    s3 = session.client("s3", region_name=IRELAND)
    s3.delete_public_access_block(Bucket="shop-exports")
    everybody = allow("s3:GetObject", on="arn:aws:s3:::shop-exports/*", Principal="*")
    s3.put_bucket_policy(Bucket="shop-exports", Policy=json.dumps(document(everybody)))


def cache_groups(session: boto3.Session, finding: Finding) -> Values:
    """Return the security group that opens a cache to everybody, and the one of its clients."""
    ec2 = session.client("ec2", region_name=IRELAND)
    group = next(word for word in finding.message.split() if word.startswith("sg-"))
    vpc = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["VpcId"]
    held = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    clients = next(one["GroupId"] for one in held if one["GroupId"] != group)
    return {"DAX_GROUP": group, "CLIENT_GROUP": clients, "PORT": "9111"}


def endpoint_group(session: boto3.Session, finding: Finding) -> Values:
    """Return what confines the interface endpoint in Frankfurt: group, VPC, the zone in its way, further subnets."""
    ec2 = session.client("ec2", region_name="eu-central-1")
    (endpoint,) = ec2.describe_vpc_endpoints(VpcEndpointIds=[finding.resource.label])["VpcEndpoints"]
    (vpc,) = ec2.describe_vpcs(VpcIds=[endpoint["VpcId"]])["Vpcs"]
    groups = ec2.describe_security_groups(GroupIds=[one["GroupId"] for one in endpoint["Groups"]])["SecurityGroups"]
    zones = session.client("route53").list_hosted_zones_by_vpc(VPCId=vpc["VpcId"], VPCRegion="eu-central-1")
    subnets = [
        ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=f"10.50.{number}.0/24", AvailabilityZone=f"eu-central-1{zone}")[
            "Subnet"
        ]["SubnetId"]
        for number, zone in enumerate("bc", next(_NUMBERS) * 2)
    ]
    return {
        "SECURITY_GROUP": next(one["GroupId"] for one in groups if one["GroupName"] == "everything"),
        "VPC": vpc["VpcId"],
        "VPC_CIDR": vpc["CidrBlock"],
        "HOSTED_ZONE": next((one["HostedZoneId"] for one in zones["HostedZoneSummaries"]), "none"),
        "SUBNET_B": subnets[0],
        "SUBNET_C": subnets[1],
    }


#: Numbers of subnets that no case has taken.
_NUMBERS = itertools.count(50)


def routes_of_subnet(session: boto3.Session, finding: Finding) -> Values:
    ec2 = session.client("ec2", region_name=IRELAND)
    (subnet,) = ec2.describe_subnets(SubnetIds=[finding.resource.label])["Subnets"]
    by_subnet = [{"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}]
    tables = ec2.describe_route_tables(Filters=by_subnet)["RouteTables"]
    return {"VPC": subnet["VpcId"], "ROUTE_TABLES": tables[0]["RouteTableId"]}


def routes_without_endpoint(session: boto3.Session, finding: Finding) -> Values:
    ec2 = session.client("ec2", region_name=IRELAND)
    by_vpc = [{"Name": "vpc-id", "Values": [finding.resource.label]}]
    endpoint = ec2.describe_vpc_endpoints(Filters=by_vpc)["VpcEndpoints"][0]
    tables = [one["RouteTableId"] for one in ec2.describe_route_tables(Filters=by_vpc)["RouteTables"]]
    missing = sorted(set(tables) - set(endpoint["RouteTableIds"]))
    return {"ENDPOINT": endpoint["VpcEndpointId"], "ROUTE_TABLE": " ".join(missing)}


def revision(session: boto3.Session, finding: Finding) -> Values:
    held = session.client("dynamodb", region_name=IRELAND).get_resource_policy(ResourceArn=finding.resource.arn)
    return {"REVISION_ID": held["RevisionId"]}


def trail_parts(session: boto3.Session, _finding: Finding) -> Values:
    session.client("s3", region_name="us-east-1").create_bucket(Bucket="shop-sandbox-all-regions")
    key = session.client("kms", region_name=IRELAND).create_key()["KeyMetadata"]["Arn"]
    return {"TRAIL_NAME": "all-regions", "BUCKET": "shop-sandbox-all-regions", "TRAIL_KEY_ARN": key}


def alerts(session: boto3.Session, finding: Finding) -> Values:
    """Make a topic that CloudWatch and EventBridge may publish to, and let the trail of Ireland fill a log group."""
    region = region_of(finding.resource)
    assert region is not None
    sns, logs = session.client("sns", region_name=region.name), session.client("logs", region_name=IRELAND)
    arn = sns.create_topic(Name="alerts")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="soc@shop.example")
    services = {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]}
    policy = json.dumps(document(allow("sns:Publish", on=arn, Principal=services)))
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
    trail = session.client("cloudtrail", region_name=IRELAND)
    (audit_trail,) = trail.describe_trails(includeShadowTrails=False)["trailList"]
    group = audit_trail.get("CloudWatchLogsLogGroupArn", "")
    if not group:
        logs.create_log_group(logGroupName="trail")
        number = account_of(finding.resource).id
        group = f"arn:aws:logs:{IRELAND}:{number}:log-group:trail:*"
        trail.update_trail(
            Name=audit_trail["Name"],
            CloudWatchLogsLogGroupArn=group,
            CloudWatchLogsRoleArn=f"arn:aws:iam::{number}:role/trail",
        )
    return {"TOPIC_ARN": arn, "TRAIL_LOG_GROUP": group.split(":")[6], "TRAIL_REGION": IRELAND}


PLATFORM_TOPIC = f"arn:aws:sns:eu-central-1:{PRODUCTION}:platform"


def key_of_jenkins(session: boto3.Session, _finding: Finding) -> Values:
    keys = session.client("iam").list_access_keys(UserName="jenkins")["AccessKeyMetadata"]
    return {
        "ACCESS_KEY_ID": keys[0]["AccessKeyId"],
        "GROUP_NAME": "ci",
        "POLICY_NAME": "locks",
    }


def key_of_frank(session: boto3.Session, _finding: Finding) -> Values:
    keys = session.client("iam").list_access_keys(UserName="frank")["AccessKeyMetadata"]
    return {"USER_NAME": "frank", "ACCESS_KEY_ID": keys[0]["AccessKeyId"] if keys else "AKIAIOSFODNN7EXAMPLE"}


READ = ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:DescribeTable")
DAX_TRUST = document(
    allow(
        "sts:AssumeRole",
        Principal={"Service": "dax.amazonaws.com"},
        Condition={"StringEquals": {"aws:SourceAccount": SANDBOX}},
    )
)
NEW_CLUSTER = {
    "DAX_ROLE": f"arn:aws:iam::{PRODUCTION}:role/catalog-cache-dax",
    "SUBNET_GROUP": "private",
    "SECURITY_GROUP": "sg-1",
}
EXPECTED_NETWORKS = document(
    deny(
        "dynamodb:*",
        on=table("invoices"),
        Principal="*",
        Condition={
            "StringNotEqualsIfExists": {"aws:SourceVpc": "vpc-1"},
            "BoolIfExists": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"},
        },
    )
)
BREAK_GLASS = {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/BreakGlass"}}

CASES: dict[str, Case] = {
    "alarm-control-weakening": Case(name="eu-central-1", values=alerts),
    "alarm-data-exfiltration": Case(name="us-east-1", values=alerts),
    "alarm-delivery": Case(
        name="table-exfiltration",
        lines=(0, 1),
        values=fixed(TOPIC_ARN=PLATFORM_TOPIC),
        files={
            "topic-policy.json": document(
                allow("sns:Publish", on=PLATFORM_TOPIC, Principal={"Service": "events.amazonaws.com"})
            )
        },
    ),
    "alarm-kms-key-tampering": Case(MANAGEMENT, IRELAND, values=alerts),
    "alarm-table-deletion": Case(SANDBOX, IRELAND, values=alerts),
    "alarm-unauthorized-calls": Case(SANDBOX, IRELAND, values=alerts),
    "dax-encryption-at-rest": Case(
        name="stock-cache", values=fixed(NEW_CLUSTER="stock-cache-2", **NEW_CLUSTER), instead="stock-cache-2"
    ),
    "dax-encryption-in-transit": Case(
        name="session-cache", values=fixed(NEW_CLUSTER="session-cache-2", **NEW_CLUSTER), instead="session-cache-2"
    ),
    "dax-role-read-only": Case(
        name="session-cache-dax",
        values=access_policy,
        files={"read-tables.json": document(allow(*READ, on=table("sessions")))},
    ),
    "dax-role-scope": Case(
        SANDBOX,
        "try-dax-dax",
        values=access_policy,
        files={
            "dax-trust.json": DAX_TRUST,
            "read-tables.json": document(allow(*READ, on=table("alice-test", SANDBOX))),
        },
    ),
    "dax-security-group": Case(name="stock-cache", lines=(0, 1), values=cache_groups),
    "data-client-side-encryption": Case(name="contracts", lines=(5,), values=fixed(HOW_IT_ENCRYPTS="vault-transit")),
    "detect-config-recorder": Case(
        SANDBOX, IRELAND, values=fixed(ROLE_ARN=f"arn:aws:iam::{SANDBOX}:role/config", BUCKET="shop-config-history")
    ),
    "detect-config-rules": Case(SANDBOX, "eu-central-1"),
    "detect-guardduty": Case(SANDBOX, "eu-central-1"),
    "export-destination": Case(
        name="shop-exports", lines=(0,), prepare=open_bucket, values=fixed(BUCKET="shop-exports")
    ),
    "export-encryption": Case(name="shop-adhoc", values=fixed(BUCKET="shop-adhoc")),
    "iam-destructive-actions": Case(
        name="orders",
        values=fixed(ROLE_NAME="support-tool"),
        files={
            "no-table-destruction.json": document(
                allow("*", on="*"),
                deny(
                    "dynamodb:Delete*", "dynamodb:Update*", "dynamodb:Disable*", "dynamodb:Restore*", "dynamodb:*Policy"
                ),
            )
        },
    ),
    "iam-fgac": Case(
        name="shop-web-users",
        values=access_policy,
        files={
            "own-items.json": document(
                allow(
                    "dynamodb:GetItem",
                    "dynamodb:PutItem",
                    on=table("customers"),
                    Condition={
                        "ForAllValues:StringEquals": {
                            "dynamodb:LeadingKeys": ["${cognito-identity.amazonaws.com:sub}"]
                        },
                        "Null": {"dynamodb:LeadingKeys": "false"},
                    },
                )
            )
        },
    ),
    "iam-inline-policies": Case(name="jenkins", values=fixed(POLICY_NAME="locks")),
    "iam-role-trust": Case(
        SANDBOX,
        "jump",
        files={
            "trust-policy.json": document(
                allow("sts:AssumeRole", Principal={"AWS": f"arn:aws:iam::{SANDBOX}:role/auditor"})
            )
        },
    ),
    "iam-user-dynamodb-access": Case(name="jenkins", lines=(0, 1), values=key_of_jenkins),
    "iam-user-limit": Case(SANDBOX, values=key_of_frank),
    "iam-wildcard-permissions": Case(
        name="reporting",
        lines=(1,),
        values=access_policy,
        files={"named-tables.json": document(allow("dynamodb:Scan", "dynamodb:Query", on=table("orders")))},
    ),
    "iam-workload-roles": Case(saying="no instance profile", lines=(0,), values=fixed(PROFILE="shop-web")),
    "network-interface-endpoint": Case(lines=(0, 1, 4, 5), values=endpoint_group),
    "kms-key-policy": Case(
        lines=(0,),
        files={
            "key-policy.json": document(allow("kms:*", on="*", Principal={"AWS": f"arn:aws:iam::{PRODUCTION}:root"}))
        },
    ),
    "kms-key-rotation": Case(saying="rotation is off"),
    "kms-key-usable": Case(MANAGEMENT, prepare=doomed_key),
    "network-endpoint-policy": Case(
        files={
            "endpoint-policy.json": document(
                allow(
                    "dynamodb:*",
                    on="*",
                    Principal="*",
                    Condition={"StringEquals": {"aws:PrincipalAccount": PRODUCTION, "aws:ResourceAccount": PRODUCTION}},
                )
            )
        }
    ),
    "network-subnet-path": Case(SANDBOX, values=routes_of_subnet),
    "network-vpc-endpoint": Case(saying="route tables do not use", values=routes_without_endpoint),
    "network-vpce-enforced": Case(name="invoices", files={"expected-networks.json": EXPECTED_NETWORKS}),
    "org-deny-table-deletion": Case(
        SANDBOX,
        operator=MANAGEMENT,
        values=named_policy("dynamodb-no-deletion"),
        files={
            "dynamodb-no-deletion.json": document(
                deny(
                    "dynamodb:DeleteTable",
                    "dynamodb:DeleteTableReplica",
                    "dynamodb:DeleteBackup",
                    Condition=BREAK_GLASS,
                )
            )
        },
    ),
    "org-protect-guardrails": Case(
        SANDBOX,
        operator=MANAGEMENT,
        values=named_policy("protect-guardrails"),
        files={
            "protect-guardrails.json": document(
                deny(
                    "cloudtrail:StopLogging",
                    "cloudtrail:DeleteTrail",
                    "config:StopConfigurationRecorder",
                    "config:DeleteConfigurationRecorder",
                    "guardduty:DeleteDetector",
                    "organizations:LeaveOrganization",
                    "dynamodb:UpdateContinuousBackups",
                    "kms:ScheduleKeyDeletion",
                )
            )
        },
    ),
    "org-restrict-table-creation": Case(
        SANDBOX,
        operator=MANAGEMENT,
        values=named_policy("dynamodb-tagged-creation"),
        files={
            "dynamodb-tagged-creation.json": document(
                deny(
                    "dynamodb:CreateTable",
                    "dynamodb:ImportTable",
                    "dynamodb:RestoreTable*",
                    Condition={"Null": {"aws:RequestTag/owner": "true"}},
                )
            )
        },
    ),
    "org-region-lock": Case(SANDBOX, operator=MANAGEMENT, values=named_policy("european-regions")),
    "residency-classification-region": Case(name="subscriptions"),
    "table-backup-recent": Case(name="sessions"),
    "table-capacity-scaling": Case(SANDBOX),
    "table-change-data-capture": Case(
        name="sessions", lines=(2,), prepare=stream_for_nobody, after=Status.NOT_APPLICABLE
    ),
    "table-deletion-protection": Case(name="sessions"),
    "table-pitr": Case(name="sessions"),
    "table-required-tags": Case(name="sessions", lines=(0,)),
    "table-resource-policy-cross-account": Case(
        name="prices",
        values=revision,
        files={
            "table-policy.json": document(
                allow("dynamodb:GetItem", on=table("prices"), Principal={"AWS": f"arn:aws:iam::{MANAGEMENT}:root"})
            )
        },
    ),
    "table-resource-policy-public": Case(name="recommendations"),
    "trail-data-events": Case(name="refunds", values=fixed(TRAIL_NAME="production", TRAIL_REGION=IRELAND)),
    "trail-management-logging": Case(SANDBOX, "eu-central-1", values=trail_parts),
}

#: Rules whose failing state, or its remedy, moto does not hold, and why.
NOT_HELD: dict[str, str] = {
    "data-sensitive-storage": "the remedy is to move data to another database, or to encrypt it in the application",
    "data-two-sided-protection": "its members are tried, and the remedy of one is in the application",
    "dax-multi-az": "moto does not place the nodes of DAX in zones",
    "iam-root-usage": "moto has no root user with keys",
    "network-hybrid-connectivity": "moto's tunnels are never up",
    "dax-vpc-placement": "moto knows no subnet groups of DAX",
    "detect-access-analyzer": "moto has no Access Analyzer",
    "iam-cognito-unauthenticated": "moto does not keep the roles of identity pools",
    "iam-full-access-policies": "moto has AWS's managed policies only all at once, so the organisation adds its own",
    "org-membership": "the remedy is to move tables to another account",
    "residency-region-baseline": "its members are tried, and moto has no Access Analyzer",
    "residency-replica-region": "moto keeps no replicas",
    "residency-table-region": "the remedy is to move a table to another region",
    "table-encryption-key": "moto's UpdateTable leaves the key as it is",
    "table-replica-parity": "moto keeps no replicas",
}


@dataclass
class Outcome:
    """What came of a case."""

    after: list[Finding]
    output: str
    code: int


def audit(accounts: tuple[demo.DemoAccount, ...]) -> Judgement:
    accesses = [Access(Account(one.id), one.name, one.session, Pacer("off")) for one in accounts]
    config = settings()
    made = collect(
        accesses, Caller(accounts[0].id, "arn"), list(demo.REGIONS), engine.wanted(RULES.values()),
        sampling=config.sampling,
    )  # fmt: skip
    return judge(made, RULES, config)


def failing(judgement: Judgement, rule: str, case: Case) -> Finding | None:
    """Return the failure that a case is about."""
    found = (
        one
        for one in judgement.findings
        if one.rule == rule
        and one.status is Status.FAIL
        and account_of(one.resource).id == case.account
        and case.name in ("", one.resource.label)
        and case.saying in one.message
    )
    return next(found, None)


def about(judgement: Judgement, finding: Finding, case: Case) -> list[Finding]:
    """Return what the finding's rule says of its resource, or of the one in its place."""
    return [
        one
        for one in judgement.findings
        if one.rule == finding.rule
        and (one.resource.label == case.instead if case.instead else one.resource == finding.resource)
    ]


def run(rule: str, case: Case, finding: Finding, owner: boto3.Session, url: str, folder: Path) -> tuple[int, str]:
    """Run a remediation's commands as a reader would; return the exit code and what was printed."""
    commands = RULES[rule].remediation.cli.replace("\\\n", " ").splitlines()
    chosen = commands if case.lines is None else [commands[index] for index in case.lines]
    folder.mkdir()
    for name, held in case.files.items():
        (folder / name).write_text(json.dumps(held))
    told = ""
    for command in chosen:
        code, printed = shell(command, case, finding, owner, url, folder)
        told += f"$ {command}\n{printed}"
        if code:
            return code, told
    return 0, told


def shell(command: str, case: Case, finding: Finding, owner: boto3.Session, url: str, folder: Path) -> tuple[int, str]:
    values = {**placeholders.answers(finding.resource), **case.values(owner, finding)}
    credentials = owner.get_credentials()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_PAGER": "",
        **values,
    }
    done = subprocess.run(  # noqa: S603 - the remediation under test
        ["/bin/sh", "-eu", "-c", command],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """Audit, remedy everything, audit again: whatever one remedy does to another case's resource is a remedy too."""
    folder = tmp_path_factory.mktemp("remediations")
    with demo.organisation() as accounts:
        # The organisation's own sessions only read.
        owners = {one.id: demo._session(one.id, Loader()) for one in accounts}
        for case in CASES.values():
            if case.prepare:
                case.prepare(owners[case.account])
        server = Server()
        first = audit(accounts)
        found = {rule: failing(first, rule, case) for rule, case in CASES.items()}
        done = {
            rule: run(
                rule, CASES[rule], finding, owners[CASES[rule].operator or CASES[rule].account], server.url,
                folder / rule,
            )
            for rule, finding in found.items()
            if finding is not None
        }  # fmt: skip
        second = audit(accounts)
        server.stop()
    return {
        rule: Outcome(about(second, finding, CASES[rule]), done[rule][1], done[rule][0])
        for rule, finding in found.items()
        if finding is not None
    }


@pytest.mark.parametrize("rule", CASES)
def test_its_commands_mend_what_fails(rule: str, outcomes: Mapping[str, Outcome]) -> None:
    assert rule in outcomes, "nothing fails that could be mended"
    outcome = outcomes[rule]
    assert outcome.code == 0, outcome.output
    told = [f"{one.status}: {one.message}" for one in outcome.after]
    assert {one.status for one in outcome.after} == {CASES[rule].after}, (told, outcome.output)


def test_every_rule_is_tried_or_says_why_it_cannot_be() -> None:
    assert not set(CASES) & set(NOT_HELD)
    assert set(CASES) | set(NOT_HELD) == set(RULES)
