"""Application Auto Scaling's scalable targets."""

from __future__ import annotations

from auditor.facts import ScalableTarget, ScalableTargets
from auditor.resources import Region
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws


@collects(ScalableTargets, about=Region)
def scalable_targets(aws: Aws, region: Region) -> Yield:
    """Yield what is scaled of DynamoDB; scheduled actions alone change capacity at fixed times, not with demand."""
    found = []
    for page in aws.pages("application-autoscaling:DescribeScalableTargets", ServiceNamespace="dynamodb"):
        for entry in page.get("ScalableTargets", []):
            suspended = entry.get("SuspendedState") or {}
            found.append(
                ScalableTarget(
                    entry["ResourceId"],
                    entry["ScalableDimension"],
                    bool(suspended.get("DynamicScalingInSuspended") or suspended.get("DynamicScalingOutSuspended")),
                )
            )
    yield region, ScalableTargets(tuple(sorted(found, key=lambda one: (one.resource_id, one.dimension))))
