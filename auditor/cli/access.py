"""``ddbaudit access``: the access engine at the prompt."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from auditor.cli.audit import check_region_names, demo_inventory, demo_source, from_aws, from_snapshot
from auditor.cli.options import Settings, manners, option, scope, settle, together
from auditor.config import suggest
from auditor.errors import UsageError

if TYPE_CHECKING:
    from auditor.access.answers import Answer, Step
    from auditor.access.estate import Estate, Principal, Table

question = together(
    option("--from", "snapshot", metavar="SNAPSHOT", help="Ask a snapshot file instead of AWS; no network."),
    click.option("--demo", "example", is_flag=True, help="Ask the embedded example organisation."),
    click.option(
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="For people or for programs.",
    ),
    option("--config", metavar="FILE", help="Settings.  [default: ./ddbaudit.yaml if present]"),
)


@click.group()
def access() -> None:
    """Say who can do what to a table, by which path, under which conditions, and why.

    VERB is read, read-stream, write, delete-data, copy-out, delete-table, delete-backup, admin, permissions,
    replication-service or metadata, or an IAM action such as dynamodb:DeleteItem. TABLE is a name or an ARN,
    PRINCIPAL an ARN or, for example, role/orders-api.
    """


@access.command("who-can")
@click.argument("verb")
@click.argument("table")
@scope
@question
@manners
@click.pass_context
def who_can(context: click.Context, /, verb: str, table: str, **_: Any) -> int:
    """List everybody who can do something to a table."""
    from auditor.access.answers import Access

    settings = settle(context, demo_source().CONFIG if context.params["example"] else None)
    check_verb(verb)
    estate = load(settings, table)
    found = find_table(estate, table)
    answers = Access(estate).who_can(verb, found)
    shared = list(dict.fromkeys(text for one in answers for text in one.assumptions))
    shared = shared or [*found.assumptions, *estate.assumptions]
    if settings["form"] == "json":
        _print_json(
            {
                "table": found.arn,
                "verb": verb,
                "assumptions": shared,
                "principals": [{"principal": one.principal, **as_json(one)} for one in answers],
            }
        )
        return 0
    _echo(
        f"{len(answers) or 'Nobody'} {'principal' if len(answers) == 1 else 'principals' if answers else ''} can "
        f"{verb} table {found.name} ({found.arn})".replace("  ", " ")
    )
    for one in answers:
        for line in in_text(one, settings, assumptions=False):
            _echo(line)
    for text in shared:
        _echo(f"assumes: {text}")
    return 0


@access.command()
@click.argument("principal")
@click.argument("verb")
@click.argument("table")
@scope
@question
@manners
@click.pass_context
def can(context: click.Context, /, principal: str, verb: str, table: str, **_: Any) -> int:
    """Say whether a principal can do something to a table, and by which path."""
    return _one(context, principal, verb, table, trace=False)


@access.command()
@click.argument("principal")
@click.argument("verb")
@click.argument("table")
@scope
@question
@manners
@click.pass_context
def explain(context: click.Context, /, principal: str, verb: str, table: str, **_: Any) -> int:
    """As `can`, with every request that was evaluated and every statement that speaks about it."""
    return _one(context, principal, verb, table, trace=True)


def _one(context: click.Context, principal: str, verb: str, table: str, *, trace: bool) -> int:
    from auditor.access.answers import Access

    settings = settle(context, demo_source().CONFIG if context.params["example"] else None)
    check_verb(verb)
    estate = load(settings, table)
    answer = Access(estate).can(find_principal(estate, principal), verb, find_table(estate, table), thorough=trace)
    if settings["form"] == "json":
        _print_json(as_json(answer) | ({"trace": [step_json(step) for step in answer.trace]} if trace else {}))
        return 0
    for line in in_text(answer, settings, assumptions=True):
        _echo(line)
    if trace:
        for line in trace_text(answer.trace):
            _echo(line)
    return 0


def check_verb(verb: str) -> None:
    """Refuse what is neither a verb nor one of DynamoDB's actions.

    Raises:
        UsageError: it is none.
    """
    from auditor.access.actions import actions, verbs
    from auditor.access.answers import actions_of

    try:
        actions_of(verb)
    except KeyError:
        known = [*verbs(), *(one.name for one in actions("dynamodb"))]
        raise UsageError(
            f'"{verb}" is neither a verb nor an IAM action of DynamoDB.{suggest(verb, known)}',
            f"Verbs: {', '.join(verbs())}.",
        ) from None


def load(settings: Settings, table: str) -> Estate:
    """Return the estate to ask, collecting only what it is made of; a table's ARN narrows the regions."""
    from auditor.analysis.estate import estate, signatures
    from auditor.engine import Resolver
    from auditor.facts.base import raw_closure

    segments = table.split(":")
    if table.startswith("arn:") and len(segments) >= 6 and segments[3] and not settings["region"]:
        settings.options["region"] = (segments[3],)
    if settings["example"]:
        if settings["snapshot"] or settings["profile"]:
            raise UsageError("--demo excludes --from and --profile.", "The example organisation needs neither.")
        check_region_names(settings)
        collected = demo_inventory(settings, raw_closure(signatures()))
    elif settings["snapshot"]:
        collected = from_snapshot(settings)
    else:
        collected = from_aws(settings, raw_closure(signatures()))
    return estate(Resolver(collected, settings.config), settings.config)


