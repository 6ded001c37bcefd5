from typing import Any

from auditor import Remediation, Severity, Side, Status, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Named, Policy, read
from auditor.access.actions import actions
from auditor.access.mentions import public_by_aws
from auditor.access.reach import Reach, survey
from auditor.facts import Gap, Organization, ResourceControlPolicies, ResourcePolicy, TableSettings, Trust
from auditor.resources import Stream, Table

#: Stands for an index whose name is not known; the policy of a table covers its indexes.
ANY_INDEX = "ddbaudit-probe"


@rule(
    severity=Severity.CRITICAL,
    side=Side.AMAZON,
    practices=["B", "P15"],
    controls={"NIST 800-53 r5": ["AC-3", "AC-4", "AC-6", "AC-21", "SC-7"], "ISO 27001:2022": ["A.5.15", "A.8.3"]},
    remediation=Remediation(
        text="Delete the policy, or replace the wildcard by the roles that need the table; a condition on "
        "aws:PrincipalOrgID with a positive operator limits a wildcard to the organisation.",
        cli="aws dynamodb delete-resource-policy --resource-arn arn:aws:dynamodb:$REGION:$ACCOUNT:table/$TABLE "
        "--region $REGION",
        terraform="""\
data "aws_iam_policy_document" "orders_readers" {
  statement {
    actions   = ["dynamodb:GetItem", "dynamodb:Query"]
    resources = [aws_dynamodb_table.orders.arn]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.orders_api.arn]
    }
  }
}

resource "aws_dynamodb_resource_policy" "orders" {
  resource_arn = aws_dynamodb_table.orders.arn
  policy       = data.aws_iam_policy_document.orders_readers.json
}""",
        cloudformation="""\
Parameters:
  ReaderRoleArn: {Type: String}
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      ResourcePolicy:
        PolicyDocument:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal: {AWS: !Ref ReaderRoleArn}
              Action: ["dynamodb:GetItem", "dynamodb:Query"]
              Resource: "*\"""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-bpa-rbp.html"],
)
def table_resource_policy_public(
    resource: Table | Stream,
    policy: ResourcePolicy,
    settings: TableSettings | Gap,
    trust: Trust,
    organization: Organization | Gap,
    guardrails: ResourceControlPolicies | Gap,
) -> Verdict:
    """No table or stream policy grants public access.

    A resource policy that lets everybody in is all that any account of AWS needs to read or change a table. DynamoDB
    refuses such policies when they are written, so a failure here is rare and deserves a look at the statement.

    Every action that the policy may grant is tried by a synthetic outsider: a signed caller with a fresh account,
    organisation, VPC and endpoint, whose own policies allow everything and who chooses what outsiders can choose, such
    as the name of a role. Deny statements count. A policy that lets it in fails, and so does one that lets in whoever
    comes from some internet address (high): AWS calls that public as well. Conditions with `IfExists`, `ForAllValues`
    or a negated operator do not keep strangers out, nor do those on the resource (`aws:ResourceAccount`) or on what
    everybody can have. A condition that nobody can decide, and a policy that cannot be read, are unknown. The evidence
    also has the statements that are public by AWS's own definition, which looks at each statement by itself. No policy
    passes. A table's policy covers its indexes; a stream has a policy of its own, and where nobody knows whether the
    table has a stream the table is unknown. Tables that are being created or deleted are not judged. A resource control
    policy that stops outsiders leaves the failure and lowers its severity by one.
    """
    if isinstance(resource, Table) and isinstance(settings, TableSettings) and not settings.settled:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    verdict = _verdict(resource, policy, trust, organization, guardrails)
    if isinstance(resource, Table) and isinstance(settings, Gap) and verdict.status is Status.PASS:
        return unknown(settings, **verdict.evidence)
    return verdict


def _verdict(
    resource: Table | Stream,
    policy: ResourcePolicy,
    trust: Trust,
    organization: Organization | Gap,
    guardrails: ResourceControlPolicies | Gap,
) -> Verdict:
    if policy.document is None:
        return passed("There is no resource policy.", Policy=None)
    document = read(policy.document, "resource policy")
    evidence: dict[str, Any] = {
        "ResourceArn": resource.arn,
        "publicByAWS": [statement.sid or statement.index for statement in public_by_aws(document)],
    }
    if document.unreadable is not None:
        return unknown(f"The resource policy cannot be read: {document.unreadable}.", **evidence)
    own_organization = "" if isinstance(trust.organization, Gap) else trust.organization
    found = _reached(resource, document, own_organization)
    open_ = [one for one in found if one.verdict == "allowed"] or [one for one in found if one.lucky]
    if open_:
        hits = list(dict.fromkeys(hit for one in open_ for hit in one.statements))
        evidence["actions"] = [one.action for one in open_]
        evidence["statements"] = [{"policy": hit.policy, "sid": hit.sid, "index": hit.index} for hit in hits]
        evidence["outsiderChooses"] = next((one.choices for one in open_ if one.choices and not one.conditions), None)
        severity = Severity.CRITICAL
        who = "anybody with an AWS account"
        if open_[0].conditions:
            evidence["conditions"] = open_[0].conditions
            severity, who = Severity.HIGH, f"anybody with an AWS account ({open_[0].conditions})"
        refused = _refusals(resource, document, own_organization, organization, guardrails, open_)
        if refused:
            evidence["blockedBy"] = refused
            severity = severity.moved(-1)
        where = hits[0].statement if hits else "the resource policy"
        return failed(
            f"By {where}, {who} may call {open_[0].action} here."
            + (f" {refused[0]} stops that at present." if refused else ""),
            severity=None if severity is Severity.CRITICAL else severity,
            **evidence,
        )
    if found:
        evidence["conditions"] = found[0].conditions
        evidence["actions"] = [one.action for one in found]
        return unknown(
            f"Whether outsiders may call {found[0].action} cannot be decided: {found[0].conditions}.", **evidence
        )
    return passed("The resource policy lets no outsider in.", **evidence)


def _targets(resource: Table | Stream, document: Policy) -> list[str]:
    """Return the ARNs that requests name: the stream, or the table and its indexes."""
    if isinstance(resource, Stream):
        return [resource.arn]
    indexes = {
        text
        for statement in document.statements
        for text in statement.resources or ()
        if text.startswith(f"{resource.arn}/index/") and "*" not in text and "?" not in text
    }
    return [resource.arn, f"{resource.arn}/index/{ANY_INDEX}", *sorted(indexes)]


def _reached(
    resource: Table | Stream,
    document: Policy,
    organization: str | None,
    rcps: tuple[tuple[Named, ...], ...] = (),
    names: frozenset[str] | None = None,
) -> list[Reach]:
    """Return what an outsider can do, of all actions or those named."""
    kind = "stream" if isinstance(resource, Stream) else "table"
    table = resource.table if isinstance(resource, Stream) else resource
    targets = _targets(resource, document)
    tried = survey(
        document,
        [one for one in actions("dynamodb") if kind in one.resources and (names is None or one.name in names)],
        lambda action: targets if "index" in action.resources else [resource.arn],
        owner=table.account.id,
        organization=organization,
        rcps=rcps,
    )
    return [one for one in tried if one.verdict != "denied" or (rcps and one.refusals)]


def _refusals(
    resource: Table | Stream,
    document: Policy,
    own_organization: str | None,
    organization: Organization | Gap,
    guardrails: ResourceControlPolicies | Gap,
    granted: list[Reach],
) -> list[str]:
    """Return the statements of resource control policies that turn all of the grants down, if they do."""
    account = resource.account if isinstance(resource, Table) else resource.table.account
    if isinstance(guardrails, Gap) or isinstance(organization, Gap) or organization.management_account == account.id:
        return []
    levels = tuple(
        tuple(Named(f"RCP {one.name} at {level.target}", one.document) for one in level.policies)
        for level in guardrails.levels
    )
    if not levels:
        return []
    found = _reached(resource, document, own_organization, levels, frozenset(one.action for one in granted))
    if any(one.verdict != "denied" for one in found):
        return []
    return list(dict.fromkeys(f"{hit.kind}: {hit.statement}" for one in found for hit in one.refusals))
