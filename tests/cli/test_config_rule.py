"""``ddbaudit config-rule``: what it prints and writes, trials, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import moto
import pytest
import yaml

from tests.cli.conftest import Command, assert_refused
from tests.config_rule.stand_in import ACCOUNT, REGION, changed, table_item


def test_the_template_has_what_was_chosen(ddbaudit: Command) -> None:
    told = ddbaudit(
        "config-rule", "template", "--rule", "table-*", "--skip", "table-pitr", "--parameter", "excludeTables=a"
    )
    assert told.code == 0, told.err
    held = yaml.safe_load(told.out)["Resources"]
    rule = held["RuleOnSchedule"]["Properties"]["InputParameters"]
    assert rule["rules"] == "table-*"
    assert rule["skip"].split(",")[0] == "table-pitr"
    assert rule["excludeTables"] == "a"
    assert "cognito-identity:" not in told.out
    kinds = ("stack-set", "organization", "member-role", "conformance-pack")
    assert [ddbaudit("config-rule", "template", "--kind", kind).code for kind in kinds] == [0] * 4


def test_the_package_is_written(ddbaudit: Command) -> None:
    told = ddbaudit("config-rule", "package", "--output", "out/p.zip")
    assert (told.code, told.written) == (0, ("out", "out/p.zip"))
    assert "Runtime=python3." in told.out


def test_bad_input(ddbaudit: Command, tmp_path: Path) -> None:
    rule = ("config-rule", "template")
    assert_refused(ddbaudit(*rule, "--kind", "all"), "--kind")
    assert_refused(ddbaudit(*rule, "--parameter", "x"), "not NAME=VALUE")
    assert_refused(ddbaudit(*rule, "--parameter", "skip=x"), "given otherwise")
    assert_refused(ddbaudit(*rule, "--parameter", "exclude=x"), "unknown parameter", "excludeTables")
    assert_refused(ddbaudit(*rule, "--rule", "tabel-*"), "no rule matches")
    assert_refused(ddbaudit("config-rule", "package", "--config", "no.yaml"), "no.yaml: cannot be read")
    assert_refused(ddbaudit("config-rule", "package", "--libraries", "none"), "has no msgspec")
    assert_refused(ddbaudit("config-rule", "invoke", "--event", "no.json"), "no.json: cannot be read")
    (tmp_path / "e.json").write_text("[]")
    assert_refused(ddbaudit("config-rule", "invoke", "--event", "e.json"), "no event of AWS Config")
    (tmp_path / "f.json").write_text("{}")
    assert_refused(ddbaudit("config-rule", "invoke", "--event", "f.json"), "configRuleArn")


def test_a_trial_prints_what_would_be_told(ddbaudit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "e.json").write_text(json.dumps(changed(table_item("orders"), {"rules": "table-deletion-protection"})))
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION}
    with moto.mock_aws():
        boto3.client("dynamodb", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x").create_table(
            TableName="orders",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        told = ddbaudit("config-rule", "invoke", "--event", "e.json", **keys)
    assert told.code == 0, told.err
    (one,) = json.loads(told.out)
    assert (one["ComplianceResourceId"], one["ComplianceType"]) == ("orders", "NON_COMPLIANT")
