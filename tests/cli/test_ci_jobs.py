"""The scheduled jobs: valid for the systems that read them, and their steps do what they should when they run."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditor.ci import SYSTEMS, job
from auditor.errors import UsageError
from tests.cli.conftest import Command, assert_refused

REF, ROLE = "git+https://git.example.org/ddbaudit@0123abc", "arn:aws:iam::111122223333:role/audit/ddbaudit"
BIN, ROOT = Path(sys.executable).parent, Path(__file__).parents[2]
GIVEN = ("--install-from", REF, "--role-arn", ROLE)
#: What the job leaves: its exit code, and whether the report says that the run was complete.
OUTCOMES = [(0, True), (3, True), (3, False), (4, False), (2, None), (1, None)]


def parsed(system: str, **changes: Any) -> Any:
    given: dict[str, Any] = {"install_from": REF, "role_arn": ROLE, "regions": ["eu-west-1", "eu-central-1"]}
    return yaml.safe_load(job(system, **(given | changes)))


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_given_stands_in_the_job(system: str) -> None:
    text = job(system, REF, ROLE, ["eu-west-1", "eu-central-1"])
    for value in (REF, ROLE, "eu-west-1 eu-central-1"):
        assert json.dumps(value) in text
    assert "@INSTALL" not in text
    assert "DDBAUDIT_REGION" not in job(system, REF, ROLE, [])


def checked(*command: str) -> None:
    told = subprocess.run([str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=False)  # noqa: S603
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("regions", [[], ["eu-west-1"]])
def test_the_jobs_are_valid_for_github_and_gitlab_and_safe(tmp_path: Path, regions: list[str]) -> None:
    workflow, pipeline = tmp_path / ".github/workflows/ddbaudit.yml", tmp_path / "ddbaudit.gitlab-ci.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(job("github", REF, ROLE, regions))
    pipeline.write_text(job("gitlab", REF, ROLE, regions))
    checked("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(workflow))
    gitlab = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    checked("check-jsonschema", *gitlab, str(pipeline))
    checked("zizmor", "--offline", "--pedantic", str(workflow))


def test_the_workflow_may_only_what_it_needs_and_every_action_is_pinned() -> None:
    held = parsed("github")
    assert held["permissions"] == {}
    assert held["jobs"]["audit"]["permissions"] == {
        "contents": "read",
        "id-token": "write",
        "security-events": "write",
        "actions": "read",
    }
    uses = re.findall(r"uses: (\S+)", job("github", REF, ROLE, []))
    assert len(uses) == 5
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", one) for one in uses)


def stubs(folder: Path, code: int, complete: bool | None) -> dict[str, str]:
    """Put a ``python`` in front whose virtual environments have a ``ddbaudit`` of ours; return the environment."""
    report = "" if complete is None else (
        "mkdir -p ddbaudit-report; echo '# the summary' > ddbaudit-report/report.md; "
        f"echo '{{\"run\": {{\"complete\": {json.dumps(complete)}}}}}' > ddbaudit-report/report.json; "
        "touch ddbaudit-report/junit.xml"
    )  # fmt: skip
    tool = f'#!/bin/bash\necho "$@" >> "$CALLS"\n{report}\nexit {code}\n'
    python = (
        '#!/bin/bash\necho "python $*" >> "$CALLS"\n'
        f'if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi\n'
        'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$STUBS/python" "$STUBS/ddbaudit" "$3/bin/"; fi\n'
    )
    bins = folder / "stubs"
    bins.mkdir()
    for name, text in (("ddbaudit", tool), ("python", python), ("python3", python)):
        (bins / name).write_text(text)
        (bins / name).chmod(stat.S_IRWXU)
    for name in ("temp", "work"):
        (folder / name).mkdir()
    return {
        "PATH": f"{bins}:/usr/bin:/bin",
        "STUBS": str(bins),
        "CALLS": str(folder / "calls"),
        "RUNNER_TEMP": str(folder / "temp"),
        **{name: str(folder / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")},
    }


def bash(script: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    # As GitHub's runner calls it; GitLab's ends at the first command that fails, too.
    command = ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.mark.parametrize(("code", "complete"), OUTCOMES)
def test_the_workflow_keeps_the_reports_and_ends_with_the_exit_code(
    tmp_path: Path, code: int, complete: bool | None
) -> None:
    audit = parsed("github")["jobs"]["audit"]
    environment = stubs(tmp_path, code, complete) | audit["env"]
    steps = {one["name"]: one for one in audit["steps"]}
    for name in ("Install ddbaudit", "Audit"):
        told = bash(steps[name]["run"], environment, tmp_path / "work")
        assert told.returncode == 0, told.stderr
    outputs = dict(line.split("=", 1) for line in (tmp_path / "GITHUB_OUTPUT").read_text().splitlines())
    assert outputs == {"exit-code": str(code), "complete": "false" if complete is None else str(complete)}
    assert (tmp_path / "GITHUB_STEP_SUMMARY").exists() is (complete is not None)
    assert f"pip install {REF}" in (tmp_path / "calls").read_text()
    # Alerts are updated by whole runs only; the reports are kept in any case.
    alerts = steps["Update the alerts"]["if"]
    assert alerts == "${{ !cancelled() && steps.audit.outputs.complete == 'True' }}"
    assert (outputs["complete"] == "True") is (complete is True)
    assert steps["Keep the reports"]["if"] == "${{ !cancelled() }}"
    decided = bash(steps["Decide"]["run"], environment | {"CODE": str(code)}, tmp_path / "work")
    assert decided.returncode == code
    assert ("::error" in decided.stdout) is bool(code)


def test_a_step_that_never_came_to_the_audit_fails_the_workflow(tmp_path: Path) -> None:
    steps = {one["name"]: one for one in parsed("github")["jobs"]["audit"]["steps"]}
    assert bash(steps["Decide"]["run"], {"PATH": os.environ["PATH"], "CODE": ""}, tmp_path).returncode == 1


@pytest.mark.parametrize(("code", "complete"), OUTCOMES)
def test_the_pipeline_ends_with_the_exit_code_and_keeps_what_was_written(
    tmp_path: Path, code: int, complete: bool | None
) -> None:
    held = parsed("gitlab")["ddbaudit"]
    environment = stubs(tmp_path, code, complete) | held["variables"] | {"AWS_ID_TOKEN": "secret-token"}
    script = "\n".join([*held["before_script"], "cat $AWS_WEB_IDENTITY_TOKEN_FILE", *held["script"]])
    told = bash(script, environment, tmp_path / "work")
    assert told.returncode == code, told.stderr
    assert "secret-token" in told.stdout
    token = tmp_path / "work/.ddbaudit/aws-id-token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert held["artifacts"]["when"] == "always"
    assert (tmp_path / "work" / held["artifacts"]["reports"]["junit"]).exists() is (complete is not None)
    assert not any(token.is_relative_to(tmp_path / "work" / one) for one in held["artifacts"]["paths"])


@pytest.mark.parametrize(("code", "complete"), OUTCOMES)
def test_the_build_ends_with_the_exit_code(tmp_path: Path, code: int, complete: bool | None) -> None:
    held = parsed("codebuild")
    environment = stubs(tmp_path, code, complete) | held["env"]["variables"]
    script = "\n".join([*held["phases"]["install"]["commands"], *held["phases"]["build"]["commands"]])
    assert bash(script, environment, tmp_path / "work").returncode == code
    profile = (tmp_path / "work/.ddbaudit/aws-config").read_text()
    assert profile == f"[profile audit]\nrole_arn = {ROLE}\ncredential_source = EcsContainer\n"
    (report,) = held["reports"].values()
    assert (tmp_path / "work" / report["base-directory"] / report["files"][0]).exists() is (complete is not None)


def test_options_of_the_jobs_are_options_of_ours(ddbaudit: Command) -> None:
    for system in SYSTEMS:
        for command in re.findall(r"ddbaudit run (.*?)(?: \|\||\n)", job(system, REF, ROLE, [])):
            words = command.replace("--profile audit", "").split()
            told = ddbaudit("run", *words, "--rule", "table-pitr", "--from", "no.json.gz")
            assert "no.json.gz: cannot be read" in told.err


def test_the_command_writes_the_job(ddbaudit: Command, tmp_path: Path) -> None:
    for system, (name, _) in SYSTEMS.items():
        told = ddbaudit("init", "--ci", system, *GIVEN, "--region", "eu-west-1")
        assert told.code == 0, told.err
        assert told.out.startswith(f"Wrote {name}. ")
        assert (tmp_path / name).read_text() == job(system, REF, ROLE, ["eu-west-1"])
    assert_refused(ddbaudit("init", "--ci", "github", *GIVEN), "there is already such a file", "--force")


def test_the_command_writes_the_template_of_a_schedule_in_aws(ddbaudit: Command, tmp_path: Path) -> None:
    told = ddbaudit("init", "--ci", "aws", "--region", "eu-west-1")
    assert told.written == ("ddbaudit-schedule.yaml",)
    held = yaml.safe_load((tmp_path / "ddbaudit-schedule.yaml").read_text())
    assert held["Resources"]["ScheduledAudit"]["Properties"]["Target"]["Input"] == '{"regions": "eu-west-1"}'
    assert_refused(ddbaudit("init", "--ci", "aws", *GIVEN), "mean nothing", "config-rule package --reports")


def test_bad_input(ddbaudit: Command) -> None:
    github = ("init", "--ci", "github")
    assert_refused(ddbaudit("init", "--ci", "jenkins"), "--ci")
    assert_refused(ddbaudit(*github), "--ci needs --install-from")
    assert_refused(ddbaudit(*github, "--install-from", REF), "--ci needs --role-arn")
    assert_refused(ddbaudit("init", *GIVEN), "are about a job")
    assert_refused(ddbaudit(*github, *GIVEN, "--region", "mars-1"), "mars-1")
    assert_refused(ddbaudit(*github, "--install-from", "ddbaudit", "--role-arn", ROLE), "on no package index")


@pytest.mark.parametrize(
    "install_from",
    [
        "ddbaudit",
        "ddbaudit==1",
        "ddbaudit[demo]",
        "--index-url=x",
        "x.whl\nrun: evil",
        "${{ secrets.X }}.whl",
        "a$(id).whl",
    ],
)
def test_what_would_not_install_ours_or_would_run_something_else_is_refused(install_from: str) -> None:
    with pytest.raises(UsageError, match="--install-from"):
        job("github", install_from, ROLE, [])


@pytest.mark.parametrize(
    "quoted", ['https://h/a"b.whl', "https://h/a'b.whl", "https://h/a b # c.whl", "./dist/x-1-py3.whl"]
)
def test_quotes_and_comments_in_an_address_stay_in_it(quoted: str) -> None:
    assert parsed("github", install_from=quoted)["jobs"]["audit"]["env"]["INSTALL_FROM"] == quoted


@pytest.mark.parametrize(
    "arn", ["", "arn:aws:iam::1:role/x", "arn:aws:iam::111122223333:user/x", f'{ROLE}"\n', f"{ROLE} x"]
)
def test_what_is_no_role_is_refused(arn: str) -> None:
    with pytest.raises(UsageError, match="--role-arn"):
        job("gitlab", REF, arn, [])


# The action and the component that the repository carries

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
COMPONENT = (ROOT / "templates/ddbaudit.yml").read_text(encoding="utf-8")


def component(**inputs: str) -> Any:
    """Return the component's job with its inputs, as GitLab fills them in."""
    spec, body = COMPONENT.split("\n---\n")
    known = yaml.safe_load(spec)["spec"]["inputs"]
    assert set(re.findall(r"\$\[\[ inputs\.(\w+) \]\]", body)) == set(known)
    values = {name: one.get("default") for name, one in known.items()} | inputs
    return re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda found: str(values[found[1]]), body)


