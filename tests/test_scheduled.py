"""The function that audits by the clock: reports in a bucket, a message when the gate fails, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import cfnlint.api
import jsonschema
import moto
import pytest
from botocore.exceptions import ClientError

from auditor import packs, permissions, scheduled
from auditor.config_rule.package import build
from auditor.config_rule.template import as_yaml, schedule
from auditor.errors import UsageError
from auditor.render import report_schema
from auditor.scheduled import DeliveryError, Target, audit

REGION = "eu-west-1"
EVENT = {"rules": "table-deletion-protection table-pitr", "regions": REGION}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    with moto.mock_aws():
        boto3.client("s3").create_bucket(Bucket="reports", CreateBucketConfiguration={"LocationConstraint": REGION})
        topic = boto3.client("sns").create_topic(Name="audits")["TopicArn"]
        queue = boto3.client("sqs").create_queue(QueueName="heard")["QueueUrl"]
        arn = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
        boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])
        yield {"DDBAUDIT_BUCKET": "reports", "DDBAUDIT_PREFIX": "/audits/", "DDBAUDIT_TOPIC": topic}


def table(name: str, *, protected: bool) -> None:
    boto3.client("dynamodb").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=protected,
        Tags=[{"Key": "env", "Value": "prod"}],
    )


def keys() -> list[str]:
    return [one["Key"] for one in boto3.client("s3").list_objects_v2(Bucket="reports").get("Contents", [])]


def read(key: str) -> Any:
    return json.loads(boto3.client("s3").get_object(Bucket="reports", Key=key)["Body"].read())


def heard() -> list[dict[str, str]]:
    queue = boto3.client("sqs").get_queue_url(QueueName="heard")["QueueUrl"]
    found = boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(one["Body"]) for one in found]


def test_reports_are_kept_by_day_and_as_the_latest_and_a_failure_is_told(aws: dict[str, str]) -> None:
    table("orders", protected=False)
    told = audit(EVENT, aws, boto3.Session)
    assert told["exitCode"] == 3
    assert told["summary"].startswith("ddbaudit: exit 3: 2 findings at or above high")
    folder = told["reports"].removeprefix("s3://reports/")
    assert folder.startswith("audits/20")
    assert keys() == sorted(
        f"{place}report.{kind}" for place in (folder, "audits/latest/") for kind in ("html", "json")
    )
    report = read(f"{folder}report.json")
    jsonschema.validate(report, report_schema())
    assert report["summary"]["previous"] is None
    (message,) = heard()
    assert message["Subject"].startswith("ddbaudit 123456789012: exit 3: 2 findings")
    assert len(message["Subject"]) <= 100
    assert told["reports"] in message["Message"]
    assert "orders" not in message["Message"]  # names stay in the bucket


def test_the_next_run_says_what_is_new_and_a_good_one_is_silent(aws: dict[str, str]) -> None:
    table("orders", protected=False)
    audit(EVENT | {"rules": "table-deletion-protection"}, aws, boto3.Session)
    heard()
    table("carts", protected=False)
    audit(EVENT | {"rules": "table-deletion-protection"}, aws, boto3.Session)
    assert "Since the last run: 1 new, 0 fixed." in heard()[0]["Message"]
    for name in ("orders", "carts"):
        boto3.client("dynamodb").update_table(TableName=name, DeletionProtectionEnabled=True)
    told = audit(EVENT | {"rules": "table-deletion-protection"}, aws, boto3.Session)
    assert told["exitCode"] == 0
    assert heard() == []
    assert read("audits/latest/report.json")["summary"]["previous"]["fixed"] == 2


def test_an_incomplete_run_is_told(aws: dict[str, str]) -> None:
    table("orders", protected=True)

    def denied() -> Any:
        session = boto3.Session()

        def refuse(model: Any, **_: Any) -> None:
            if model.name == "DescribeTable":
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, model.name)

        session.events.register("before-call", refuse)
        return session

    told = audit(EVENT | {"rules": "table-deletion-protection"}, aws, denied)
    assert told["exitCode"] == 4
    assert "1 unknown" in heard()[0]["Message"]


def test_without_a_topic_nothing_is_published_and_a_last_report_that_is_none_is_no_end(aws: dict[str, str]) -> None:
    table("orders", protected=False)
    boto3.client("s3").put_object(Bucket="reports", Key="audits/latest/report.json", Body=b"{")
    told = audit(EVENT | {"failOn": "none", "formats": "csv"}, aws | {"DDBAUDIT_TOPIC": ""}, boto3.Session)
    assert told["exitCode"] == 0
    assert {one.rpartition("/")[2] for one in keys()} == {"findings.csv", "report.json"}


def test_settings_and_acceptances_of_the_package_count(aws: dict[str, str], tmp_path: Path) -> None:
    table("orders", protected=False)
    settings = tmp_path / "ddbaudit.yaml"
    settings.write_text("rules: {table-pitr: {enabled: false}}\n")
    event = EVENT | {"rules": "table-*protection"}
    audit(event, aws, boto3.Session, settings=settings)
    assert {one["id"] for one in read("audits/latest/report.json")["rules"]} == {"table-deletion-protection"}
    with pytest.raises(UsageError, match="switches off"):
        audit(EVENT | {"rules": "table-pitr"}, aws, boto3.Session, settings=settings)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"rule": "x"}, 'unknown key "rule". Did you mean "rules"'),
        ({"rules": "tabel-*"}, "no rule matches"),
        ({"failOn": "hihg"}, "failOn"),
        ({"severity": "none"}, "severity"),
        ({"regions": "mars-1"}, "mars-1"),
        ({"formats": "pdf"}, '"pdf"'),
    ],
)
def test_a_bad_event_is_refused_before_anything_is_asked(
    aws: dict[str, str], event: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        audit(EVENT | event, aws, boto3.Session)
    assert words in caught.value.message
    assert keys() == []


def test_a_bucket_that_is_not_named_or_refuses_is_told(aws: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="DDBAUDIT_BUCKET"):
        audit(EVENT, {}, boto3.Session)
    with pytest.raises(DeliveryError, match=r"s3://none/audits/.*cannot be written"):
        audit(EVENT, aws | {"DDBAUDIT_BUCKET": "none"}, boto3.Session)
    table("orders", protected=False)
    with pytest.raises(DeliveryError, match="cannot be published"):
        audit(EVENT, aws | {"DDBAUDIT_TOPIC": "arn:aws:sns:eu-west-1:123456789012:none"}, boto3.Session)


def test_the_delivering_clients_can_do_nothing_else(aws: dict[str, str]) -> None:
    target = Target.of(aws, boto3.Session)
    with pytest.raises(UsageError, match="refused to call s3:DeleteObject"):
        target.s3.delete_object(Bucket="reports", Key="x")
    with pytest.raises(UsageError, match="refused to call sns:DeleteTopic"):
        target.sns.delete_topic(TopicArn=aws["DDBAUDIT_TOPIC"])


def test_the_template_is_clean_and_its_role_reads_what_the_rules_need_and_delivers() -> None:
    made = schedule(packs.built_in(), {"regions": REGION})
    young = ("describebulkoperation", "listbulkoperations", "startbulkputitems")  # the linter's list lacks them
    wrong = [
        str(one)
        for one in cfnlint.api.lint_all(as_yaml(made))
        if one.rule.id[0] in "EW" and not any(f"'{name}'" in one.message for name in young)
    ]
    assert wrong == []
    resources = made["Resources"]
    statements = resources["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    needed = permissions.policy(packs.built_in().values())["Statement"]
    assert [one for one in statements if one in needed] == needed
    others = {action for one in statements if one not in needed for action in one["Action"]}
    assert others == {
        "s3:PutObject", "s3:GetObject", "s3:ListBucket", "sns:Publish", "kms:GenerateDataKey", "kms:Decrypt",
        "logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage",
    }  # fmt: skip
    target = resources["ScheduledAudit"]["Properties"]["Target"]
    assert json.loads(target["Input"]) == {"regions": REGION}
    module, _, name = resources["Function"]["Properties"]["Handler"].rpartition(".")
    assert getattr(sys.modules[module], name) is scheduled.handler


def test_the_package_works_on_its_own(tmp_path: Path) -> None:
    with zipfile.ZipFile(BytesIO(build(reports=True))) as archive:
        archive.extractall(tmp_path / "function")
    (tmp_path / "runtime").mkdir()
    site = Path(boto3.__file__).parents[1]
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3"):
        (tmp_path / "runtime" / name).symlink_to(site / name)
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path / 'function')!r}, {str(tmp_path / 'runtime')!r}]\n"
        "from auditor.scheduled import handler\nfrom auditor.render import FORMATS, report_schema\n"
        "print(len(FORMATS), bool(report_schema()), [one for one in ('click', 'rich') if one in sys.modules])\n"
        "try:\n    handler({})\nexcept Exception as error:\n    print(type(error).__name__, error.message)\n"
    )
    told = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    first, second = told.stdout.splitlines()
    assert first == "8 True []"
    assert second.startswith("UsageError DDBAUDIT_BUCKET is not set")
