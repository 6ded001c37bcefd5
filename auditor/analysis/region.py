"""Whether a region holds anything to audit."""

from __future__ import annotations

from auditor.facts import DaxClusterNames, Gap, RegionUse, TableNames, derive
from auditor.resources import Region


@derive
def region_use(region: Region, tables: TableNames | Gap, clusters: DaxClusterNames | Gap) -> RegionUse | Gap:
    """A region is in use when it has a table or a DAX cluster; unknown when a listing that would tell is missing."""
    for listing in (tables, clusters):
        if not isinstance(listing, Gap) and any(listing.names()):
            return RegionUse(in_use=True)
    for listing in (tables, clusters):
        if isinstance(listing, Gap):
            return listing
    return RegionUse(in_use=False)