def test_the_action_and_the_component_are_valid_and_safe(tmp_path: Path) -> None:
    checked("check-jsonschema", "--builtin-schema", "vendor.github-actions", str(ROOT / "action.yml"))
    checked("zizmor", "--offline", "--pedantic", str(ROOT / "action.yml"))
    pipeline = tmp_path / "job.gitlab-ci.yml"
    pipeline.write_text(component(install_from=REF, role_arn=ROLE))
    checked("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", str(pipeline))
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]  # what is given goes through the environment, where it is no code


@pytest.mark.parametrize(("code", "complete"), OUTCOMES)
@pytest.mark.parametrize("fail", ["true", "false"])
def test_the_action_has_its_outputs_and_fails_when_it_should(
    tmp_path: Path, code: int, complete: bool | None, fail: str
) -> None:
    steps = {one["name"]: one for one in ACTION["runs"]["steps"]}
    given = {name: one["default"] for name, one in ACTION["inputs"].items()} | {"region": "eu-west-1 us-east-1"}
    environment = stubs(tmp_path, code, complete) | {"SOURCE": "/the/action"}
    for name, value in steps["Audit"]["env"].items():
        found = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)
        environment[name] = given[found[1]] if found else value
    for name in ("Install ddbaudit", "Audit"):
        told = bash(steps[name]["run"], environment, tmp_path / "work")
        assert told.returncode == 0, told.stderr
    outputs = dict(line.split("=", 1) for line in (tmp_path / "GITHUB_OUTPUT").read_text().splitlines())
    assert outputs == {
        "exit-code": str(code),
        "failed": "true" if code else "false",
        "complete": "true" if complete else "false",
        "report-dir": "ddbaudit-report",
        "sarif-file": "ddbaudit-report/report.sarif",
    }
    assert {one["value"] for one in ACTION["outputs"].values()} == {
        f"${{{{ steps.audit.outputs.{name} }}}}" for name in outputs
    }
    assert environment["DDBAUDIT_REGION"] == "eu-west-1 us-east-1"
    decided = bash(steps["Decide"]["run"], environment | {"CODE": str(code), "FAIL": fail}, tmp_path / "work")
    assert decided.returncode == (code if fail == "true" else 0)


