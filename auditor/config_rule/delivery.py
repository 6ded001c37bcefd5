"""What is told to AWS Config, by clients that can do nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import botocore.config
import botocore.exceptions

from auditor.config_rule.event import Event
from auditor.errors import AuditError, UsageError
from auditor.sources.aws.config_items import read_item
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access

log = logging.getLogger(__name__)

#: Evaluations in a call (PutEvaluations), and seconds before each further try of those that were not taken.
BATCH, WAITS = 100, (1.0, 2.0, 4.0, 8.0, 16.0)

#: All that the delivering clients may do.
OPERATIONS = frozenset({"PutEvaluations", "GetComplianceDetailsByConfigRule", "GetResourceConfigHistory"})


class DeliveryError(AuditError):
    """AWS Config did not take a result, or did not tell what it has."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What AWS Config is told of a resource.

    Attributes:
        type: ``ComplianceResourceType``.
        id: ``ComplianceResourceId``.
        compliance: ``COMPLIANT``, ``NON_COMPLIANT`` or ``NOT_APPLICABLE``.
        annotation: Why; at most 256 characters, may be empty.
        moment: ``OrderingTimestamp``: of several results AWS Config keeps the one with the latest.
    """

    type: str
    id: str
    compliance: str
    annotation: str
    moment: datetime

    def parameters(self) -> dict[str, Any]:
        """Return it as PutEvaluations takes it; an empty annotation is none."""
        made: dict[str, Any] = {
            "ComplianceResourceType": self.type,
            "ComplianceResourceId": self.id,
            "ComplianceType": self.compliance,
            "OrderingTimestamp": self.moment,
        }
        return made | ({"Annotation": self.annotation} if self.annotation else {})


@dataclass(frozen=True)
class Delivery:
    """A way to AWS Config, and to the account that is audited.

    Attributes:
        access: What the rules read through; it cannot write.
        client: The client of AWS Config; it can do :data:`OPERATIONS` and nothing else.
        asked: The event.
        sleep: Waits so many seconds.
    """

    access: Access
    client: Any
    asked: Event
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def of(cls, asked: Event, session: Any, role_name: str) -> Delivery:
        """Return the ways for an event, in the account of its rule.

        Args:
            asked: The event.
            session: Makes a boto3 session.
            role_name: The role to take there; an empty text: the function's own.

        Raises:
            DeliveryError: the role cannot be taken.
        """
        credentials: dict[str, str] = {}
        if role_name:
            arn = f"arn:{asked.account.partition}:iam::{asked.account.id}:role/{role_name}"
            client = session().client("sts", region_name=asked.region.name)
            try:
                answer = client.assume_role(RoleArn=arn, RoleSessionName="ddbaudit-config-rule")
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
                raise DeliveryError(f"{arn} cannot be assumed: {error}", "Let the function's role assume it.") from None
            held = answer["Credentials"]
            credentials = {
                "aws_access_key_id": held["AccessKeyId"],
                "aws_secret_access_key": held["SecretAccessKey"],
                "aws_session_token": held["SessionToken"],
            }
        # Two sessions: the one that reads refuses to write, the one that writes refuses all but three operations.
        writing = session(**credentials)
        writing.events.register_first("before-call", _refuse, unique_id="ddbaudit-config-only")
        retries = botocore.config.Config(retries={"mode": "standard", "total_max_attempts": 8})
        client = writing.client("config", region_name=asked.region.name, config=retries)
        access = Access(asked.account, "", session(**credentials), Pacer("documented"))
        return cls(access, client, asked)

    def inflate(self, asked: Event) -> Event:
        """Return an event with the item that was too large to be in it (GetResourceConfigHistory).

        Raises:
            DeliveryError: AWS Config does not give it.
        """
        summary = asked.oversized
        assert summary is not None
        answer = self._call(
            "get_resource_config_history",
            resourceType=summary.type,
            resourceId=summary.id,
            laterTime=summary.captured,
            limit=1,
        )
        found = answer.get("configurationItems") or []
        if not found:
            raise DeliveryError(f"AWS Config has no item of {summary.type} {summary.id}.")
        item = read_item(found[0])
        return replace(asked, item=replace(item, arn=item.arn or summary.arn), oversized=None)

    def put(self, evaluations: Sequence[Evaluation]) -> None:
        """Tell AWS Config, a hundred at a time; what it does not take is told again.

        Raises:
            DeliveryError: it did not take something in the end.
        """
        test = {"TestMode": True} if self.asked.test_mode else {}
        lost: list[str] = []
        # Without any result the call says that the run has ended; a trial has nothing to end.
        batches = [evaluations[start : start + BATCH] for start in range(0, len(evaluations), BATCH)]
        for batch in batches or ([] if test else [[]]):
            open_ones = list(batch)
            for wait in (*WAITS, None):
                answer = self._put(open_ones, test)
                if answer is None:
                    return
                failed = {
                    (one.get("ComplianceResourceType"), one.get("ComplianceResourceId"))
                    for one in answer.get("FailedEvaluations") or ()
                }
                open_ones = [one for one in open_ones if (one.type, one.id) in failed]
                if not open_ones:
                    break
                if wait is None:
                    lost += [f"{one.type} {one.id}" for one in open_ones]
                else:
                    self.sleep(wait)
        if lost:
            raise DeliveryError(f"AWS Config did not take {len(lost)} results: {', '.join(lost[:5])}.")

    def _put(self, evaluations: Sequence[Evaluation], test: dict[str, bool]) -> Any:
        """Return the answer, or None if the rule is gone."""
        parameters = [one.parameters() for one in evaluations]
        try:
            return self.client.put_evaluations(Evaluations=parameters, ResultToken=self.asked.token, **test)
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchConfigRuleException":
                log.warning("the rule %s is gone: nobody wants the results", self.asked.rule)
                return None
            raise DeliveryError(f"AWS Config did not take the results: {error}") from None
        except botocore.exceptions.BotoCoreError as error:
            raise DeliveryError(f"AWS Config did not take the results: {error}") from None

    def earlier(self) -> Iterable[tuple[str, str]]:
        """Return type and id of the resources that AWS Config has a result of the rule about.

        Raises:
            DeliveryError: it does not tell.
        """
        found: set[tuple[str, str]] = set()
        token: dict[str, str] = {}
        while True:
            answer = self._call(
                "get_compliance_details_by_config_rule",
                ConfigRuleName=self.asked.rule,
                ComplianceTypes=["COMPLIANT", "NON_COMPLIANT"],
                Limit=100,
                **token,
            )
            for one in answer.get("EvaluationResults") or ():
                qualifier = one.get("EvaluationResultIdentifier", {}).get("EvaluationResultQualifier", {})
                if qualifier.get("ResourceType") and qualifier.get("ResourceId"):
                    found.add((qualifier["ResourceType"], qualifier["ResourceId"]))
            if not answer.get("NextToken"):
                return sorted(found)
            token = {"NextToken": answer["NextToken"]}

    def _call(self, operation: str, **parameters: Any) -> Any:
        try:
            return getattr(self.client, operation)(**parameters)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise DeliveryError(f"AWS Config did not answer {operation}: {error}") from None


def _refuse(model: Any, **_: Any) -> None:
    if model.service_model.service_name != "config" or model.name not in OPERATIONS:
        raise UsageError(f"refused to call {model.service_model.service_name}:{model.name}: results are told, no more.")
