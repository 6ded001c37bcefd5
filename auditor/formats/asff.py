"""AWS Security Finding Format (2018-10-08): what ``aws securityhub batch-import-findings --findings`` takes, an array.

The file is not sent anywhere. Security Hub is regional, and takes findings of a custom integration only from the
account that they are in (``AwsAccountId``), at most 100 and 6 MB a call. No finding here is above 60,000 bytes, so
that any 100 fit. For each account and region, with its credentials (``jq`` is a tool of its own)::

    jq -c --arg account 111122223333 --arg region eu-west-1 '
        map(select(.AwsAccountId == $account and (.ProductArn | split(":")[3]) == $region))
        | range(0; length; 100) as $first | .[$first:$first + 100]' findings.asff.json |
    while read -r batch; do
        printf %s "$batch" | aws securityhub batch-import-findings --region eu-west-1 --findings file:///dev/stdin
    done

What the call does not take is in ``FailedFindings`` of its answer, while its exit code is 0.

- A finding has the same Id in every run. Security Hub takes an update only if ``UpdatedAt`` is later than what it
  holds, which is when the run finished; it forgets a finding 90 days after the last update.
- Passes are in the file, with severity INFORMATIONAL as Security Hub's own passed controls: only so a failure that
  was imported before becomes PASSED. What does not apply is left out. To pay for failures and doubts only, put
  ``map(select(.Compliance.Status != "PASSED"))`` into the command.
- Accepted findings stay FAILED (or NOT_AVAILABLE) and are SUPPRESSED, with the reason as a note. Security Hub takes
  both only when a finding is new to it: for one that it has, and when an acceptance ends, use
  ``aws securityhub batch-update-findings``.
- What has no region (IAM, accounts, buckets) goes to the partition's first region (us-east-1) where the account was
  audited there, else to the first region in which it was. What an account owns that was not audited (the key of a
  partner) goes to the account whose credentials made the audit, if it was audited, else to the first one: nobody else
  could import it. The resource's own ARN says whose it is.
- AWS's control ids are among ``RelatedRequirements``; ``SecurityControlId`` would make a finding look like AWS's own.

Limits are those that the service model of BatchImportFindings documents; those of ``Details.Other`` are those of
``ProductFields``, with 1,024 characters a value. A text that is cut ends with ``… (cut)``; what is left out of the
evidence is counted in ``Details.Other``, under ``ddbaudit/LeftOut``. The JSON report has all of it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from auditor.formats.bounds import CUT, array, clean, cut, dumps, line
from auditor.report import Finding, Report, utc
from auditor.resources import (
    Account,
    Alarm,
    Bucket,
    Function,
    Group,
    IamResource,
    Instance,
    Key,
    KinesisStream,
    Resource,
    Role,
    Subnet,
    Table,
    Topic,
    Trail,
    User,
    Vpc,
    account_of,
    region_of,
)
from auditor.rule_api import Rule, Status
from auditor.wording import REASONS

SCHEMA_VERSION = "2018-10-08"

#: Bytes of a finding. Security Hub takes 240 KB, and 6 MB for a batch of 100.
MOST_BYTES = 60_000

_STATUSES: Mapping[Status, str] = {
    Status.PASS: "PASSED",
    Status.FAIL: "FAILED",
    Status.UNKNOWN: "NOT_AVAILABLE",
}

#: Security Hub's names for kinds of resources; all others are "Other".
_TYPES: Mapping[type[Resource], str] = {
    Account: "AwsAccount",
    Table: "AwsDynamoDbTable",
    Key: "AwsKmsKey",
    Vpc: "AwsEc2Vpc",
    Subnet: "AwsEc2Subnet",
    Instance: "AwsEc2Instance",
    Trail: "AwsCloudTrailTrail",
    User: "AwsIamUser",
    Group: "AwsIamGroup",
    Role: "AwsIamRole",
    Alarm: "AwsCloudWatchAlarm",
    Topic: "AwsSnsTopic",
    KinesisStream: "AwsKinesisStream",
    Function: "AwsLambdaFunction",
    Bucket: "AwsS3Bucket",
}

#: Security Hub's names for partitions; it knows no others.
_PARTITIONS: Mapping[str, str] = {
    "aws": "aws",
    "aws-cn": "aws-cn",
    "aws-us-gov": "aws-us-gov",
    "aws-iso": "aws-us-iso",
    "aws-iso-b": "aws-us-iso-b",
}

#: The region that answers for global services, by partition.
_FIRST_REGIONS: Mapping[str, str] = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
}

#: How AWS writes requirements of a framework in its own findings.
_FRAMEWORKS: Mapping[str, str] = {
    "NIST 800-53 r5": "NIST.800-53.r5 ",
    "PCI DSS 4.0.1": "PCI DSS v4.0.1/",
    "CIS AWS Foundations 6.0": "CIS AWS Foundations Benchmark v6.0.0/",
    "CIS AWS Foundations 7.0": "CIS AWS Foundations Benchmark v7.0.0/",
}

_FIELDS, _KEY, _VALUE, _SHORT = 50, 128, 1024, 512
_TAG_VALUE, _REQUIREMENTS = 256, 32
_LEFT_OUT = "ddbaudit/LeftOut"

_log = logging.getLogger(__name__)


def render(report: Report) -> str:
    """Return findings.asff.json: an array with a line for every finding, worst first.

    A warning in the log says in how many findings something was cut or left out.
    """
    made = _Findings(report)
    findings = sorted((one for one in report.findings if one.status in _STATUSES), key=lambda one: one.sort_key)
    text = array(made.of(one) for one in findings)
    if made.shortened:
        _log.warning(
            "findings.asff.json: in %s of %s findings texts or evidence are cut or left out, to keep within Security "
            "Hub's limits; the JSON report has all.",
            f"{made.shortened:,}",
            f"{len(findings):,}",
        )
    return text


class _Findings:
    """Makes findings; what is the same for all findings of a rule is made once.

    Attributes:
        shortened: In how many something was cut or left out.
    """

    def __init__(self, report: Report) -> None:
        self.shortened = 0
        self._report = report
        self._now = utc(report.run.finished)
        self._audited = {
            scope.account.id: (scope.account, sorted({region.name for region in scope.regions}))
            for scope in report.scopes
        }
        self._rules = {rule.id: _of_rule(rule) for rule in report.rules}

    def of(self, finding: Finding) -> str:
        """Return a finding on one line."""
        account, region = self._home(finding.resource)
        passed = finding.status is Status.PASS
        shared = self._rules[finding.rule]
        made = {
            "SchemaVersion": SCHEMA_VERSION,
            "Id": f"ddbaudit/{finding.rule}/{finding.id}",
            "ProductArn": f"arn:{account.partition}:securityhub:{region}:{account.id}:product/{account.id}/default",
            "ProductName": "ddbaudit",
            "CompanyName": "ddbaudit",
            "GeneratorId": f"ddbaudit/{finding.rule}",
            "AwsAccountId": account.id,
            "CreatedAt": self._now,
            "UpdatedAt": self._now,
            **({"FirstObservedAt": self._now} if finding.state == "new" else {}),
            "LastObservedAt": self._now,
            "Title": shared["Title"],
            "Description": cut(_text(finding.message), 1024),
            "FindingProviderFields": {
                "Severity": {
                    "Label": "INFORMATIONAL" if passed else finding.severity.name,
                    "Original": finding.severity.label,
                },
                "Types": ["Software and Configuration Checks/AWS Security Best Practices"],
            },
            "Remediation": shared["Remediation"],
            "ProductFields": self._product_fields(finding),
            "Resources": [self._resource(finding)],
            "Compliance": {
                "Status": _STATUSES[finding.status],
                **({"RelatedRequirements": shared["Requirements"]} if shared["Requirements"] else {}),
                **({} if passed else {"StatusReasons": [_reason(finding)]}),
            },
            **self._workflow(finding),
            "RecordState": "ACTIVE",
        }
        text = _within(made, len(finding.evidence))
        # Whatever was cut says so.
        self.shortened += dumps(CUT)[1:-1] in text
        return text

    def _home(self, resource: Resource) -> tuple[Account, str]:
        """Return the account and the region whose Security Hub the finding is for."""
        owner, region = account_of(resource), region_of(resource)
        account = owner
        if owner.id not in self._audited and self._audited:
            account, _ = self._audited.get(self._report.run.caller.account) or next(iter(self._audited.values()))
        if region is not None:
            return account, region.name
        _, regions = self._audited.get(account.id, (account, []))
        first = _FIRST_REGIONS.get(account.partition, _FIRST_REGIONS["aws"])
        return account, first if first in regions or not regions else regions[0]

    def _resource(self, finding: Finding) -> dict[str, Any]:
        resource, details = finding.resource, _details(finding)
        region, partition = region_of(resource), _PARTITIONS.get(account_of(resource).partition)
        tags = sorted(self._report.tags.get(resource, {}).items())[:_FIELDS]
        return {
            "Type": _TYPES.get(type(resource), "Other"),
            # The form that Security Hub itself uses for accounts.
            "Id": f"AWS::::Account:{resource.id}" if isinstance(resource, Account) else _text(resource.arn),
            **({"Partition": partition} if partition else {}),
            **({"Region": region.name} if region and len(region.name) <= 16 else {}),
            **({"Tags": {cut(_text(k), _KEY): cut(_text(v), _TAG_VALUE) for k, v in tags}} if tags else {}),
            **({"Details": details} if details else {}),
        }

    def _product_fields(self, finding: Finding) -> dict[str, str]:
        acceptance = finding.acceptance
        fields = {
            "FindingId": finding.id,
            "Version": self._report.version,
            "RunId": self._report.run.id,
            "RunComplete": "true" if self._report.complete else "false",
            "SubKey": finding.sub_key,
            "Reason": finding.reason,
            "MissingPermission": finding.missing_permission,
            "State": finding.state,
        }
        if acceptance is not None:
            fields["AcceptanceExpired" if acceptance.expired else "AcceptedUntil"] = acceptance.until.isoformat()
            fields["AcceptanceTicket"] = acceptance.ticket
        return {f"ddbaudit/{key}": cut(_text(value), _SHORT) for key, value in fields.items() if value}

    def _workflow(self, finding: Finding) -> dict[str, Any]:
        acceptance = finding.acceptance
        if acceptance is None or not finding.accepted:
            return {}
        ticket = f" ({acceptance.ticket})" if acceptance.ticket else ""
        text = f"Accepted until {acceptance.until.isoformat()} by {acceptance.by}{ticket}: {acceptance.reason}"
        return {
            "Workflow": {"Status": "SUPPRESSED"},
            "Note": {
                "Text": cut(_text(text), _SHORT),
                "UpdatedBy": cut(_text(acceptance.by), _SHORT),
                "UpdatedAt": self._now,
            },
        }


def _of_rule(rule: Rule) -> dict[str, Any]:
    """Return what the findings of a rule have in common."""
    references = [one for one in rule.references if re.match(r"https://\S+\Z", one)]
    requirements = [
        cut(_text(f"{_FRAMEWORKS.get(framework, f'{framework} ')}{one}"), _SHORT)
        for framework, ids in rule.controls.items()
        for one in ids
    ]
    if len(requirements) > _REQUIREMENTS:
        more = len(requirements) - _REQUIREMENTS + 1
        requirements = [*requirements[: _REQUIREMENTS - 1], f"and {more} more {CUT}"]
    mend = " ".join(rule.remediation.text.split()) or rule.title
    return {
        "Title": cut(_text(rule.title), 256),
        "Remediation": {
            "Recommendation": {
                "Text": cut(_text(mend), _SHORT),
                **({"Url": references[0]} if references else {}),
            }
        },
        "Requirements": requirements,
    }


def _reason(finding: Finding) -> dict[str, str]:
    if finding.status is Status.FAIL:
        return {"ReasonCode": "RULE_FAILED", "Description": cut(_text(finding.message), _SHORT)}
    reason = finding.reason or "undecidable"
    action = f": {finding.missing_permission}" if finding.missing_permission else ""
    return {
        "ReasonCode": re.sub(r"\W", "_", reason, flags=re.ASCII).upper(),
        "Description": cut(_text(f"{REASONS.get(reason, 'Unknown')}{action}"), _SHORT),
    }


def _details(finding: Finding) -> dict[str, Any]:
    """Return what the evidence says: under Security Hub's names where it has them, and all of it under the API's."""
    kind = _TYPES.get(type(finding.resource))
    known = _known(finding.resource, finding.evidence)
    entries = list(finding.evidence.items())
    # The last of the fields says how many there are more.
    kept = entries if len(entries) <= _FIELDS else entries[: _FIELDS - 1]
    other = {cut(_text(key), _KEY): cut(_value(value), _VALUE) for key, value in kept}
    if len(other) < len(entries):
        other[_LEFT_OUT] = _left_out(len(entries) - len(other))
    return {**({kind: known} if kind and known else {}), **({"Other": other} if other else {})}


def _known(resource: Resource, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details that Security Hub has names for: the identity, and settings that the evidence proves."""

    def held(name: str, kind: type) -> Any:
        value = evidence.get(name)
        return clean(value) if isinstance(value, kind) and (not isinstance(value, str) or value.strip()) else None

    made: dict[str, Any] = {}
    if isinstance(resource, Table):
        sse = {"SseType": held("SSEType", str), "KmsMasterKeyArn": held("KMSMasterKeyArn", str)}
        made = {
            "TableName": resource.name,
            "TableStatus": held("TableStatus", str),
            "DeletionProtectionEnabled": held("DeletionProtectionEnabled", bool),
            "GlobalTableVersion": held("GlobalTableVersion", str),
            "LatestStreamArn": held("LatestStreamArn", str),
            "BillingModeSummary": _present({"BillingMode": held("BillingMode", str)}) or None,
            "SseDescription": _present(sse) or None,
        }
    elif isinstance(resource, Key):
        made = {
            "AWSAccountId": resource.account.id,
            "KeyId": resource.name,
            "KeyManager": held("KeyManager", str),
            "KeyState": held("KeyState", str),
            "Origin": held("Origin", str),
            "KeyRotationStatus": held("KeyRotationEnabled", bool),
        }
    elif isinstance(resource, IamResource):
        made = {f"{_TYPES[type(resource)].removeprefix('AwsIam')}Name": resource.name, "Path": resource.path}
    elif isinstance(resource, Subnet):
        made = {"SubnetId": resource.name, "SubnetArn": resource.arn}
    elif isinstance(resource, Trail):
        made = {"Name": resource.name, "TrailArn": resource.arn, "HomeRegion": resource.region.name}
    elif isinstance(resource, KinesisStream):
        made = {"Name": resource.name, "Arn": resource.arn}
    elif isinstance(resource, Alarm):
        made = {"AlarmName": resource.name, "AlarmArn": resource.arn}
    elif isinstance(resource, Topic):
        made = {"TopicName": resource.name}
    elif isinstance(resource, Function):
        made = {"FunctionName": resource.name}
    elif isinstance(resource, Bucket):
        made = {"Name": resource.name}
    return _present({key: cut(_text(one), _SHORT) if isinstance(one, str) else one for key, one in made.items()})


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _text(value: object) -> str:
    """Return a text on one line; Security Hub takes none that is empty or blank."""
    text = line(value)
    return text if text.strip() else "(empty)"


def _value(value: object) -> str:
    """Return a value of the evidence as a text: as it is, or as JSON."""
    value = clean(value)
    return _text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)


def _left_out(entries: int) -> str:
    return f"{entries} of the evidence's entries {CUT}"


def _within(made: dict[str, Any], entries: int) -> str:
    """Return a finding as JSON within :data:`MOST_BYTES`: the last of so many entries of the evidence go first.

    Before them go tags that take a third of the place, which they do only with 50 long ones in foreign letters.
    """
    text = dumps(made)
    if len(text) <= MOST_BYTES:
        return text
    resource = made["Resources"][0]
    tags = resource.get("Tags", {})
    if len(dumps(tags)) > MOST_BYTES // 3:
        del resource["Tags"]
        made["ProductFields"]["ddbaudit/TagsLeftOut"] = f"{len(tags)} {CUT}"
    other = resource.get("Details", {}).get("Other", {})
    kept = [key for key in other if key != _LEFT_OUT]
    while len(text := dumps(made)) > MOST_BYTES and kept:
        del other[kept.pop()]
        other[_LEFT_OUT] = _left_out(entries - len(kept))
    return text
