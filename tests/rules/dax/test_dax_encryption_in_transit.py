"""dax-encryption-in-transit: the endpoint type proves it, not the address."""

from typing import Any

import pytest

from auditor import Severity, Status
from auditor.facts import DaxSettings
from tests.rules import CLUSTER, load

judge: Any = load("dax-encryption-in-transit")

CLEAR, SECURE = "dax://orders.abc.dax-clusters.eu-west-1.amazonaws.com", "daxs://orders.abc.dax-clusters.amazonaws.com"


@pytest.mark.parametrize(
    ("settings", "status", "kind"),
    [
        (DaxSettings("available", endpoint_encryption="TLS", endpoint_url=SECURE), Status.PASS, "TLS"),
        (DaxSettings("available", endpoint_encryption="TLS", endpoint_url=CLEAR), Status.PASS, "TLS"),
        (DaxSettings("available", endpoint_encryption="NONE", endpoint_url=CLEAR), Status.FAIL, "NONE"),
        (DaxSettings("available", endpoint_url=SECURE), Status.FAIL, "NONE"),
        (DaxSettings("creating"), Status.FAIL, "NONE"),
    ],
)
def test_only_the_endpoint_type_decides_and_the_address_is_evidence(
    settings: DaxSettings, status: Status, kind: str
) -> None:
    verdict = judge(CLUSTER, settings)
    assert verdict.status is status
    assert verdict.evidence == {
        "ClusterEndpointEncryptionType": kind,
        "ClusterDiscoveryEndpoint": {"URL": settings.endpoint_url},
    }
    assert verdict.severity is None


@pytest.mark.parametrize("kind", ["TLS", "NONE"])
def test_a_cluster_that_is_being_deleted_is_not_judged(kind: str) -> None:
    verdict = judge(CLUSTER, DaxSettings("deleting", endpoint_encryption=kind))
    assert verdict.status is Status.NOT_APPLICABLE
    assert verdict.evidence == {"Status": "deleting"}


def test_the_rule_has_no_settings_and_is_of_medium_severity() -> None:
    assert (judge.rule.settings, judge.rule.severity) == ((), Severity.MEDIUM)
