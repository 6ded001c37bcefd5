"""GuardDuty, Access Analyzer, AWS Config's rules, Security Hub, and trails of data events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3

from auditor.sources.demo.supplement import Answer, Supplement

IRELAND, FRANKFURT, VIRGINIA = "eu-west-1", "eu-central-1", "us-east-1"

#: A rule of AWS Config that looks at tagged tables only.
TAGGED = "audited-tables-encryption"

#: Analyzers: name and type by the account's name and the region.
ANALYZERS: Mapping[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("management", IRELAND): (("organisation", "ORGANIZATION"),),
    ("management", FRANKFURT): (("account", "ACCOUNT"),),
    ("production", IRELAND): (("account", "ACCOUNT"), ("unused-access", "ACCOUNT_UNUSED_ACCESS")),
    ("production", FRANKFURT): (("account", "ACCOUNT"),),
    # Somebody took the analyzer of unused access for one of external access.
    ("production", VIRGINIA): (("unused-access", "ACCOUNT_UNUSED_ACCESS"),),
}

#: Managed rules of AWS Config by the account's name and the region: name -> identifier.
CONFIG_RULES: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("management", IRELAND): {
        "dynamodb-pitr": "DYNAMODB_PITR_ENABLED",
        "dynamodb-deletion-protection": "DYNAMODB_TABLE_DELETION_PROTECTION_ENABLED",
        "dynamodb-encryption": "DYNAMODB_TABLE_ENCRYPTED_KMS",
        "dynamodb-backup-plan": "DYNAMODB_RESOURCES_PROTECTED_BY_BACKUP_PLAN",
    },
    ("management", FRANKFURT): {
        "dynamodb-pitr": "DYNAMODB_PITR_ENABLED",
        "dynamodb-deletion-protection": "DYNAMODB_TABLE_DELETION_PROTECTION_ENABLED",
        "dynamodb-encryption": "DYNAMODB_TABLE_ENCRYPTED_KMS",
        "dynamodb-backup-plan": "DYNAMODB_RESOURCES_PROTECTED_BY_BACKUP_PLAN",
    },
    ("production", IRELAND): {
        "securityhub-dynamodb-pitr-enabled-4f1c02aa": "DYNAMODB_PITR_ENABLED",
        "securityhub-dynamodb-table-deletion-protection-enabled-9b7e1d35": "DYNAMODB_TABLE_DELETION_PROTECTION_ENABLED",
        "securityhub-dax-encryption-enabled-77d0c9e1": "DAX_ENCRYPTION_ENABLED",
        "securityhub-dax-tls-endpoint-encryption-e0a4b21f": "DAX_TLS_ENDPOINT_ENCRYPTION",
        "dynamodb-encryption": "DYNAMODB_TABLE_ENCRYPTED_KMS",
        "dynamodb-backup-plan": "DYNAMODB_RESOURCES_PROTECTED_BY_BACKUP_PLAN",
        # It looks for endpoints of another service.
        "s3-endpoint": "SERVICE_VPC_ENDPOINT_ENABLED",
    },
    # Security Hub hides its own rules here.
    ("production", FRANKFURT): {
        "dynamodb-encryption": "DYNAMODB_TABLE_ENCRYPTED_KMS",
        "dynamodb-backup-plan": "DYNAMODB_RESOURCES_PROTECTED_BY_BACKUP_PLAN",
        "dynamodb-endpoint": "SERVICE_VPC_ENDPOINT_ENABLED",
    },
    ("production", VIRGINIA): {TAGGED: "DYNAMODB_TABLE_ENCRYPTED_KMS"},
}

#: What a rule finds where that is not COMPLIANT.
NON_COMPLIANT = {
    ("management", IRELAND): {"dynamodb-encryption", "dynamodb-deletion-protection"},
    ("production", IRELAND): {"securityhub-dynamodb-pitr-enabled-4f1c02aa", "dynamodb-encryption"},
}


def plant(account: str, session: boto3.Session, supplement: Supplement) -> None:
    """Plant what an account of the example organisation has of this."""
    from auditor.sources.demo.company import ACCOUNTS

    name = ACCOUNTS[account]
    _guardduty(name, session)
    _config_rules(name, session)
    if name == "management":
        _organisation_trail(account, session)
        _answers(supplement)
    elif name == "production":
        _production_trail(account, session)
        _findings(account, session, supplement)
    _compliance(account, name, session, supplement)


def _guardduty(name: str, session: boto3.Session) -> None:
    regions = {
        "management": (IRELAND, FRANKFURT),
        "production": (IRELAND, FRANKFURT, VIRGINIA),
        "sandbox": (IRELAND,),
    }
    for region in regions[name]:
        # The trial in Virginia ended, and nobody looked.
        session.client("guardduty", region_name=region).create_detector(
            Enable=region != VIRGINIA, FindingPublishingFrequency="FIFTEEN_MINUTES"
        )


def _config_rules(name: str, session: boto3.Session) -> None:
    for (owner, region), rules in CONFIG_RULES.items():
        for rule, identifier in rules.items() if owner == name else ():
            more: dict[str, Any] = {}
            if identifier == "SERVICE_VPC_ENDPOINT_ENABLED":
                more["InputParameters"] = json.dumps({"serviceName": rule.partition("-")[0]})
            session.client("config", region_name=region).put_config_rule(
                ConfigRule={
                    "ConfigRuleName": rule,
                    "Source": {"Owner": "AWS", "SourceIdentifier": identifier},
                    **more,
                }
            )


def _selector(name: str, **fields: Any) -> dict[str, Any]:
    """Return an advanced event selector: field with underscores for dots -> what it equals, or operators."""
    return {
        "Name": name,
        "FieldSelectors": [
            {"Field": field.replace("_", ".")} | (value if isinstance(value, dict) else {"Equals": value})
            for field, value in fields.items()
        ],
    }


def _organisation_trail(account: str, session: boto3.Session) -> None:
    """Let the organisation's trail log the data events of two tables, by classic selectors."""
    tables = [
        f"arn:aws:dynamodb:{region}:{account}:table/{name}"
        for region, name in ((IRELAND, "billing-reports"), (FRANKFURT, "identity-audit"))
    ]
    session.client("cloudtrail", region_name=IRELAND).put_event_selectors(
        TrailName="organisation",
        EventSelectors=[
            {
                "ReadWriteType": "All",
                "IncludeManagementEvents": True,
                "DataResources": [{"Type": "AWS::DynamoDB::Table", "Values": tables}],
            }
        ],
    )