def find_table(estate: Estate, name: str) -> Table:
    """Return the table of a name or ARN.

    Raises:
        UsageError: there is none, or several have the name.
    """
    found = [one for one in estate.tables.values() if name in (one.name, one.arn)]
    if not found:
        names = sorted({one.name for one in estate.tables.values()})
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise UsageError(
            f'no table "{name}" was found.{suggest(name, names)}',
            f"Tables: {', '.join(names[:10]) or 'none in these regions'}{more}.",
        )
    if len(found) > 1:
        arns = "\n".join(sorted(one.arn for one in found))
        raise UsageError(f'"{name}" is the name of several tables; give one\'s ARN:\n{arns}')
    return found[0]


def find_principal(estate: Estate, name: str) -> Principal:
    """Return the principal of an ARN, ``role/NAME``, ``user/NAME`` or a name; one of another account is taken as it is.

    Raises:
        UsageError: there is none, or several have the name.
    """
    from auditor.access.answers import outside_principal

    people = estate.principals
    if name in people:
        return people[name]
    if name.startswith("arn:"):
        outside = outside_principal(estate, name)
        if outside is None:
            raise UsageError(
                f"{name} is no user, role or root user that was found.{suggest(name, list(people))}",
                "; ".join(estate.assumptions) or "Give the ARN of a user, a role, a role's session, or root.",
            )
        return outside
    found = [one for one in people.values() if name in (one.name, one.label)]
    if len(found) > 1:
        arns = "\n".join(sorted(one.arn for one in found))
        raise UsageError(f'"{name}" is the name of several principals; give one\'s ARN:\n{arns}')
    if not found:
        raise UsageError(
            f'no user or role "{name}" was found.{suggest(name, [one.label for one in people.values()])}',
            "; ".join(estate.assumptions) or "Give an ARN, role/NAME or user/NAME.",
        )
    return found[0]


def as_json(answer: Answer) -> dict[str, Any]:
    """Return an answer in the form that programs read."""
    return {
        "verdict": answer.verdict,
        "conditions": answer.conditions,
        "paths": [
            {
                "via": path.via,
                "verdict": path.verdict,
                "conditions": path.conditions,
                "action": path.action,
                "statements": [_statement(hit) for hit in path.statements],
            }
            for path in answer.paths
        ],
        "blockedBy": list(answer.blocked_by),
        "assumptions": list(answer.assumptions),
        "notes": list(answer.notes),
    }


def _statement(hit: Any) -> dict[str, Any]:
    return {"policy": hit.policy, "sid": hit.sid, "index": hit.index}


def step_json(step: Step) -> dict[str, Any]:
    """Return one evaluated request."""
    decision = step.decision
    return {
        "principal": step.principal,
        "action": step.action,
        "resource": step.resource,
        "result": decision.result,
        "verdict": decision.verdict,
        "conditions": decision.conditions,
        "blockedBy": decision.blocked_by,
        "statements": [
            {"kind": hit.kind, "effect": "Allow" if hit.allow else "Deny", "level": hit.level, **_statement(hit)}
            for hit in decision.trace
        ],
        "lints": decision.lints,
    }


_REACHED = {
    "direct": "directly",
    "resource-policy": "by the resource policy",
    "public": "by the resource policy",
}


def in_text(answer: Answer, settings: Settings, *, assumptions: bool) -> Iterable[str]:
    """Yield the lines of an answer for people."""
    colour = {"allowed": "red", "conditional": "yellow", "denied": "green"}[answer.verdict]
    verdict = answer.verdict if settings["no_color"] else click.style(answer.verdict, fg=colour)
    yield f"{verdict}  {_plain(answer.principal)}"
    for path in answer.paths:
        reached = {
            "direct": "directly",
            "resource-policy": "by the resource policy",
            "public": "by the resource policy",
        }
        how = reached.get(path.via, f"via {path.via}")
        parts = [f"{path.action} {how}", path.conditions]
        yield _plain(f"    {', '.join(part for part in parts if part)}")
        told = "; ".join(hit.statement for hit in path.statements)
        if told:
            yield _plain(f"      {told}")
    for text in answer.blocked_by:
        yield _plain(f"    blocked by {text}")
    if answer.verdict == "denied" and not answer.blocked_by:
        yield "    no statement allows it"
    for text in answer.notes:
        yield _plain(f"    note: {text}")
    if assumptions:
        for text in answer.assumptions:
            yield _plain(f"    assumes: {text}")


def trace_text(trace: Iterable[Step]) -> Iterable[str]:
    """Yield every evaluated request with what speaks about it."""
    yield "Evaluated:"
    for step in trace:
        decision = step.decision
        told = f" ({decision.conditions})" if decision.conditions else ""
        yield _plain(f"    {step.principal} {step.action} {step.resource}: {decision.result}{told}")
        for hit in decision.trace:
            effect = "allows" if hit.allow else "denies"
            yield _plain(
                f"      {hit.kind}: {hit.statement} {effect}{'' if hit.applies is True else ' under conditions'}"
            )
        for kind in decision.blocked_by:
            yield _plain(f"      blocked by: {kind}")
        for text in decision.lints:
            yield _plain(f"      look at: {text}")


def _plain(text: str) -> str:
    from auditor.text import plain

    return plain(text)


def _echo(text: str) -> None:
    click.echo(text)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))
