from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from auditor import Members, Remediation, Severity, Side, Status, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access.estate import Principal
from auditor.access.holdings import DATA_READ, DATA_WRITE
from auditor.facts import Gap, Holdings, Reason, Sensitivity, Subnets, TableAccess, TableSettings, Workloads
from auditor.resources import Resource, Subnet, Table, User

KEY_KIND, KEY_USE, EVENTS = "table-encryption-key", "kms-key-usable", "trail-data-events"
ITEMS, PATHS, USERS = "data-client-side-encryption", "network-subnet-path", "iam-user-dynamodb-access"
ACTIONS = sorted(DATA_READ | DATA_WRITE)
SIDES = {"amazon": "Amazon's side", "client": "the client's side"}


@dataclass(frozen=True)
class Part:
    """What one member says of the table: its side, its id, the outcome, and why."""

    side: str
    member: str
    status: Status
    message: str
    reason: str | None = None
    missing_permission: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reach:
    """Who can read or write the table, by the account's own policies."""

    table: Table
    holdings: Holdings | Gap
    access: TableAccess | Gap

    def verdict(self, principal: Principal | None) -> str:
        """Return ``granted`` when some action on items is, else ``open`` when one may be, else ``denied``."""
        if principal is None or isinstance(self.holdings, Gap):
            return "open"
        try:
            verdicts = {self.holdings.verdict(principal, action, self.table.arn) for action in ACTIONS}
        except KeyError:
            return "open"  # the table is not among those that the account's access was worked out for
        return next((one for one in ("granted", "open") if one in verdicts), "denied")

    def doubt(self, who: str) -> Gap:
        """Return why it is open whether somebody can."""
        gaps = [self.access] if isinstance(self.access, Gap) else list(self.access.gaps)
        if isinstance(self.holdings, Holdings) and self.holdings.access.organization_gap is not None:
            gaps.append(self.holdings.access.organization_gap)
        text = f"Whether {who} can use the table cannot be decided."
        return gaps[0] if gaps else Gap(Reason.UNDECIDABLE, text)


@rule(
    severity=Severity.HIGH,
    side=Side.BOTH,
    practices=["P8"],
    controls={
        "NIST 800-53 r5": ["AC-6", "SC-8", "SC-28"],
        "ISO 27001:2022": ["A.5.23", "A.8.24"],
        "GDPR": ["Art. 32(1)"],
    },
    remediation=Remediation(
        text="Mend what the members name, each on its side: their own remediations say how.",
        cli="# Amazon's side: a customer managed key (table-encryption-key).\n"
        "aws dynamodb update-table --table-name $TABLE --region $REGION "
        "--sse-specification Enabled=true,SSEType=KMS,KMSMasterKeyId=$NEW_KEY_ARN\n"
        "# The client's side: workloads reach DynamoDB through an endpoint (network-subnet-path).\n"
        "aws ec2 create-vpc-endpoint --vpc-id $VPC --vpc-endpoint-type Gateway "
        "--service-name com.amazonaws.$REGION.dynamodb --route-table-ids $ROUTE_TABLES --region $REGION",
        terraform="""\
resource "aws_dynamodb_table" "patients" {
  name         = "patients"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"

  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.tables.arn
  }

  attribute {
    name = "pk"
    type = "S"
  }

  tags = {
    data-classification    = "restricted"
    client-side-encryption = "aws-db-esdk"
  }
}""",
        cloudformation="""\
Parameters:
  KeyArn: {Type: String}
Resources:
  Patients:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      SSESpecification: {SSEEnabled: true, SSEType: KMS, KMSMasterKeyId: !Ref KeyArn}
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      Tags:
        - {Key: data-classification, Value: restricted}
        - {Key: client-side-encryption, Value: aws-db-esdk}""",
    ),
    references=[
        "https://docs.aws.amazon.com/database-encryption-sdk/latest/devguide/client-server-side.html",
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/best-practices-security-preventative.html",
    ],
    composed_of=[KEY_KIND, KEY_USE, EVENTS, ITEMS, PATHS, USERS],
)
def data_two_sided_protection(
    table: Table,
    settings: TableSettings,
    sensitivity: Sensitivity | Gap,
    subnets: Subnets | Gap,
    workloads: Workloads | Gap,
    holdings: Holdings | Gap,
    access: TableAccess | Gap,
    members: Members,
) -> Verdict:
    """Sensitive tables are protected on both sides, Amazon's and the client's.

    A key of one's own does not help where credentials leak, and encrypted items do not help where nobody sees that
    they are being copied. The rule sums up what other rules say of a sensitive table, so it carries no weight in the
    score.

    Amazon's side: the key is of the required kind (table-encryption-key) and usable (kms-key-usable; a key that AWS
    owns has no such finding), and the table's data events are recorded (trail-data-events). The client's side: its
    items are encrypted before they are sent (data-client-side-encryption), workloads reach DynamoDB through an
    endpoint or not at all (network-subnet-path), and no IAM user can read or write the table.

    Judged are the subnets of the table's region and account whose workloads may reach this table: where the roles of
    all of a subnet's instances and functions are known and none may, the subnet does not count; otherwise it does.
    Users that iam-user-dynamodb-access allows do not count. Members that are not applicable, or switched off, are left
    out, and attested ones pass. A failing member fails the rule and the finding names it with its side; else one that
    is unknown makes it unknown. Tables that are not sensitive are not applicable.

    Workloads in other regions or accounts, on premises and behind DAX are not looked at; their own rules are.
    """
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    if isinstance(sensitivity, Gap):
        return unknown(sensitivity)
    if not sensitivity.sensitive:
        return not_applicable("The table is not tagged as holding sensitive data.")
    reach = Reach(table, holdings, access)
    parts = [
        *_said("amazon", KEY_KIND, table, members),
        *(_said("amazon", KEY_USE, settings.key, members) if settings.key is not None else ()),
        *_said("amazon", EVENTS, table, members),
        *_said("client", ITEMS, table, members),
        *_paths(reach, subnets, workloads, members),
        *_users(reach, members),
    ]
    evidence: dict[str, Any] = {"TableArn": table.arn, "classification": sensitivity.source}
    for side in SIDES:
        evidence[side] = {
            one.member: {"status": one.status.value, "message": one.message, **one.evidence}
            for one in parts
            if one.side == side
        }
    bad = [one for one in parts if one.status is Status.FAIL]
    if bad:
        sides = dict.fromkeys(one.side for one in bad)
        where = "; ".join(
            f"on {SIDES[side]} by {', '.join(one.member for one in bad if one.side == side)}" for side in sides
        )
        return failed(f"The table is not protected {where}.", severity=Severity.HIGH, **evidence)
    for one in parts:
        if one.status is Status.UNKNOWN:
            text = f"Whether the table is protected on {SIDES[one.side]} is open ({one.member}): {one.message}"
            return Verdict(Status.UNKNOWN, text, evidence, reason=one.reason, missing_permission=one.missing_permission)
    if not parts:
        return not_applicable("None of the rules that this one sums up applies to the table.", **evidence)
    return passed("The table is protected on both sides.", **evidence)


