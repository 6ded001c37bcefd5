"""The AWS Lambda function that audits its account by the clock: :func:`handler`.

It writes the reports to a bucket, compares them with the last ones there, and publishes a short message when the gate
fails or something could not be evaluated. ``ddbaudit init --ci aws`` writes the CloudFormation template.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

from auditor import __version__, acceptance, comparison, config, engine, packs
from auditor.comparison import PreviousReport
from auditor.config import Config, suggest
from auditor.errors import AuditError, UsageError
from auditor.inventory import Caller, Inventory
from auditor.report import Report, RunInfo, exit_line
from auditor.rule_api import Severity
from auditor.sources.aws.account import check_regions
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access, identify
from auditor.text import plain

log = logging.getLogger(__name__)

SETTINGS = Path("ddbaudit.yaml")

#: Keys of the event; texts, several values separated by spaces.
KEYS = ("rules", "skip", "severity", "regions", "failOn", "formats")

#: All that the delivering clients may do, by service.
OPERATIONS = {"s3": ("PutObject", "GetObject", "ListObjectsV2"), "sns": ("Publish",)}

#: SNS takes 100 characters of a subject, in ASCII.
MOST_SUBJECT = 100


class DeliveryError(AuditError):
    """The reports could not be written, or the message could not be published."""


def handler(event: Mapping[str, Any], context: object = None) -> dict[str, Any]:
    """Audit the function's account, write the reports, and publish a message if the gate fails.

    The environment names the bucket (``DDBAUDIT_BUCKET``), the beginning of the keys in it (``DDBAUDIT_PREFIX``) and
    the topic (``DDBAUDIT_TOPIC``; without one nothing is published). ``ddbaudit.yaml`` in the package counts.

    Args:
        event: See :data:`KEYS`; all are optional.
        context: Lambda's context; not used.

    Returns:
        The exit code that the command would have, its last line, and where the reports are.

    Raises:
        UsageError: the event, the environment or the settings are wrong.
        CredentialsError: the function's role does not work.
        DeliveryError: a report could not be written, or the message not be published.
    """
    del context
    return audit(event, os.environ, boto3.Session)


def audit(
    event: Mapping[str, Any], environment: Mapping[str, str], session: Any, *, settings: Path = SETTINGS
) -> dict[str, Any]:
    """Do what :func:`handler` does.

    Args:
        event: The event.
        environment: Environment variables.
        session: Makes a boto3 session.
        settings: The file with the global settings; need not be there.

    Raises: see :func:`handler`.
    """
    asked = asked_of(event, settings)
    target = Target.of(environment, session)
    reading = session()
    account, arn = identify(reading, None)
    started = datetime.now(UTC)
    previous = target.previous()
    inventory = collect(
        [Access(account, "", reading, Pacer("documented"))],
        Caller(account.id, arn),
        asked.regions,
        engine.wanted(asked.rules.values()),
        sampling=asked.config.sampling,
    )
    return conclude(inventory, asked, target, started, settings, previous)


def conclude(
    inventory: Inventory,
    asked: Asked,
    target: Target,
    started: datetime,
    settings: Path,
    previous: PreviousReport | None,
) -> dict[str, Any]:
    """Audit what was collected, write the reports, and publish a message if the gate fails.

    Args:
        inventory: What was collected.
        asked: What the audit is to be.
        target: Where the reports go.
        started: When the collection began.
        settings: The file with the global settings: the acceptance file stands beside it.
        previous: The last report.

    Returns: see :func:`handler`.

    Raises:
        UsageError: the acceptance file is wrong.
        DeliveryError: a report could not be written, or the message not be published.
    """
    finished = datetime.now(UTC)
    run_id = hashlib.sha256(f"{inventory.caller.arn} {finished.isoformat()}".encode()).hexdigest()[:32]
    accepted = None
    if asked.config.baseline:
        accepted = acceptance.load(settings.parent / asked.config.baseline, finished.date())
    report = engine.audit(
        inventory,
        asked.rules,
        asked.config,
        RunInfo(run_id, started, finished, "aws", inventory.caller),
        version=__version__,
        fail_on=asked.fail_on,
        accepted=accepted,
        previous=previous,
    )
    place = target.write(report, asked.formats)
    if report.gate.exit_code:
        target.publish(report, place)
    log.info("%s", exit_line(report))
    return {"exitCode": report.gate.exit_code, "summary": exit_line(report), "reports": place}


@dataclass(frozen=True)
class Asked:
    """What an audit is to be: rules, settings, regions, gate and formats."""

    rules: packs.Rules
    config: Config
    regions: list[str]
    fail_on: Severity | None
    formats: list[str]


def asked_of(event: Mapping[str, Any], settings: Path) -> Asked:
    """Return what an event asks for, with the settings.

    Raises:
        UsageError: the event or the settings are wrong.
    """
    from auditor.render import FORMATS

    unknown = sorted(set(event) - set(KEYS))
    if unknown:
        raise UsageError(f'the event has an unknown key "{unknown[0]}".{suggest(unknown[0], KEYS)}', _HINT)
    given = {name: str(event.get(name) or "").split() for name in KEYS}
    held, root = config.load(settings) if settings.is_file() else (Config(), None)
    everything = packs.load()
    configured = packs.configure(everything, held, root, settings)
    levels = {}
    for name, default in (("severity", ""), ("failOn", "high")):
        level = (given[name] or [default])[0].upper()
        if level not in ("", "NONE" if name == "failOn" else "", *Severity.__members__):
            raise UsageError(f'the event\'s {name} is "{level.lower()}", which is no severity.', _HINT)
        levels[name] = Severity[level] if level in Severity.__members__ else None
    rules = packs.select(
        configured, given["rules"], given["skip"], levels["severity"], disabled=everything.keys() - configured.keys()
    )
    check_regions(given["regions"])
    formats = given["formats"] or ["html", "json"]
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f'the event asks for the format "{name}".{suggest(name, list(FORMATS))}', _HINT)
    return Asked(rules, held, given["regions"], levels["failOn"], list(dict.fromkeys([*formats, "json"])))


_HINT = f"Keys of the event: {', '.join(KEYS)}; texts, with spaces between several values."


@dataclass(frozen=True)
class Target:
    """Where the reports go.

    Attributes:
        bucket: The bucket's name.
        prefix: The beginning of keys, without a slash at the end.
        topic: ARN of the topic; an empty text: none.
        s3: A client that can read and write objects, and nothing else.
        sns: A client that can publish, and nothing else.
    """

    bucket: str
    prefix: str
    topic: str
    s3: Any
    sns: Any

    @classmethod
    def of(cls, environment: Mapping[str, str], session: Any) -> Target:
        """Return what the environment names.

        Raises:
            UsageError: no bucket is named.
        """
        bucket = environment.get("DDBAUDIT_BUCKET", "")
        if not bucket:
            raise UsageError("DDBAUDIT_BUCKET is not set: where are the reports to go?", "Set it for the function.")
        writing = session()
        writing.events.register_first("before-call", _refuse, unique_id="ddbaudit-deliver-only")
        retries = botocore.config.Config(retries={"mode": "standard", "total_max_attempts": 8})
        clients = [writing.client(name, config=retries) for name in ("s3", "sns")]
        prefix = environment.get("DDBAUDIT_PREFIX", "ddbaudit").strip("/")
        return cls(bucket, prefix, environment.get("DDBAUDIT_TOPIC", ""), *clients)

    def previous(self) -> PreviousReport | None:
        """Return the last report; None where there is none, or none that can be read."""
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=f"{self.prefix}/latest/report.json")
            data = answer["Body"].read()
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            log.warning("there is no last report to compare with: %s", error)
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.json"
            path.write_bytes(data)
            try:
                return comparison.read(path)
            except UsageError as error:
                log.warning("the last report cannot be compared with: %s", error.message)
                return None

    def write(self, report: Report, formats: list[str]) -> str:
        """Write the reports under the day and the run, and once more as the latest ones; return where.

        Raises:
            DeliveryError: one cannot be written.
        """
        from auditor.render import FORMATS

        day = f"{report.run.finished:%Y/%m/%d}"
        folder = f"{self.prefix}/{day}/{report.run.id}"
        rendered = {FORMATS[name][0]: FORMATS[name][1](report).encode() for name in formats}
        for place in (folder, f"{self.prefix}/latest"):
            for name, data in rendered.items():
                kind = {"html": "text/html; charset=utf-8", "json": "application/json"}.get(
                    name.rpartition(".")[2], "text/plain; charset=utf-8"
                )
                try:
                    self.s3.put_object(Bucket=self.bucket, Key=f"{place}/{name}", Body=data, ContentType=kind)
                except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
                    where = f"s3://{self.bucket}/{place}/{name}"
                    raise DeliveryError(f"{where} cannot be written: {error}", "Let the function's role.") from None
        return f"s3://{self.bucket}/{folder}/"

    def publish(self, report: Report, place: str) -> None:
        """Publish a short message, where a topic is named.

        Raises:
            DeliveryError: it cannot be published.
        """
        if not self.topic:
            return
        line = exit_line(report).removeprefix("ddbaudit: ")
        failed = {level: number for level, number in report.failed_by_severity.items() if number}
        counts = ", ".join(f"{number:,} {level}" for level, number in failed.items()) or "none"
        text = [
            f"ddbaudit, account {report.run.caller.account}: {line}.",
            f"Failures: {counts}.",
            f"Reports: {place}",
        ]
        if report.previous is not None:
            text.insert(2, f"Since the last run: {report.new:,} new, {report.previous.fixed:,} fixed.")
        subject = f"ddbaudit {report.run.caller.account}: {line}"[:MOST_SUBJECT]
        try:
            self.sns.publish(TopicArn=self.topic, Subject=subject, Message="\n".join(map(plain, text)))
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise DeliveryError(f"the message cannot be published: {error}", "Let the function's role.") from None


def _refuse(model: Any, **_: Any) -> None:
    service = model.service_model.service_name
    if model.name not in OPERATIONS.get(service, ()):
        raise UsageError(f"refused to call {service}:{model.name}: reports are delivered, no more.")
