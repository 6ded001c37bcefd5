from collections.abc import Mapping
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access.holdings import DATA_READ, DATA_WRITE, DAX_DATA, DESTRUCTIVE, PERMISSION
from auditor.analysis.compute import hosts_containers, role_of
from auditor.facts import (
    FunctionInfo,
    Functions,
    Gap,
    Holdings,
    Identities,
    InstanceInfo,
    Instances,
    NetworkInterfaces,
    Reason,
    RoleInfo,
    RouteTables,
    SubnetPath,
)
from auditor.resources import Function, Instance, Subnet

ACTIONS = DATA_READ | DATA_WRITE | DESTRUCTIVE | PERMISSION | DAX_DATA

#: States in which an instance runs something, or is about to.
RUNNING = ("running", "pending")

#: Ways to DynamoDB that are open; behind "other" it cannot be said.
OPEN = frozenset({"igw", "nat", "endpoint"})

#: Destinations of default routes.
EVERYWHERE = ("0.0.0.0/0", "::/0")

Ways = Mapping[Subnet, SubnetPath | Gap]


@rule(
    severity=Severity.MEDIUM,
    side=Side.CLIENT,
    practices=["P14"],
    controls={
        "AWS FSBP": ["EC2.8"],
        "CIS AWS Foundations 6.0": ["2.17", "6.7"],
        "NIST 800-53 r5": ["AC-6", "IA-5", "IA-5(7)"],
    },
    remediation=Remediation(
        text="Give the instance a role through an instance profile and let it take IMDSv2 requests only; take keys out "
        "of a function's variables, where its own role serves, and delete them.",
        cli="aws ec2 associate-iam-instance-profile --instance-id $INSTANCE --iam-instance-profile Name=$PROFILE "
        "--region $REGION\n"
        "aws ec2 modify-instance-metadata-options --instance-id $INSTANCE --http-tokens required --region $REGION\n"
        "aws lambda update-function-configuration --function-name $FUNCTION --environment file://environment.json "
        "--region $REGION\n"
        "aws iam delete-access-key --user-name $USER_NAME --access-key-id $ACCESS_KEY_ID",
        terraform="""\
resource "aws_iam_instance_profile" "orders" {
  name = "orders"
  role = aws_iam_role.orders.name
}

resource "aws_instance" "orders" {
  ami                  = data.aws_ami.al2023.id
  instance_type        = "t3.small"
  iam_instance_profile = aws_iam_instance_profile.orders.name

  metadata_options {
    http_tokens = "required"
  }
}""",
        cloudformation="""\
Parameters:
  RoleName: {Type: String}
  ImageId: {Type: "AWS::EC2::Image::Id"}
Resources:
  OrdersProfile:
    Type: AWS::IAM::InstanceProfile
    Properties: {Roles: [!Ref RoleName]}
  Orders:
    Type: AWS::EC2::Instance
    Properties:
      ImageId: !Ref ImageId
      IamInstanceProfile: !Ref OrdersProfile
      MetadataOptions: {HttpTokens: required}""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/best-practices-security-preventative.html",
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html",
        "https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html",
    ],
)
def iam_workload_roles(
    workload: Instance | Function,
    instances: Instances | Gap,
    functions: Functions | Gap,
    identities: Identities | Gap,
    holdings: Holdings | Gap,
    ways: Ways,
    interfaces: NetworkInterfaces | Gap,
    tables: RouteTables | Gap,
    *,
    exempt_tags: Annotated[
        tuple[str, ...], "Tags of instances that need no role, such as bastions: key, or key=value. Case is ignored."
    ] = (),
) -> Verdict | None:
    """Workloads use roles, not embedded keys.

    A role's credentials expire within hours and are nowhere to be found but where they are used. A key that is written
    into a machine image, a file or a variable lasts until somebody deletes it, and everybody who reads it there has it.

    A running instance without a role, in a subnet from which DynamoDB can be reached, either uses keys that somebody
    put there or does not use DynamoDB at all: it fails as medium, with low confidence. An instance profile that holds
    no role, or that was deleted, gives no credentials either. Where no route leads to DynamoDB the rule does not apply,
    nor to instances that are stopped; where the subnet's path is not known, or leaves what the API shows, the answer is
    unknown. So it is on hosts of ECS or EKS containers, whose roles are their own. Instances with one of `exempt_tags`
    need no role, and neither does a NAT instance: one that forwards packets which are not its own, and to which a
    default route leads.

    An instance whose role may use DynamoDB or DAX, by the same evaluation as for users, and whose metadata service
    answers requests of IMDSv1 fails as low: who makes a program there send one request has the role's credentials. If
    guardrails of the organisation block everything that the role was granted, the failure is one level milder.
    Without a metadata endpoint nothing is exposed.

    A function always has a role. It fails as high when a variable of its environment holds an access key id, or is
    named like a secret access key and holds more than the name of a parameter or secret. Values are looked at where the
    answer is read, and kept and shown nowhere. Variables that AWS could not decrypt for the auditor are unknown.
    Published versions of a function are not looked at, and neither is code.
    """
    if isinstance(workload, Function):
        if isinstance(functions, Gap):
            return unknown(functions)
        function = next((one for one in functions.functions if one.function.name == workload.name), None)
        return None if function is None else _function(function)
    if isinstance(instances, Gap):
        return unknown(instances)
    info = next((one for one in instances.instances if one.instance.name == workload.name), None)
    if info is None:
        return None
    evidence: dict[str, Any] = {"State": info.state, "IamInstanceProfile": info.profile_arn}
    if info.state not in RUNNING:
        return not_applicable(f"The instance is {info.state}: nothing runs on it.", **evidence)
    if info.profile_arn is None:
        return _without_role("The instance has no instance profile", info, ways, interfaces, tables, exempt_tags)
    if isinstance(identities, Gap):
        return unknown(identities, **evidence)
    role = role_of(info.profile_arn, identities)
    if role is None:
        text = "The instance's profile holds no role, or was deleted"
        return _without_role(text, info, ways, interfaces, tables, exempt_tags)
    return _with_role(info, role, holdings)


def _function(info: FunctionInfo) -> Verdict:
    evidence: dict[str, Any] = {"Role": info.role_arn}
    if info.key_variables:
        names = ", ".join(info.key_variables)
        many = len(info.key_variables) > 1
        return failed(
            f"The environment {'variables' if many else 'variable'} {names} of the function {info.function.name} "
            f"{'look' if many else 'looks'} like access keys.",
            severity=Severity.HIGH,
            keyVariables=list(info.key_variables),
            **evidence,
        )
    if info.variables_unread is not None:
        denied = "accessdenied" in info.variables_unread.lower()
        text = f"AWS could not show the function's environment variables to the auditor ({info.variables_unread})."
        gap = Gap(Reason.ACCESS_DENIED if denied else Reason.UNDECIDABLE, text, "kms:Decrypt" if denied else None)
        return unknown(gap, ErrorCode=info.variables_unread, **evidence)
    if info.role_arn is None:
        return unknown(Gap(Reason.PARTIAL_DATA, "AWS did not return the function's role.", "lambda:ListFunctions"))
    name = info.role_arn.rpartition("/")[2]
    return passed(f"The function runs as the role {name}, and no environment variable looks like a key.", **evidence)


def _with_role(info: InstanceInfo, role: RoleInfo, holdings: Holdings | Gap) -> Verdict:
    evidence: dict[str, Any] = {
        "IamInstanceProfile": info.profile_arn,
        "role": role.role.arn,
        "HttpEndpoint": info.http_endpoint,
        "HttpTokens": info.http_tokens,
    }
    if info.http_tokens == "required" or info.http_endpoint == "disabled":
        how = "IMDSv2 only" if info.http_endpoint != "disabled" else "no metadata endpoint"
        return passed(f"The instance runs as the role {role.role.name}, with {how}.", **evidence)
    if isinstance(holdings, Gap):
        return unknown(holdings, **evidence)
    principal = holdings.access.principal(role.role.arn)
    if principal is None:
        return unknown(Gap(Reason.PARTIAL_DATA, "The policies of the instance's role are not known."), **evidence)
    held = holdings.of(principal, ACTIONS)
    if not held.holdings and not held.doubts:
        return passed(
            f"The instance runs as the role {role.role.name}, which can use neither DynamoDB nor DAX.", **evidence
        )
    if info.http_tokens is None:
        text = "AWS did not return whether the instance's metadata service takes requests of IMDSv1."
        return unknown(Gap(Reason.PARTIAL_DATA, text, "ec2:DescribeInstances"), **evidence)
    if not held.holdings:
        doubt = held.doubts[0]
        evidence["undecided"] = [one.action for one in held.doubts]
        if isinstance(doubt.cause, Gap):
            return unknown(doubt.cause, resource=doubt.resource, **evidence)
        return unknown(f"Whether the role may call {doubt.action} is open: {doubt.why}", **evidence)
    message = f"IMDSv1 gives out the credentials of the role {role.role.name}, which may call {held.example}"
    if held.blocked:
        message += "; guardrails of the organisation block it"
    severity = Severity.LOW.moved(-1) if held.blocked else Severity.LOW
    return failed(f"{message}.", severity=severity, **evidence, **held.evidence)


def _without_role(
    why: str,
    info: InstanceInfo,
    ways: Ways,
    interfaces: NetworkInterfaces | Gap,
    tables: RouteTables | Gap,
    exempt_tags: tuple[str, ...],
) -> Verdict:
    """Judge an instance that gets no credentials from a role."""
    evidence: dict[str, Any] = {"State": info.state, "IamInstanceProfile": info.profile_arn}
    tag = _exempt(info.tags, exempt_tags)
    if tag is not None:
        return not_applicable(f"{why}; its tag {tag} says that it needs none.", exempt=tag, **evidence)
    found = {name: _way(name, info, ways, interfaces) for name in info.subnet_ids}
    known = {name: way for name, way in found.items() if isinstance(way, SubnetPath)}
    evidence["paths"] = {name: list(way.paths) for name, way in known.items()}
    if (
        found
        and all(way.paths == ("isolated",) and way.gap is None for way in known.values())
        and len(known) == len(found)
    ):
        return not_applicable(f"{why}, and no way to DynamoDB.", **evidence)
    reached = {name for name, way in known.items() if OPEN.intersection(way.paths)}
    if not reached:
        gap = next((way for way in found.values() if isinstance(way, Gap)), None)
        gap = gap or next((way.gap for way in known.values() if way.gap is not None), None)
        if gap is not None:
            return unknown(gap, **evidence)
        if not found:
            text = "AWS did not return which subnet the instance is in."
            return unknown(Gap(Reason.PARTIAL_DATA, text, "ec2:DescribeInstances"), **evidence)
        return unknown(f"{why}, and its way to DynamoDB leaves what the API shows.", **evidence)
    if isinstance(interfaces, Gap):
        return unknown(interfaces, **evidence)
    if hosts_containers(info, interfaces.interfaces):
        return unknown(f"{why}; which roles the containers on it have, the audit does not see.", **evidence)
    forwarding = {
        one.id for one in interfaces.interfaces if one.instance_id == info.instance.name and not one.source_dest_check
    }
    if forwarding:
        if isinstance(tables, Gap):
            return unknown(tables, **evidence)
        targets = forwarding | {info.instance.name}
        routes = [
            table.id
            for table in tables.tables
            if any(one.active and one.destination in EVERYWHERE and one.target in targets for one in table.routes)
        ]
        if routes:
            return not_applicable(f"{why}: it is a NAT instance, which forwards packets.", routes=routes, **evidence)
    return failed(
        f"{why}: what runs on it either uses keys that were put there or does not use DynamoDB.",
        confidence="low",
        **evidence,
    )


def _exempt(tags: Mapping[str, str], exempt_tags: tuple[str, ...]) -> str | None:
    """Return the tag that says that an instance needs no role, as ``key=value``, or None."""
    for entry in exempt_tags:
        key, equals, value = entry.casefold().partition("=")
        for held, text in tags.items():
            if held.casefold() == key and (not equals or text.casefold() == value):
                return f"{held}={text}"
    return None


def _way(name: str, info: InstanceInfo, ways: Ways, interfaces: NetworkInterfaces | Gap) -> SubnetPath | Gap:
    """Return the path of a subnet that the instance is in, which another account may own."""
    region = info.instance.region
    here = [way for subnet, way in ways.items() if subnet.name == name and subnet.region.name == region.name]
    workload = next((way for way in here if isinstance(way, SubnetPath) and way.workload), None)
    if workload is not None:
        return workload
    gap = next((way for way in (*here, interfaces) if isinstance(way, Gap)), None)
    text = f"The instance's interface in subnet {name} was not returned."
    return gap or Gap(Reason.PARTIAL_DATA, text, "ec2:DescribeNetworkInterfaces")
