"""Who may do what in the example organisation: identities, identity pools, resource policies, guardrails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3

from auditor.sources.demo.supplement import Supplement

IRELAND = "eu-west-1"

#: A partner of the shop, in no relation to its organisation.
PARTNER = "999988887777"

Document = dict[str, Any]


def policy(*statements: Mapping[str, Any]) -> Document:
    """Return a policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(*actions: str, on: str | list[str] = "*", **more: Any) -> Document:
    """Return a statement that allows actions; ``more`` are further members, such as Sid or Condition."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def deny(*actions: str, on: str | list[str] = "*", **more: Any) -> Document:
    """Return a statement that denies actions."""
    return allow(*actions, on=on, **more) | {"Effect": "Deny"}


def trust(principal: Any, action: str = "sts:AssumeRole", /, **condition: Any) -> Document:
    """Return a trust policy; ``condition`` is by operator with underscores for colons."""
    statement: Document = {"Effect": "Allow", "Principal": principal, "Action": action}
    if condition:
        statement["Condition"] = {name.replace("_", ":"): value for name, value in condition.items()}
    return policy(statement)


def service(name: str, account: str = "") -> Document:
    """Return a trust policy for an AWS service, confined to an account where one is given."""
    confined = {"StringEquals": {"aws:SourceAccount": account}} if account else {}
    return trust({"Service": f"{name}.amazonaws.com"}, **confined)


GITHUB = "token.actions.githubusercontent.com"
COGNITO = "cognito-identity.amazonaws.com"


def github(account: str, subject: str = "") -> Document:
    """Return a trust policy for GitHub Actions, of one repository where a subject is given."""
    claims = {f"{GITHUB}:aud": "sts.amazonaws.com"}
    more = {"StringLike": {f"{GITHUB}:sub": subject}} if subject else {}
    provider = {"Federated": f"arn:aws:iam::{account}:oidc-provider/{GITHUB}"}
    return trust(provider, "sts:AssumeRoleWithWebIdentity", StringEquals=claims, **more)


def pool_role(pool: str, kind: str) -> Document:
    """Return a trust policy for the identities of a Cognito pool: ``authenticated`` or ``unauthenticated``."""
    return trust(
        {"Federated": COGNITO},
        "sts:AssumeRoleWithWebIdentity",
        StringEquals={f"{COGNITO}:aud": pool},
        ForAnyValue_StringLike={f"{COGNITO}:amr": kind},
    )


#: AWS managed policies that are attached somewhere, as far as they speak about DynamoDB.
MANAGED = {
    "AdministratorAccess": policy(allow("*")),
    "AmazonDynamoDBFullAccess_v2": policy(allow("dynamodb:*", "dax:*")),
    "AmazonDynamoDBReadOnlyAccess": policy(
        allow("dynamodb:BatchGetItem", "dynamodb:Describe*", "dynamodb:List*", "dynamodb:GetItem", "dynamodb:Query",
              "dynamodb:Scan", "dynamodb:PartiQLSelect")
    ),
    "SecurityAudit": policy(allow("dynamodb:Describe*", "dynamodb:List*", "iam:Get*", "iam:List*", "kms:Describe*")),
}  # fmt: skip

READ = ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:DescribeTable")
WRITE = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem")


class People:
    """Plants the identities of one account.

    Args:
        account: Its number.
        session: A session of it.
        supplement: Gets what moto does not hold.
    """

    def __init__(self, account: str, session: boto3.Session, supplement: Supplement) -> None:
        """Make the client."""
        self.account, self.supplement = account, supplement
        self.iam = session.client("iam")
        supplement.managed |= MANAGED

    def table(self, name: str, region: str = IRELAND) -> str:
        """Return the ARN of a table of the account."""
        return f"arn:aws:dynamodb:{region}:{self.account}:table/{name}"

    def managed_policy(self, name: str, *statements: Document) -> str:
        """Make a customer managed policy and return its ARN."""
        made = self.iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(policy(*statements)))
        arn: str = made["Policy"]["Arn"]
        return arn

    def role(
        self, name: str, trusted: Document, *statements: Document, path: str = "/", aws: tuple[str, ...] = ()
    ) -> str:
        """Make a role with a customer managed policy of its name, and return its ARN."""
        made = self.iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trusted))["Role"]
        if statements:
            self.iam.attach_role_policy(RoleName=name, PolicyArn=self.managed_policy(f"{name}-access", *statements))
        if aws:
            self.supplement.attached[made["Arn"]] = list(aws)
        arn: str = made["Arn"]
        return arn

    def user(self, name: str, *, key: bool = False, groups: tuple[str, ...] = (), aws: tuple[str, ...] = ()) -> str:
        """Make a user and return its ARN."""
        arn: str = self.iam.create_user(UserName=name)["User"]["Arn"]
        if key:
            self.iam.create_access_key(UserName=name)
        for group in groups:
            self.iam.add_user_to_group(GroupName=group, UserName=name)
        if aws:
            self.supplement.attached[arn] = list(aws)
        return arn

    def group(self, name: str, *statements: Document) -> None:
        """Make a group with a customer managed policy of its name."""
        self.iam.create_group(GroupName=name)
        if statements:
            self.iam.attach_group_policy(GroupName=name, PolicyArn=self.managed_policy(f"{name}-access", *statements))

    def common(self) -> None:
        """Make what every account has: the administrators' and the auditor's role, and a service-linked one."""
        saml = {"Federated": f"arn:aws:iam::{self.account}:saml-provider/AWSSSO_0a1b2c3d_DO_NOT_DELETE"}
        audience = {"SAML:aud": "https://signin.aws.amazon.com/saml"}
        self.role(
            "AWSReservedSSO_AdministratorAccess_0a1b2c3d4e5f6a7b",
            trust(saml, "sts:AssumeRoleWithSAML", StringEquals=audience),
            path="/aws-reserved/sso.amazonaws.com/",
            aws=("AdministratorAccess",),
        )
        self.role("auditor", trust({"AWS": f"arn:aws:iam::{self.account}:root"}), aws=("SecurityAudit",))
        self.iam.create_service_linked_role(AWSServiceName="replication.dynamodb.amazonaws.com")


def management(people: People) -> None:
    """Plant the identities of the management account."""
    people.common()
    people.role("billing-export", service("lambda"), allow(*READ, on=people.table("billing-reports")))


def production(people: People, session: boto3.Session, supplement: Supplement) -> None:
    """Plant the identities of the production account: most are as they should be, each flaw stands once."""
    people.common()
    orders, customers = people.table("orders"), people.table("customers")
    through = {"StringLike": {"kms:ViaService": "dynamodb.*.amazonaws.com"}}
    people.role(
        "orders-api",
        service("lambda"),
        allow(*READ, *WRITE, on=[orders, f"{orders}/index/*"], Sid="Orders"),
        allow("kms:Decrypt", on=f"arn:aws:kms:*:{people.account}:key/*", Sid="KeyOfOrders", Condition=through),
    )
    people.role("reporting", service("glue"), allow("dynamodb:Scan", "dynamodb:Query", Sid="EverythingForReports"))
    people.role("support-tool", service("ec2"), aws=("AmazonDynamoDBFullAccess_v2",))
    people.role(
        "deploy",
        github(people.account, "repo:shop/infrastructure:ref:refs/heads/main"),
        allow("dynamodb:CreateTable", "dynamodb:UpdateTable", "dynamodb:DescribeTable", on=people.table("*")),
    )
    people.role("nightly-export", github(people.account), allow("dynamodb:Scan", on=people.table("product-catalog")))
    people.role("BreakGlass", trust({"AWS": "arn:aws:iam::111122223333:root"}), allow("dynamodb:DeleteTable"))
    people.role(
        "partner-sync",
        trust({"AWS": f"arn:aws:iam::{PARTNER}:root"}),
        allow("dynamodb:GetItem", on=people.table("prices")),
    )
    people.role(
        "catalog-cache-dax", service("dax", people.account), allow(*READ, on=people.table("product-catalog") + "*")
    )
    people.role("session-cache-dax", service("dax", people.account), allow(*READ, *WRITE))
    people.role("stock-cache-dax", service("dax"), allow(*READ, on=people.table("inventory")))
    people.role(
        "stock-api",
        service("ecs-tasks"),
        allow("dax:GetItem", "dax:Query", on=f"arn:aws:dax:{IRELAND}:{people.account}:cache/stock-cache"),
    )
    people.group("ci", allow("dynamodb:GetItem", "dynamodb:PutItem", on=people.table("terraform-locks")))
    people.group("console", allow("cloudwatch:Get*", "cloudwatch:List*"))
    people.user("jenkins", key=True, groups=("ci",))
    people.user("ann", groups=("console",))
    people.iam.put_user_policy(
        UserName="jenkins", PolicyName="locks", PolicyDocument=json.dumps(policy(allow("dynamodb:DeleteItem")))
    )
    _pools(people, session, supplement, customers)


def _pools(people: People, session: boto3.Session, supplement: Supplement, customers: str) -> None:
    cognito = session.client("cognito-identity", region_name=IRELAND)
    own = {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [f"${{{COGNITO}:sub}}"]},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }
    for name, guests in (("shop-app", False), ("shop-web", True)):
        pool = cognito.create_identity_pool(IdentityPoolName=name, AllowUnauthenticatedIdentities=guests)
        pool_id = pool["IdentityPoolId"]
        supplement.pools[pool_id] = {"AllowClassicFlow": False}
        items = ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query")
        statement = (
            allow(*items, "dynamodb:Scan", on=customers) if guests else allow(*items, on=customers, Condition=own)
        )
        roles = {"authenticated": people.role(f"{name}-users", pool_role(pool_id, "authenticated"), statement)}
        if guests:
            roles["unauthenticated"] = people.role(
                f"{name}-guests",
                pool_role(pool_id, "unauthenticated"),
                allow("dynamodb:GetItem", "dynamodb:Query", on=people.table("product-catalog")),
            )
        supplement.pool_roles[pool_id] = {"Roles": roles}


def sandbox(people: People) -> None:
    """Plant the identities of the sandbox account: users with keys, as it grew."""
    people.common()
    people.role("try-dax-dax", trust({"Service": ["dax.amazonaws.com", "ec2.amazonaws.com"]}), allow("dynamodb:*"))
    people.role("jump", trust({"AWS": "*"}), allow("dynamodb:*", on=people.table("*")))
    for name in ("alice", "bob", "carol", "dave", "erin", "frank"):
        people.user(name, key=True, aws=("AmazonDynamoDBReadOnlyAccess",))


def organisation(session: boto3.Session, management_account: str, members: Mapping[str, str]) -> None:
    """Make the organisation with its guardrails; production's unit has them, the sandbox's has none.

    Args:
        session: A session of the management account.
        management_account: Its number.
        members: Number -> name of the other accounts.
    """
    from moto.organizations.models import organizations_backends

    client = session.client("organizations", region_name="us-east-1")
    client.create_organization(FeatureSet="ALL")
    root = client.list_roots()["Roots"][0]["Id"]
    for kind in ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"):
        client.enable_policy_type(RootId=root, PolicyType=kind)
    units = {}
    for number, name in members.items():
        made = client.create_account(AccountName=name, Email=f"{name}@shop.example")["CreateAccountStatus"]
        backend = organizations_backends[management_account]["aws"]
        next(one for one in backend.accounts if one.id == made["AccountId"]).id = number
        units[name] = client.create_organizational_unit(ParentId=root, Name=name)["OrganizationalUnit"]["Id"]
        client.move_account(AccountId=number, SourceParentId=root, DestinationParentId=units[name])
    for name, statements in GUARDRAILS.items():
        made = client.create_policy(
            Name=name, Description=name, Type="SERVICE_CONTROL_POLICY", Content=json.dumps(policy(*statements))
        )["Policy"]["PolicySummary"]
        client.attach_policy(PolicyId=made["Id"], TargetId=units["production"])


_BREAK_GLASS = {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/BreakGlass"}}

#: The SCPs of the production unit.
GUARDRAILS: dict[str, tuple[Document, ...]] = {
    "keep-tables": (
        deny("dynamodb:DeleteTable", "dynamodb:DeleteTableReplica", "dynamodb:DeleteBackup", Sid="KeepTables",
             Condition=_BREAK_GLASS),
        deny("dynamodb:CreateTable", "dynamodb:ImportTable", "dynamodb:RestoreTable*", Sid="TaggedTables",
             Condition={"Null": {"aws:RequestTag/owner": "true"}}),
    ),
    "european-regions": (
        deny("dynamodb:*", "dax:*", Sid="RegionLock",
             Condition={"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}),
        {
            "Sid": "ReplicaLock", "Effect": "Deny",
            "Action": ["dynamodb:CreateTableReplica", "dynamodb:CreateGlobalTableWitness",
                       "dynamodb:AssociateTableReplica"],
            "NotResource": ["arn:aws:dynamodb:eu-west-1:*:table/*", "arn:aws:dynamodb:eu-central-1:*:table/*"],
        },
    ),
    "keep-watch": (
        deny("cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "config:StopConfigurationRecorder",
             "config:DeleteConfigurationRecorder", "guardduty:DeleteDetector", "organizations:LeaveOrganization",
             "dynamodb:UpdateContinuousBackups", "kms:ScheduleKeyDeletion", Sid="KeepWatch"),
    ),
}  # fmt: skip


def resource_policies(
    account: str, session: boto3.Session, supplement: Supplement, endpoint: str, security: str
) -> None:
    """Put policies on tables: one that confines, one that is public, one for a stranger, one for a friend.

    Args:
        account: Production's number.
        session: A session of it.
        supplement: Gets what moto does not hold.
        endpoint: The VPC endpoint that orders may be reached through.
        security: Number of the security account, which is trusted.
    """
    dynamodb = session.client("dynamodb", region_name=IRELAND)
    arn = f"arn:aws:dynamodb:{IRELAND}:{account}:table/"
    outside = {
        "StringNotEqualsIfExists": {"aws:SourceVpce": endpoint},
        "BoolIfExists": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"},
        "ArnNotLikeIfExists": {"aws:PrincipalArn": f"arn:aws:iam::{account}:role/BreakGlass"},
    }
    policies = {
        "orders": deny("dynamodb:*", on=f"{arn}orders", Sid="OnlyThroughTheShop", Principal="*", Condition=outside),
        "recommendations": allow(
            "dynamodb:GetItem",
            on=f"{arn}recommendations",
            Sid="AnyoneOrUs",
            Principal="*",
            Condition={"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-shop"}},
        ),
        "prices": allow("dynamodb:GetItem", "dynamodb:Query", on=f"{arn}prices", Sid="Partner",
                        Principal={"AWS": f"arn:aws:iam::{PARTNER}:root"}),
        "shipments": allow("dynamodb:DescribeTable", on=f"{arn}shipments", Sid="Security",
                           Principal={"AWS": f"arn:aws:iam::{security}:role/inventory"}),
    }  # fmt: skip
    for name, statement in policies.items():
        dynamodb.put_resource_policy(ResourceArn=arn + name, Policy=json.dumps(policy(statement)))
    stream = f"{arn}inventory/stream/2026-01-15T08:00:00.000"
    supplement.tables[f"{arn}inventory"] = {
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        "LatestStreamArn": stream,
        "LatestStreamLabel": "2026-01-15T08:00:00.000",
    }
    supplement.stream_policies[stream] = json.dumps(
        policy(allow("dynamodb:GetRecords", on=stream, Principal={"AWS": f"arn:aws:iam::{security}:role/inventory"}))
    )


def key_policies(session: boto3.Session, keys: Mapping[tuple[str, str], str]) -> None:
    """Let the partner decrypt with the key of the statements; the others keep KMS's own policy."""
    arn = keys["statements", IRELAND]
    account = arn.split(":")[4]
    document = policy(
        allow("kms:*", Sid="Account", Principal={"AWS": f"arn:aws:iam::{account}:root"}),
        allow("kms:Decrypt", Sid="Partner", Principal={"AWS": f"arn:aws:iam::{PARTNER}:root"}),
    )
    session.client("kms", region_name=IRELAND).put_key_policy(
        KeyId=arn, PolicyName="default", Policy=json.dumps(document)
    )


def endpoint_policy(account: str) -> str:
    """Return the policy of an endpoint that serves the account's own principals and tables only."""
    own = {"StringEquals": {"aws:PrincipalAccount": account, "aws:ResourceAccount": account}}
    return json.dumps(policy(allow("dynamodb:*", Principal="*", Condition=own)))
