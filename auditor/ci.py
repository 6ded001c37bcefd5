"""The scheduled job that audits, for three systems: ``ddbaudit init --ci``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from auditor.errors import UsageError
from auditor.packs import bundled

#: System -> the file that it reads, and what is left to do with it.
SYSTEMS = {
    "github": (".github/workflows/ddbaudit.yml", "Commit it to the default branch: schedules run there."),
    "gitlab": ("ddbaudit.gitlab-ci.yml", "Include it in .gitlab-ci.yml, and make a pipeline schedule."),
    "codebuild": ("buildspec.yml", "Name it in the CodeBuild project, and start that by a schedule."),
}

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)


def job(system: str, install_from: str, role_arn: str, regions: Sequence[str]) -> str:
    """Return the text of the job's file.

    Args:
        system: One of :data:`SYSTEMS`.
        install_from: What pip installs: ddbaudit is on no package index.
        role_arn: The role that the job takes.
        regions: Regions to audit; empty: all.

    Raises:
        UsageError: a value is not what it should be.
    """
    if not _ROLE.fullmatch(role_arn):
        raise UsageError(
            f'--role-arn: "{role_arn}" is no ARN of a role.', "For example arn:aws:iam::111122223333:role/ddbaudit."
        )
    if re.match(r"[A-Za-z0-9._-]+([<>=!~\[ ]|$)", install_from) and not install_from.endswith((".whl", ".tar.gz")):
        raise UsageError(
            f'--install-from: "{install_from}" is a name, and ddbaudit is on no package index.',
            "Give a wheel's path or address, or git+https://HOST/REPOSITORY@COMMIT.",
        )
    if not install_from.isprintable() or install_from.startswith("-") or "$" in install_from:
        raise UsageError("--install-from: is nothing that pip can install.", "Give a wheel or a git+https:// address.")
    text = (bundled("reports") / "ci" / f"{system}.yml").read_text(encoding="utf-8")
    # As JSON texts they are YAML texts too, whatever is in them; a dollar sign, which all three expand, is in none.
    values = {"INSTALL_FROM": install_from, "ROLE_ARN": role_arn, "REGIONS": " ".join(regions)}
    for name, value in values.items():
        text = text.replace(f"@{name}@", json.dumps(value))
    if not regions:
        text = "".join(line for line in text.splitlines(keepends=True) if "DDBAUDIT_REGION" not in line)
    return text
