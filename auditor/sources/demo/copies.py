"""Where data leaves tables: backups, streams, Kinesis destinations; and how tables scale."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import boto3

from auditor.sources.demo.supplement import Answer, Supplement

MANAGEMENT, PRODUCTION, SANDBOX = "111122223333", "444455556666", "777788889999"
PARTNER = "999988887777"
IRELAND, FRANKFURT = "eu-west-1", "eu-central-1"

#: Production tables that nobody put into the backup plan.
FORGOTTEN = ("sessions", "prices", "marketing-leads", "device-registry", "terraform-locks", "search-index-state")

#: A table whose backups stopped, and when, in days.
STOPPED = {"payments": 40}

#: A table that its team backs up by hand.
BY_HAND = (MANAGEMENT, FRANKFURT, "identity-audit")

CHANGES = f"arn:aws:kinesis:{IRELAND}:{PRODUCTION}:stream/orders-changes"
LEAK = f"arn:aws:kinesis:{IRELAND}:{PARTNER}:stream/card-stats"

#: Table -> the Kinesis data streams that its changes go to, with their states; one is history.
DESTINATIONS = {
    (PRODUCTION, IRELAND, "invoices"): [(CHANGES, "ACTIVE")],
    (PRODUCTION, IRELAND, "payments"): [(LEAK, "ACTIVE")],
    (PRODUCTION, IRELAND, "carts"): [(LEAK, "DISABLED")],
}


def plant(account: str, session: boto3.Session, supplement: Supplement) -> None:
    """Plant what an account of the example organisation has of this."""
    supplement.answers |= {
        "ListProtectedResources": lambda account, region, _: {"Results": _protected(supplement, account, region)},
        "ListBackupVaults": lambda account, region, _: {"BackupVaultList": [_vault(account, region)]},
        "DescribeKinesisStreamingDestination": _destinations,
        "DescribeStreamSummary": lambda account, _region, request: _stream(supplement, account, request),
        "ListEventSourceMappings": lambda account, region, _: {"EventSourceMappings": _mappings(account, region)},
        "ListPipes": lambda _account, _region, _request: {"Pipes": []},
    }
    supplement.amends |= {
        "DescribeTable": lambda _account, _request, answer: answer["Table"].update(
            CreationDateTime=supplement.now - timedelta(days=400)
        ),
        "ListBackups": lambda account, _request, answer: answer["BackupSummaries"].extend(
            _by_hand(supplement, account)
        ),
    }
    if account == PRODUCTION:
        _scaling(session)
    elif account == SANDBOX:
        _provisioned(session, IRELAND, "load-test-orders")


def _vault(account: str, region: str) -> Answer:
    return {
        "BackupVaultName": "tables",
        "BackupVaultArn": f"arn:aws:backup:{region}:{account}:backup-vault:tables",
        "Locked": account == PRODUCTION,
    }


def _protected(supplement: Supplement, account: str, region: str) -> list[Answer]:
    """The backup plan of the management and the production account covers what it was told of."""
    from auditor.sources.demo.company import TABLES

    return [
        {
            "ResourceArn": f"arn:aws:dynamodb:{region}:{account}:table/{table.name}",
            "ResourceType": "DynamoDB",
            "ResourceName": table.name,
            "LastBackupTime": supplement.now - timedelta(days=STOPPED.get(table.name, 0), hours=9),
            "LastBackupVaultArn": _vault(account, region)["BackupVaultArn"],
        }
        for table in TABLES[account]
        if account != SANDBOX
        and table.region == region
        and table.name not in FORGOTTEN
        and (account, region, table.name) != BY_HAND
    ]


def _by_hand(supplement: Supplement, account: str) -> list[Answer]:
    owner, region, name = BY_HAND
    if account != owner:
        return []
    arn = f"arn:aws:dynamodb:{region}:{account}:table/{name}"
    return [
        {
            "TableName": name,
            "TableArn": arn,
            "BackupArn": f"{arn}/backup/01768000000000-5ec0ffee",
            "BackupName": f"{name}-weekly",
            "BackupCreationDateTime": supplement.now - timedelta(days=3),
            "BackupStatus": "AVAILABLE",
            "BackupType": "USER",
        }
    ]


def _destinations(account: str, region: str, request: Answer) -> Answer:
    held = DESTINATIONS.get((account, region, request["TableName"]), [])
    return {
        "TableName": request["TableName"],
        "KinesisDataStreamDestinations": [{"StreamArn": arn, "DestinationStatus": status} for arn, status in held],
    }


def _stream(supplement: Supplement, account: str, request: Answer) -> Answer:
    """The partner's stream answers only the partner."""
    arn = request["StreamARN"]
    if f":{account}:" not in arn:
        return {"Error": {"Code": "AccessDeniedException", "Message": f"The auditor is not authorized on {arn}"}}
    summary: dict[str, Any] = {
        "StreamName": arn.rpartition("/")[2],
        "StreamARN": arn,
        "StreamStatus": "ACTIVE",
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": supplement.now - timedelta(days=200),
        "EnhancedMonitoring": [],
        "OpenShardCount": 2,
        "EncryptionType": "KMS",
        "KeyId": "alias/aws/kinesis",
        "ConsumerCount": 1,
    }
    return {"StreamDescriptionSummary": summary}


def _mappings(account: str, region: str) -> list[Answer]:
    """The stream of ``inventory``, which another part plants, feeds the search index."""
    if (account, region) != (PRODUCTION, IRELAND):
        return []
    return [
        {
            "UUID": "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
            "EventSourceArn": f"arn:aws:dynamodb:{region}:{account}:table/inventory/stream/2026-01-15T08:00:00.000",
            "FunctionArn": f"arn:aws:lambda:{region}:{account}:function:search-indexer",
            "State": "Enabled",
        }
    ]


def _provisioned(session: boto3.Session, region: str, name: str) -> None:
    session.client("dynamodb", region_name=region).update_table(
        TableName=name,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 20, "WriteCapacityUnits": 10},
    )


def _scaling(session: boto3.Session) -> None:
    """Telemetry is provisioned and scaled in both dimensions; of the shipments somebody forgot the writes."""
    scaling = {FRANKFURT: ("telemetry", ("Read", "Write")), IRELAND: ("shipments", ("Read",))}
    for region, (name, dimensions) in scaling.items():
        _provisioned(session, region, name)
        for dimension in dimensions:
            session.client("application-autoscaling", region_name=region).register_scalable_target(
                ServiceNamespace="dynamodb",
                ResourceId=f"table/{name}",
                ScalableDimension=f"dynamodb:table:{dimension}CapacityUnits",
                MinCapacity=5,
                MaxCapacity=500,
            )
