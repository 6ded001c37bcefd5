"""``ddbaudit demo``: the same everywhere, without network, with something to see for every rule."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

from auditor import engine, packs
from auditor.inventory import Caller
from auditor.render import report_schema
from auditor.resources import Account
from auditor.sources import demo
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access
from auditor.sources.demo.supplement import Supplement
from tests import example
from tests.e2e.conftest import COMMAND, Run, Runner, without_network

CLOCK = {"SOURCE_DATE_EPOCH": "1790000000"}
ELSEWHERE = {
    "AWS_PROFILE": "nonsense",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_REGION": "mars-north-1",
    "AWS_CA_BUNDLE": "/nonexistent",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "HOME": "/nonexistent",
    "TZ": "Asia/Kathmandu",
    "NO_COLOR": "1",
    "COLUMNS": "80",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Two runs: one as usual, one without network and in an environment that is all wrong."""
    usual = Runner(tmp_path_factory.mktemp("usual")).start("demo", env=CLOCK)
    folder = tmp_path_factory.mktemp("elsewhere")
    cut_off = Runner(folder, (*without_network(), *COMMAND)).start("demo", env=CLOCK | ELSEWHERE)
    return usual.finish(), cut_off.finish()


@pytest.fixture(scope="module")
def report(runs: tuple[Run, Run]) -> dict[str, Any]:
    return runs[0].report


def test_the_report_is_the_same_without_network_and_in_any_environment(runs: tuple[Run, Run]) -> None:
    usual, elsewhere = runs
    assert elsewhere.stderr == usual.stderr
    assert elsewhere.code == usual.code == 3
    for name in ("report.json", "report.html"):
        assert (elsewhere.output / name).read_bytes() == (usual.output / name).read_bytes()


def test_only_the_reports_are_written(runs: tuple[Run, Run]) -> None:
    for run in runs:
        assert {path.name for path in run.folder.rglob("*")} == {"ddbaudit-report", "report.html", "report.json"}


def test_the_organisation_has_three_accounts_three_regions_and_every_status(report: dict[str, Any]) -> None:
    jsonschema.validate(report, report_schema(), format_checker=jsonschema.FormatChecker())
    scopes = report["run"]["scopes"]
    assert {one["accountName"] for one in scopes} == {"management", "production", "sandbox"}
    assert {one["region"] for one in scopes} == set(demo.REGIONS)
    assert len(scopes) == 9
    assert 35 <= sum(one["type"] == "AWS::DynamoDB::Table" for one in report["resources"]) <= 60
    assert all(report["summary"]["byStatus"].values())
    assert report["run"]["source"] == "demo"


def test_every_rule_has_something_good_and_something_bad_to_show(report: dict[str, Any]) -> None:
    statuses = defaultdict(set)
    for one in report["findings"]:
        statuses[one["rule"]].add(one["status"])
    assert set(statuses) == set(packs.built_in())
    assert {rule for rule, found in statuses.items() if not {"pass", "fail"} <= found} == set()


def test_what_is_unknown_there_is_what_the_story_says(report: dict[str, Any]) -> None:
    unknown = [one for one in report["findings"] if one["status"] == "unknown"]
    assert {one["reason"] for one in unknown} <= {"access_denied", "undecidable"}
    assert {one["missingPermission"] for one in unknown} <= {None, "kms:DescribeKey", "kms:GetKeyPolicy"}


@pytest.mark.parametrize("run", [0, 1])
def test_no_line_of_the_summary_is_wider_than_a_log_wants_it(runs: tuple[Run, Run], run: int) -> None:
    lines = [line for line in runs[run].stdout.splitlines() if not line.startswith("Report")]
    assert max(map(len, lines)) <= 120
    assert "\x1b" not in runs[run].stdout


def test_options_that_have_no_meaning_are_refused(runs: tuple[Run, Run], tmp_path_factory: Any) -> None:
    ddbaudit = Runner(tmp_path_factory.mktemp("refused"))
    for arguments in (("--profile", "x"), ("--from", "x.json"), ("--region", "mars-north-1")):
        run = ddbaudit("demo", *arguments)
        assert run.code == 2
        assert arguments[1] in run.stderr or arguments[0] in run.stderr


# The answers that stand in for AWS's


def test_every_answer_of_the_supplement_has_awss_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    operations: set[str] = set()
    attach = Supplement.attach

    def attach_and_note(supplement: Supplement, session: Any, account: str) -> None:
        operations.update(supplement._missing, supplement._amended, supplement.answers, supplement.amends)
        attach(supplement, session, account)

    monkeypatch.setattr(Supplement, "attach", attach_and_note)
    met: set[str] = set()
    wrong: list[str] = []

    def check(model: Any, parsed: dict[str, Any], **_: Any) -> None:
        if model.name not in operations:
            return
        met.add(model.name)
        if "Error" in parsed:
            assert set(parsed["Error"]) >= {"Code", "Message"}
            return
        answer = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
        answer = undecoded(answer, model.output_shape)
        found = ParamValidator().validate(answer, model.output_shape).generate_report()
        # AWS itself answers 0 there, against its own model.
        wrong.extend(line for line in found.splitlines() if "NumberOfDecreasesToday, value: 0" not in line)
        wrong.extend(f"{model.name}: {text}" for text in strange(answer, model.output_shape, ""))

    with demo.organisation() as accounts:
        accesses = []
        for one in accounts:
            one.session.events.register_last("after-call", check)
            accesses.append(Access(Account(one.id), one.name, one.session, Pacer("off")))
        wanted = engine.wanted(packs.built_in().values())
        sampling = example.settings().sampling
        collect(accesses, Caller(accounts[0].id, "arn"), list(demo.REGIONS), wanted, sampling=sampling)
        # What a run asks for only where something else is denied.
        accesses[0].client("account", "us-east-1").list_regions()
        accesses[0].client("ec2", "eu-west-1").describe_prefix_lists()
        accesses[0].client("ec2", "eu-west-1").describe_vpc_block_public_access_options()
    assert sorted(set(wrong)) == []
    assert met == operations


def undecoded(value: Any, shape: Shape) -> Any:
    """Return an answer with the policy documents, which boto3 decodes, as the text that AWS sends."""
    if isinstance(shape, StructureShape):
        return {
            name: undecoded(member, shape.members[name]) if name in shape.members else member
            for name, member in value.items()
        }
    if isinstance(shape, ListShape):
        return [undecoded(member, shape.member) for member in value]
    return json.dumps(value) if shape.name == "policyDocumentType" else value


def strange(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Yield members that a shape does not have, and values not of its enumeration (EC2 does not keep to their case)."""
    if isinstance(shape, StructureShape):
        for name, member in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: no such member"
            else:
                yield from strange(member, shape.members[name], f"{path}.{name}")
    elif isinstance(shape, ListShape):
        for member in value:
            yield from strange(member, shape.member, f"{path}[]")
    elif isinstance(shape, MapShape):
        for member in value.values():
            yield from strange(member, shape.value, f"{path}{{}}")
    elif (
        isinstance(shape, StringShape) and shape.enum and value.casefold() not in {one.casefold() for one in shape.enum}
    ):
        yield f"{path}: {value!r} is none of {shape.enum}"