def _production_trail(account: str, session: boto3.Session) -> None:
    """Log all that is done to the tables of the checkout in Ireland, and writes to the others there."""
    tables = f"arn:aws:dynamodb:{IRELAND}:{account}:table/"
    named = {"StartsWith": [f"{tables}{name}" for name in ("orders", "customers", "payments", "gift-cards")]}
    kind = {"eventCategory": ["Data"], "resources_type": ["AWS::DynamoDB::Table"]}
    session.client("cloudtrail", region_name=IRELAND).put_event_selectors(
        TrailName="production",
        AdvancedEventSelectors=[
            _selector("management", eventCategory=["Management"]),
            _selector("checkout", **kind, resources_ARN=named),
            _selector("writes", **kind, resources_ARN={"StartsWith": [tables]}, readOnly=["false"]),
            # The reports of invoices read whole tables every night.
            _selector(
                "invoices",
                **kind,
                resources_ARN=[f"{tables}invoices"],
                readOnly=["true"],
                eventName={"NotEquals": ["Query", "Scan"]},
            ),
            _selector(
                "streams",
                eventCategory=["Data"],
                resources_type=["AWS::DynamoDB::Stream"],
                resources_ARN={"StartsWith": [f"{tables}inventory/"]},
            ),
            _selector("endpoint", eventCategory=["NetworkActivity"], eventSource=["dynamodb.amazonaws.com"]),
        ],
    )


