"""Configuration items as AWS publishes them, where these are at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditor.resources import Key, Role, Table, Trail, User
from auditor.sources.aws.config_items import read_item

PUBLISHED = Path(__file__).parents[3] / "shared" / "schemas"

pytestmark = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published examples of configuration items are not beside the repository"
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("DynamoDB_Table", Table), ("KMS_Key", Key), ("IAM_Role", Role), ("IAM_User", User), ("Cloudtrail_Trail", Trail)],
)
def test_published_items_are_read(name: str, kind: type) -> None:
    published = json.loads((PUBLISHED / f"rdk-example-ci-AWS_{name}.json").read_text(encoding="utf-8"))
    item = read_item(published)
    resource = item.resource()
    assert isinstance(resource, kind)
    assert item.id == published["resourceId"]
    assert not item.deleted
    if kind is Table:
        recovery = item.recovery()
        assert recovery is not None
        assert (recovery.enabled, recovery.days, recovery.recorded) == (False, None, item.captured)


def test_what_is_read_of_a_tables_item_is_in_the_published_list_of_its_properties() -> None:
    file = PUBLISHED / "aws-config-properties" / "AWS_DynamoDB_Table.json"
    names = json.loads(file.read_text(encoding="utf-8"))
    status = "ContinuousBackupsDescription.pointInTimeRecoveryDescription.pointInTimeRecoveryStatus"
    assert f"supplementaryConfiguration.{status}" in names
