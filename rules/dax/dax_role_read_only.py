import fnmatch
from collections.abc import Mapping
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access.holdings import DATA_WRITE, DESTRUCTIVE, PERMISSION
from auditor.facts import DaxSettings, Gap, Holdings, Reason
from auditor.resources import DaxCluster, Role

#: What a write-through cluster needs: DAX passes on these operations, and PartiQL not at all.
ITEM_WRITES = frozenset(f"dynamodb:{name}" for name in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"))


@rule(
    severity=Severity.MEDIUM,
    side=Side.BOTH,
    practices=["P16"],
    controls={"NIST 800-53 r5": ["AC-3", "AC-6", "AC-6(1)"]},
    remediation=Remediation(
        text="If no application writes through the cluster, leave its role the reading actions and DescribeTable on "
        "its tables. An application that writes through DAX stops working with such a role.",
        cli="aws iam put-role-policy --role-name $ROLE_NAME --policy-name read-tables "
        "--policy-document file://read-tables.json\n"
        "aws iam detach-role-policy --role-name $ROLE_NAME --policy-arn $POLICY_ARN",
        terraform="""\
data "aws_iam_policy_document" "read_tables" {
  statement {
    actions = [
      "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:BatchGetItem",
      "dynamodb:Query", "dynamodb:Scan", "dynamodb:ConditionCheckItem",
    ]
    resources = [aws_dynamodb_table.orders.arn, "${aws_dynamodb_table.orders.arn}/index/*"]
  }
}

resource "aws_iam_role_policy" "read_tables" {
  role   = aws_iam_role.dax.id
  policy = data.aws_iam_policy_document.read_tables.json
}""",
        cloudformation="""\
Resources:
  DaxRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Service: dax.amazonaws.com}
            Action: "sts:AssumeRole"
            Condition: {StringEquals: {"aws:SourceAccount": !Ref "AWS::AccountId"}}
      Policies:
        - PolicyName: read-tables
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action:
                  - "dynamodb:DescribeTable"
                  - "dynamodb:GetItem"
                  - "dynamodb:BatchGetItem"
                  - "dynamodb:Query"
                  - "dynamodb:Scan"
                  - "dynamodb:ConditionCheckItem"
                Resource:
                  - !Sub "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders"
                  - !Sub "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders/index/*\"""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DAX.access-control.html"],
)
def dax_role_read_only(
    cluster: DaxCluster,
    settings: DaxSettings,
    clusters: Mapping[DaxCluster, DaxSettings | Gap],
    holdings: Holdings | Gap,
    *,
    dax_write_through_clusters: Annotated[
        tuple[str, ...], "Globs on the names of clusters through which applications write."
    ] = (),
) -> Verdict | None:
    """The service role of a DAX cluster only reads from DynamoDB, where that is possible.

    DAX does not tell its users apart: whoever may use the cluster acts on the tables with the cluster's role. A role
    that can write is a way to write for everyone who may use the cluster, past their own permissions on the tables.

    The role is evaluated on every table, and on one that does not exist, for all actions that write or destroy data or
    change permissions. Any of them fails. Applications that write through DAX need a role that writes: with all of the
    role's clusters declared in `dax_write_through_clusters` item writes fail as low, to have them on record; anything
    beyond stays as it is. The finding is about the role, once for all its clusters. A role of another account (unless
    a cluster of that account has it, too, and is judged) or policies that cannot be read leave the answer unknown; a
    role that was deleted grants nothing and is not judged.
    If a service or resource control policy blocks everything that was granted, the failure is one level milder.
    """
    arn = settings.role_arn
    if not arn:
        return unknown("DAX did not say which role the cluster has.", IamRoleArn=arn)
    sharing = settings.sharing(cluster, clusters)
    if sharing[0] != cluster:
        # The role has one finding, made when its first cluster was judged.
        return None
    evidence: dict[str, Any] = {"IamRoleArn": arn, "clusters": [one.name for one in sharing]}
    try:
        role = Role.from_arn(arn)
    except ValueError:
        return unknown("The ARN of the cluster's role is not one of a role.", **evidence)
    if role.account != cluster.account:
        return unknown(
            f"The role is of account {role.account.id}, whose policies are not asked about here.",
            reason=Reason.PARTIAL_DATA,
            about=role,
            **evidence,
        )
    if isinstance(holdings, Gap):
        return unknown(holdings, about=role, **evidence)
    principal = holdings.access.principal(arn)
    if principal is None:
        return not_applicable(
            "The role does not exist any more, and grants the cluster nothing.", about=role, **evidence
        )
    held = holdings.of(principal, DATA_WRITE | DESTRUCTIVE | PERMISSION)
    declared = all(
        any(fnmatch.fnmatchcase(one.name, pattern) for pattern in dax_write_through_clusters) for one in sharing
    )
    if not held.holdings:
        if held.doubts:
            doubt = held.doubts[0]
            evidence["undecided"] = [one.action for one in held.doubts]
            if isinstance(doubt.cause, Gap):
                return unknown(doubt.cause, about=role, resource=doubt.resource, **evidence)
            why = f"Whether {doubt.action} is allowed is open: {doubt.why}"
            return unknown(why, about=role, resource=doubt.resource, **evidence)
        return passed(f"The role {role.name} of the DAX cluster only reads.", about=role, **evidence)
    actions = {one.action for one in held.holdings} | {one.action for one in held.doubts}
    milder = declared and actions <= ITEM_WRITES
    severity = Severity.LOW if milder else Severity.MEDIUM
    message = f"The role {role.name} of the DAX cluster may call {held.example}"
    if len(held.holdings) > 1:
        message += f", and {len(held.holdings) - 1} more actions that do not read"
    if milder:
        message += "; the cluster is declared as write-through"
    else:
        message += "; it should only read, if no application writes through the cluster"
    if held.blocked:
        severity = severity.moved(-1)
        message += "; guardrails of the organisation block it"
    return failed(f"{message}.", severity=severity, about=role, writeThrough=declared, **evidence, **held.evidence)
