import re
from typing import Annotated

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import Gap, Tags
from auditor.resources import DaxCluster, Table


@rule(
    severity=Severity.LOW,
    side=Side.AMAZON,
    practices=["P7"],
    controls={"AWS Resource Tagging Standard": ["DynamoDB.5"], "NIST 800-53 r5": ["CM-8", "PM-5"]},
    remediation=Remediation(
        text="Tag the table or cluster; better, let the provider or a tag policy tag all that is deployed.",
        cli="aws dynamodb tag-resource --resource-arn $TABLE_ARN --region $REGION "
        "--tags Key=owner,Value=team-x Key=env,Value=prod Key=data-classification,Value=internal\n"
        "aws dax tag-resource --resource-name $CLUSTER_ARN --region $REGION "
        "--tags Key=owner,Value=team-x Key=env,Value=prod Key=data-classification,Value=internal",
        terraform="""\
provider "aws" {
  default_tags {
    tags = {
      owner               = "team-x"
      env                 = "prod"
      data-classification = "internal"
    }
  }
}""",
        cloudformation="""\
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      Tags: [{Key: owner, Value: team-x}, {Key: env, Value: prod}, {Key: data-classification, Value: internal}]
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html"],
)
def table_required_tags(
    resource: Table | DaxCluster,
    tags: Tags | Gap,
    config: Config,
    *,
    case_sensitive_keys: Annotated[bool, "Whether Owner is another key than owner."] = True,
    ignore_prefixes: Annotated[tuple[str, ...], "Keys that begin so are not the owner's tags."] = ("aws:",),
) -> Verdict:
    """Tables and DAX clusters carry the required tags.

    Tags say who owns a table, whether it is production and how sensitive its data is; other rules decide by them,
    so a missing `env` or `data-classification` is worse than another missing tag.

    Which tags are required is the configuration's `required_tags`: keys, or keys with a regular expression that the
    whole value must match. A required tag with an empty value counts as missing. Tags of AWS (`aws:…`) do not count.
    Replicas of a global table have tags of their own. With an empty list only a resource without any tag fails; one
    that has a tag is not judged.
    """
    if isinstance(tags, Gap):
        return unknown(tags)
    own = {key: value for key, value in tags.values.items() if not key.startswith(tuple(ignore_prefixes))}
    if not config.required_tags:
        if own:
            return not_applicable("No tag is declared as required.", reason="not_declared", Tags=own)
        return failed("There is no tag at all.", Tags={})
    missing: list[str] = []
    invalid: list[str] = []
    for entry in config.required_tags:
        for key, pattern in ({entry: None} if isinstance(entry, str) else dict(entry)).items():
            values = [
                value
                for name, value in own.items()
                if value.strip() and (name == key or (not case_sensitive_keys and name.casefold() == key.casefold()))
            ]
            if not values:
                missing.append(key)
            elif pattern is not None and not any(re.fullmatch(pattern, value) for value in values):
                invalid.append(key)
    if not missing and not invalid:
        return passed("All required tags are there.", Tags=own)
    parts = [f"missing: {', '.join(missing)}"] if missing else []
    parts += [f"not as required: {', '.join(invalid)}"] if invalid else []
    weighty = {key.casefold() for key in missing} & {"data-classification", "env"}
    return failed(
        f"Required tags are {'; '.join(parts)}.",
        severity=Severity.MEDIUM if weighty else Severity.LOW,
        Tags=own,
        missing=missing,
        invalid=invalid,
    )
