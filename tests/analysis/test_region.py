"""Whether a region is in use: one thing found is enough, nothing found needs both listings."""

import pytest

from auditor.analysis.region import region_use
from auditor.facts import DaxClusterNames, Gap, Reason, RegionUse, TableNames
from tests.rules import CLUSTER, REGION, TABLE

NO_TABLES = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables")
NO_CLUSTERS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dax:DescribeClusters")
TABLES, CLUSTERS = TableNames((TABLE,)), DaxClusterNames((CLUSTER,))
EMPTY, BARE = TableNames(()), DaxClusterNames(())


@pytest.mark.parametrize(
    ("tables", "clusters", "expected"),
    [
        (TABLES, BARE, RegionUse(in_use=True)),
        (EMPTY, CLUSTERS, RegionUse(in_use=True)),
        (TABLES, NO_CLUSTERS, RegionUse(in_use=True)),
        (NO_TABLES, CLUSTERS, RegionUse(in_use=True)),
        (EMPTY, BARE, RegionUse(in_use=False)),
        (NO_TABLES, BARE, NO_TABLES),
        (EMPTY, NO_CLUSTERS, NO_CLUSTERS),
        (NO_TABLES, NO_CLUSTERS, NO_TABLES),
    ],
)
def test_what_the_listings_say_together(
    tables: TableNames | Gap, clusters: DaxClusterNames | Gap, expected: RegionUse | Gap
) -> None:
    assert region_use(REGION, tables, clusters) == expected