def _findings(account: str, session: boto3.Session, supplement: Supplement) -> None:
    """Let Access Analyzer find what the organisation's policies open, one of which somebody has accepted."""
    tables = f"arn:aws:dynamodb:{IRELAND}:{account}:table/"
    aliases = session.client("kms", region_name=IRELAND).list_aliases()["Aliases"]
    key = next(one["TargetKeyId"] for one in aliases if one["AliasName"] == "alias/statements")
    about = [
        (f"{tables}recommendations", "AWS::DynamoDB::Table", "ACTIVE"),
        (f"{tables}prices", "AWS::DynamoDB::Table", "ACTIVE"),
        (f"{tables}shipments", "AWS::DynamoDB::Table", "ARCHIVED"),
        (f"arn:aws:kms:{IRELAND}:{account}:key/{key}", "AWS::KMS::Key", "ACTIVE"),
        (f"arn:aws:iam::{account}:role/partner-sync", "AWS::IAM::Role", "ACTIVE"),
    ]
    found = [
        {
            "id": f"{number:08x}-0000-4000-8000-000000000000",
            "resource": resource,
            "resourceType": kind,
            "resourceOwnerAccount": account,
            "status": status,
            "findingType": "ExternalAccess",
            "analyzedAt": supplement.now,
            "createdAt": supplement.now,
            "updatedAt": supplement.now,
        }
        for number, (resource, kind, status) in enumerate(about, 1)
    ]

    def answer(asked: str, region: str, request: Answer) -> Answer:
        chosen = {name: held.get("eq", []) for name, held in request.get("filter", {}).items()}
        # The organisation's analyzer sees them too, and those on roles stand in every region.
        seen = found if region == IRELAND else found[-1:] if asked == account else []
        return {
            "findings": [
                one for one in seen if all(str(one.get(name)) in values for name, values in chosen.items())
            ]
        }  # fmt: skip

    supplement.answers["ListFindingsV2"] = answer


def _answers(supplement: Supplement) -> None:
    """Answer for all accounts what moto lacks."""
    from auditor.sources.demo.company import ACCOUNTS, PRODUCTION

    def analyzers(account: str, region: str, _request: Answer) -> Answer:
        return {
            "analyzers": [
                {
                    "arn": f"arn:aws:access-analyzer:{region}:{account}:analyzer/{name}",
                    "name": name,
                    "type": kind,
                    "status": "ACTIVE",
                    "createdAt": supplement.now,
                }
                for name, kind in ANALYZERS.get((ACCOUNTS[account], region), ())
            ]
        }

    def standards(account: str, region: str, _request: Answer) -> Answer:
        if account != PRODUCTION or region == VIRGINIA:
            message = f"Account {account} is not subscribed to AWS Security Hub"
            return {"Error": {"Code": "InvalidAccessException", "Message": message}}
        name = "aws-foundational-security-best-practices/v/1.0.0"
        subscription = {
            "StandardsSubscriptionArn": f"arn:aws:securityhub:{region}:{account}:subscription/{name}",
            "StandardsArn": f"arn:aws:securityhub:{region}::standards/{name}",
            "StandardsInput": {},
            "StandardsStatus": "READY",
        }
        return {"StandardsSubscriptions": [subscription]}

    def detector(_account: str, _request: Answer, answer: Answer) -> None:
        # Moto takes every source for disabled; the foundational ones follow the detector.
        status = answer["Status"]
        for source in ("CloudTrail", "DNSLogs", "FlowLogs"):
            answer["DataSources"][source]["Status"] = status
        answer["Features"] = [
            {"Name": name, "Status": status} for name in ("CLOUD_TRAIL", "DNS_LOGS", "FLOW_LOGS")
        ] + answer.get("Features", [])

    def rules(_account: str, _request: Answer, answer: Answer) -> None:
        for rule in answer["ConfigRules"]:
            if rule["ConfigRuleName"].startswith("securityhub-"):
                rule["CreatedBy"] = "securityhub.amazonaws.com"
            elif rule["ConfigRuleName"] == TAGGED:  # moto forgets scopes
                rule["Scope"] = {"TagKey": "audited", "TagValue": "yes"}

    supplement.answers |= {"ListAnalyzers": analyzers, "GetEnabledStandards": standards}
    supplement.amends |= {"GetDetector": detector, "DescribeConfigRules": rules}


def _compliance(account: str, name: str, session: boto3.Session, supplement: Supplement) -> None:
    """Let the rules that moto holds have results."""
    others = supplement.answers.get("DescribeComplianceByConfigRule")

    def answer(asked: str, region: str, request: Answer) -> Answer | None:
        if asked != account:
            return others(asked, region, request) if others else None
        held = session.client("config", region_name=region).describe_config_rules()["ConfigRules"]
        bad = NON_COMPLIANT.get((name, region), set())
        return {
            "ComplianceByConfigRules": [
                {
                    "ConfigRuleName": rule["ConfigRuleName"],
                    "Compliance": {"ComplianceType": "NON_COMPLIANT" if rule["ConfigRuleName"] in bad else "COMPLIANT"},
                }
                for rule in held
            ]
        }

    supplement.answers["DescribeComplianceByConfigRule"] = answer