@pytest.mark.parametrize(("code", "complete"), OUTCOMES)
def test_the_component_ends_with_the_exit_code(tmp_path: Path, code: int, complete: bool | None) -> None:
    held = yaml.safe_load(component(install_from=REF, role_arn=ROLE, job_name="audit"))["audit"]
    environment = stubs(tmp_path, code, complete) | held["variables"] | {"AWS_ID_TOKEN": "t"}
    script = "\n".join([*held["before_script"], *held["script"]])
    assert bash(script, environment, tmp_path / "work").returncode == code
    assert f"pip install {REF}" in (tmp_path / "calls").read_text()


def test_what_the_action_leaves_empty_is_not_given(ddbaudit: Command, snapshot: str) -> None:
    audit = next(one for one in ACTION["runs"]["steps"] if one["name"] == "Audit")
    empty = {name: "" for name, value in audit["env"].items() if value.startswith("${{")}
    told = ddbaudit("run", "--from", snapshot, "--rule", "table-pitr", "--allow-incomplete", **empty)
    assert told.code in (0, 3), told.err
    assert all(name.startswith("ddbaudit-report") for name in told.written)
    unset = empty | {"DDBAUDIT_NEW_ONLY": "false", "DDBAUDIT_FAIL_ON": "none"}
    assert ddbaudit("run", "--from", snapshot, "--rule", "table-pitr", "--allow-incomplete", **unset).code == 0
