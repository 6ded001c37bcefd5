"""Names and words of reports: practices, sides, statuses, reasons."""

from __future__ import annotations

from collections.abc import Mapping

from auditor.rule_api import Side, Status

#: The practices that rules prove, by code.
PRACTICES: Mapping[str, str] = {
    "P1": "Workloads reach DynamoDB over a private path, not through NAT or an internet gateway",
    "P2": "VPC endpoints serve every VPC, so that none needs the internet",
    "P3": "DAX runs inside a VPC, encrypted and closed to strangers",
    "P4": "Data stays in the right regions, and these meet the standard",
    "P5": "Production tables are protected from deletion",
    "P6": "The encryption key of every table was chosen with care",
    "P7": "Tables and clusters are tagged",
    "P8": "Both sides protect the data: Amazon's and the client's",
    "P9": "Organization policies guard deletion, creation and regions",
    "P10": "CloudTrail records, and alarms watch for malicious activity",
    "P11": "AWS Config rules watch every account and region",
    "P12": "The client encrypts sensitive items before it sends them",
    "P13": "Sensitive data is kept where it is protected best, if need be in RDS",
    "P14": "Roles or Cognito identity pools are used instead of IAM users",
    "P15": "Access is limited to the tables that are needed",
    "P16": "The service role of DAX only reads",
    "P17": "On-premises access goes by Site-to-Site VPN or Direct Connect",
    "B": "Further good practice: backup, copies, trust, detection",
}

SIDES: Mapping[Side, tuple[str, str]] = {
    Side.AMAZON: ("Amazon side", "How tables, keys, trails and other services of AWS are configured."),
    Side.CLIENT: ("Client side", "How workloads, networks and identities of the client use them."),
    Side.BOTH: ("Both sides", "Rules that look at both sides at once."),
}

STATUSES: Mapping[Status, str] = {
    Status.FAIL: "Fail",
    Status.UNKNOWN: "Unknown",
    Status.PASS: "Pass",
    Status.NOT_APPLICABLE: "Not applicable",
}

SOURCES: Mapping[str, str] = {
    "aws": "AWS, read-only calls",
    "snapshot": "Snapshot file, no call to AWS",
    "demo": "Embedded example organisation, no call to AWS",
    "config-item": "Configuration item of AWS Config",
}

REASONS: Mapping[str, str] = {
    "access_denied": "Permission missing",
    "throttled": "Throttled to the end",
    "transient": "Call failed",
    "unsupported": "Not offered there",
    "undecidable": "Not decidable from what AWS answers",
    "partial_data": "Not collected",
    "rule_error": "The rule itself failed",
    "not_declared": "Not declared in the configuration",
}

#: A region's name where there is none.
GLOBAL = "global"
