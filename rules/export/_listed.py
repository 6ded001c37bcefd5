"""What the rules on exports share: what is known of buckets, and which exports nobody looked at."""

from collections.abc import Mapping

from auditor.facts import BucketInfo, BulkOperations, ExportBuckets, Exports, Gap, Reason
from auditor.resources import Account, Region


def not_seen(listing: Exports | BulkOperations | Gap | None) -> Gap | None:
    """Return why there may be further exports or bulk operations than those that a listing has."""
    if listing is None or isinstance(listing, Gap):
        return listing
    if listing.unread:
        return next(iter(listing.unread.values()))
    exports = isinstance(listing, Exports)
    omitted = sum(listing.omitted.values()) if isinstance(listing, Exports) else listing.omitted
    if not omitted:
        return None
    what = f"{omitted} older {'exports' if exports else 'bulk operations'}"
    return Gap(Reason.PARTIAL_DATA, f"There are too many to look at all: {what} were left out.")


def known_buckets(
    account: Account, buckets: Mapping[Region, ExportBuckets | Gap], action: str
) -> tuple[dict[str, BucketInfo], Gap]:
    """Return what an account's regions know of buckets, and what stands for a bucket of which nothing is known.

    Args:
        account: The account; what its own session may see of a bucket goes before what another region saw.
        buckets: The facts of all regions.
        action: The IAM action that would have told.
    """
    own = {region: held for region, held in sorted(buckets.items()) if region.account == account}
    known: dict[str, BucketInfo] = {}
    for held in own.values():
        if isinstance(held, ExportBuckets):
            known |= {name: info for name, info in held.buckets.items() if name not in known or info.own}
    gap = next((held for held in own.values() if isinstance(held, Gap)), None)
    return known, gap or Gap(Reason.PARTIAL_DATA, "The bucket was not asked about.", action)