def _said(side: str, member: str, resource: Resource, members: Members) -> Iterator[Part]:
    """Yield what a member says of a resource: the worst of its verdicts on the whole of it."""
    verdicts = [one for one in members.of(member, resource) if one.sub_key is None and one.about in (None, resource)]
    for status in (Status.FAIL, Status.UNKNOWN, Status.PASS):
        for one in verdicts:
            if one.status is status:
                yield Part(side, member, status, one.message, one.reason, one.missing_permission)
                return


def _paths(reach: Reach, subnets: Subnets | Gap, workloads: Workloads | Gap, members: Members) -> Iterator[Part]:
    """Yield how the workloads that may reach the table get there."""
    if PATHS not in members.ids:
        return
    if isinstance(subnets, Gap):
        yield _open(PATHS, subnets)
        return
    found: dict[str, Part] = {}
    for info in subnets.subnets:
        shared = info.subnet.account != reach.table.account
        if shared and isinstance(workloads, Workloads) and info.subnet.name not in workloads.subnets:
            continue  # its owner's workloads are none of this account
        for part in _said("client", PATHS, info.subnet, members):
            relevant = True if part.status is Status.PASS else _counts(info.subnet, reach, workloads)
            if relevant is not False:
                found[info.subnet.name] = _open(PATHS, relevant) if isinstance(relevant, Gap) else part
    for status in (Status.FAIL, Status.UNKNOWN, Status.PASS):
        names = sorted(name for name, part in found.items() if part.status is status)
        if names:
            evidence = {} if status is Status.PASS else {"SubnetIds": names}
            yield replace(found[names[0]], evidence=evidence)
            return


def _counts(subnet: Subnet, reach: Reach, workloads: Workloads | Gap) -> bool | Gap:
    """Tell whether a subnet's workloads may read or write the table; a gap where what is missing decides."""
    if isinstance(workloads, Gap):
        return workloads
    known = workloads.subnets.get(subnet.name)
    if known is None:
        return True
    if isinstance(reach.holdings, Gap):
        # Where not every role is known the subnet counts, whatever those that are known may do.
        return reach.holdings if known.complete else known.gap or True
    verdicts = [reach.verdict(reach.holdings.access.principal(role)) for role in known.roles]
    if "granted" in verdicts:
        return True
    if not known.complete:
        return known.gap or True
    return reach.doubt("workloads") if "open" in verdicts else False


def _users(reach: Reach, members: Members) -> Iterator[Part]:
    """Yield whether IAM users can read or write the table."""
    if USERS not in members.ids:
        return
    if isinstance(reach.holdings, Gap):
        yield _open(USERS, reach.holdings)
        return
    granted, doubts = [], list[Part]()
    for principal in reach.holdings.access.judged:
        if principal.kind != "user":
            continue
        said = next(_said("client", USERS, User.from_arn(principal.arn), members), None)
        if said is None or said.status is Status.PASS:
            continue
        verdict = reach.verdict(principal)
        if verdict == "granted":
            granted.append(principal.arn)
        elif verdict == "open":
            doubts.append(said if said.status is Status.UNKNOWN else _open(USERS, reach.doubt(principal.name)))
    if granted:
        text = f"IAM users can read or write the table: {', '.join(arn.rpartition('/')[2] for arn in granted)}."
        yield Part("client", USERS, Status.FAIL, text, evidence={"users": granted})
    elif doubts:
        yield doubts[0]
    else:
        yield Part("client", USERS, Status.PASS, "No IAM user can read or write the table.")


def _open(member: str, gap: Gap) -> Part:
    return Part("client", member, Status.UNKNOWN, gap.detail, gap.reason.value, gap.action)
