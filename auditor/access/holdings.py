"""Actions in the groups that rules judge, as IAM spells them.

The names are those of the Service Authorization Reference for DynamoDB and DAX. TransactGetItems, TransactWriteItems
and the Execute… operations of PartiQL have no action of their own: they take the ones here.
"""

from __future__ import annotations


def _named(service: str, names: str) -> frozenset[str]:
    return frozenset(f"{service}:{name}" for name in names.split())


#: Actions that give somebody the items of a table, of its indexes or of its stream, or a copy of them.
DATA_READ = _named(
    "dynamodb",
    "GetItem BatchGetItem Query Scan ConditionCheckItem PartiQLSelect GetRecords SearchVectors "
    "ExportTableToPointInTime",
)

#: Actions that put, change or delete items.
DATA_WRITE = _named(
    "dynamodb",
    "PutItem UpdateItem DeleteItem BatchWriteItem PartiQLInsert PartiQLUpdate PartiQLDelete ImportTable "
    "StartBulkPutItems",
)

#: Actions that delete a table, a replica or a backup, weaken what protects a table, or put another one in its place.
DESTRUCTIVE = _named(
    "dynamodb",
    "DeleteTable DeleteTableReplica DeleteBackup UpdateTable UpdateContinuousBackups RestoreTableFromBackup "
    "RestoreTableToPointInTime RestoreTableFromAwsBackup",
)

#: Actions that change who may use a table: its resource policies and, with attribute-based access control, its tags.
PERMISSION = _named(
    "dynamodb",
    "PutResourcePolicy DeleteResourcePolicy UpdateAbacStatus TagResource UntagResource",
)

#: Actions on items through a DAX cluster, which reaches the tables with the cluster's own role.
DAX_DATA = _named(
    "dax",
    "GetItem BatchGetItem Query Scan ConditionCheckItem PutItem UpdateItem DeleteItem BatchWriteItem",
)
