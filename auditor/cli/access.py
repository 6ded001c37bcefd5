"""``ddbaudit access``: the access engine at the prompt."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from auditor.cli.audit import check_region_names, demo_inventory, demo_source, from_aws, from_snapshot
from auditor.cli.options import Settings, manners, option, scope, settle, together
from auditor.config import suggest
from auditor.errors import UsageError

if TYPE_CHECKING:
    from auditor.access.estate import Estate, Principal, Table
    from auditor.access.paths import Answer, Step
    from auditor.analysis.estate import Asked

#: What ``can`` and ``explain`` ask about: a user, a role, a session of a role, or the root user.
_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:(iam::\d{12}:(root|(user|role)/.+)|sts::\d{12}:assumed-role/[^/]+/.+)")

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

    VERB is read, read-existence, read-stream, stream-aux, write, delete-data, copy-out, delete-table, delete-backup,
    permissions, permissions-if-abac, replication-service, admin or metadata, or an IAM action such as
    dynamodb:DeleteItem. TABLE is a name or an ARN, PRINCIPAL an ARN or, for example, role/orders-api.
    """


@access.command("who-can", short_help="List everybody who can do something to a table.")
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
    asked = load(settings, table)
    estate, found = asked.estate, find_table(asked, table)
    answers = Access(estate).who_can(verb, found)
    held = [text for one in answers for text in one.assumptions]
    known = [*found.assumptions, *estate.assumptions, *asked.outsiders, *_other_regions(settings)]
    shared = list(dict.fromkeys([*held, *known]))
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
    _echo(_headline(answers, verb, asked.estate, found))
    for one in answers:
        for line in in_text(one, settings, assumptions=False):
            click.echo(line)
    for text in shared:
        _echo(f"assumes: {text}")
    return 0


def _headline(answers: list[Answer], verb: str, estate: Estate, table: Table) -> str:
    """Return how many can; where users and roles are not known, there may be more."""
    if not answers:
        many = "nobody who is known" if estate.assumptions else "nobody"
    else:
        conditional = sum(one.verdict == "conditional" for one in answers)
        least = "at least " if estate.assumptions else ""
        under = f", {'all' if conditional == len(answers) else conditional} under conditions" if conditional else ""
        many = f"{least}{len(answers)} principal{'' if len(answers) == 1 else 's'}{under}"
    return f"{verb} on table {table.name} ({table.arn}): {many}"


def _other_regions(settings: Settings) -> list[str]:
    """Return what is not known since only some regions were asked.

    A snapshot holds the other regions' identity pools, and the example organisation has no more than its file says.
    """
    if settings["snapshot"] or not settings["region"] or (settings["example"] and "region" in settings.origins):
        return []
    return [
        f"identity pools outside {', '.join(settings['region'])} not collected: their guests and users are not listed"
    ]


@access.command(short_help="Say whether one principal can, and by which path.")
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


@access.command(short_help="As can, with every request and statement that decides.")
@click.argument("principal")
@click.argument("verb")
@click.argument("table")
@scope
@question
@manners
@click.pass_context
def explain(context: click.Context, /, principal: str, verb: str, table: str, **_: Any) -> int:
    """As `can`, with every path, every request that was evaluated and every statement that speaks about it."""
    return _one(context, principal, verb, table, trace=True)


def _one(context: click.Context, principal: str, verb: str, table: str, *, trace: bool) -> int:
    from auditor.access.answers import Access

    settings = settle(context, demo_source().CONFIG if context.params["example"] else None)
    check_verb(verb)
    asked = load(settings, table)
    found, who = find_table(asked, table), find_principal(asked.estate, principal)
    answer = Access(asked.estate).can(who, verb, found, thorough=trace)
    # A session is answered for by its own name.
    answer = replace(answer, principal=who.caller or answer.principal)
    if settings["form"] == "json":
        _print_json(as_json(answer) | ({"trace": [step_json(step) for step in answer.trace]} if trace else {}))
        return 0
    for line in in_text(answer, settings, assumptions=True):
        click.echo(line)
    if trace:
        for line in trace_text(answer.trace):
            click.echo(line)
    return 0


def check_verb(verb: str) -> None:
    """Refuse what is neither a verb nor one of DynamoDB's actions.

    Raises:
        UsageError: it is none.
    """
    from auditor.access.actions import actions, verbs
    from auditor.access.verbs import actions_of

    try:
        actions_of(verb)
    except KeyError:
        known = [*verbs(), *(one.name for one in actions("dynamodb"))]
        raise UsageError(
            f'"{verb}" is neither a verb nor an IAM action of DynamoDB.{suggest(verb, known)}',
            f"Verbs: {', '.join(verbs())}.",
        ) from None


def load(settings: Settings, table: str) -> Asked:
    """Return what to ask, collecting only what it is made of.

    A table's ARN narrows the regions to collect. What the environment or a file says of ``--from`` and ``--profile``
    is not meant for the example organisation.
    """
    from auditor.analysis.estate import asked, signatures
    from auditor.engine import Resolver
    from auditor.facts.base import raw_closure

    if settings["example"]:
        for name, flag in (("profile", "--profile"), ("snapshot", "--from")):
            if settings[name] and name not in settings.origins:
                raise UsageError(f"--demo and {flag} exclude each other.", "The example organisation needs no AWS.")
        settings.options["snapshot"] = None
    region = table.split(":")[3] if re.match(r"arn:[^:]*:dynamodb:[^:]+:", table) else ""
    if region and not settings["region"] and not settings["snapshot"]:
        settings.options["region"] = (region,)
    if settings["example"]:
        check_region_names(settings)
        collected = demo_inventory(settings, raw_closure(signatures()))
    elif settings["snapshot"]:
        collected = from_snapshot(settings)
    else:
        collected = from_aws(settings, raw_closure(signatures()))
    return asked(Resolver(collected, settings.config), settings.config)


def find_table(asked: Asked, name: str) -> Table:
    """Return the table of a name or ARN.

    Raises:
        UsageError: there is none, or several have the name.
    """
    tables = asked.estate.tables
    found = [one for one in tables.values() if name in (one.name, one.arn)]
    if len(found) > 1:
        arns = "\n".join(sorted(one.arn for one in found))
        raise UsageError(f'"{name}" is the name of several tables; give one\'s ARN:\n{arns}')
    if found:
        return found[0]
    names = sorted({one.name for one in tables.values()})
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    hint = f"Tables: {', '.join(names[:10]) or 'none in these regions'}{more}."
    if asked.unlisted:
        hint = f"{'; '.join(asked.unlisted)}."
    if not name.startswith("arn:"):
        raise UsageError(f'no table "{name}" was found.{suggest(name, names)}', hint)
    whole = re.match(r"arn:[^:]*:dynamodb:[^:]*:[^:]*:table/[^/]+", name)
    if whole is None:
        raise UsageError(f"{name} is no ARN of a table.", hint)
    if whole[0] in tables:
        raise UsageError(f"{name} is a part of a table; ask about the table.", f"Its ARN is {whole[0]}.")
    bare = whole[0].rpartition("/")[2]
    same = sorted(one.arn for one in tables.values() if one.name == bare)
    near = f' Did you mean "{same[0]}"?' if same else suggest(bare, names)
    raise UsageError(f"no table {name} was found.{near}", hint)


def find_principal(estate: Estate, name: str) -> Principal:
    """Return the principal of an ARN, ``role/NAME``, ``user/NAME`` or a name; one of another account is taken as it is.

    Raises:
        UsageError: there is none, or several have the name.
    """
    from auditor.access.strangers import outside_principal

    people = estate.principals
    if name in people:
        return people[name]
    hint = "; ".join(estate.assumptions) or "Give an ARN, role/NAME or user/NAME."
    if name.startswith("arn:"):
        if not _PRINCIPAL.fullmatch(name):
            raise UsageError(
                f"{name} is no ARN of a user, a role, a role's session or root.",
                "For example arn:aws:iam::111122223333:role/NAME or "
                "arn:aws:sts::111122223333:assumed-role/NAME/SESSION.",
            )
        outside = outside_principal(estate, name)
        if outside is not None:
            return outside
        account = name.split(":")[4]
        raise UsageError(
            f"{name} was not found in account {account}.{_nearest(name.split(':', 5)[5], people, account)}", hint
        )
    found = [one for one in people.values() if name in (one.name, one.label)]
    if len(found) > 1:
        arns = "\n".join(sorted(one.arn for one in found))
        raise UsageError(f'"{name}" is the name of several principals; give one\'s ARN:\n{arns}')
    if not found:
        raise UsageError(f'no user or role "{name}" was found.{_nearest(name, people)}', hint)
    return found[0]


def _nearest(name: str, people: Mapping[str, Principal], account: str = "") -> str:
    """Return which principal may be meant; what all names of a kind share makes none of them near."""
    kind, _, rest = name.partition("/") if "/" in name else ("", "", name)
    wanted = {"assumed-role": "role"}.get(kind, kind)
    near = {
        one.name.lower(): one
        for one in people.values()
        if wanted in ("", one.kind) and account in ("", one.account) and not one.service_linked
    }
    bare = rest.partition("/")[0] if kind == "assumed-role" else rest.rpartition("/")[2]
    best = difflib.get_close_matches(bare.lower(), near, n=1, cutoff=0.6)
    return f' Did you mean "{near[best[0]].label}"?' if best else ""


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
    # click leaves the codes out in a pipe, but knows nothing of NO_COLOR (https://no-color.org).
    plainly = settings["no_color"] or os.environ.get("NO_COLOR")
    verdict = answer.verdict if plainly else click.style(answer.verdict, fg=colour)
    yield f"{verdict}  {_plain(answer.principal)}"
    for path in answer.paths:
        how = _REACHED.get(path.via, f"via {path.via}")
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
        if decision.verdict == "denied" and not any(
            hit.allow and hit.kind in ("identity", "resource") for hit in decision.trace
        ):
            yield "      no identity or resource policy allows it"
        for kind in decision.blocked_by:
            yield _plain(f"      blocked by: {kind}")
        for text in decision.lints:
            yield _plain(f"      look at: {text}")


def _plain(text: str) -> str:
    from auditor.text import plain

    return plain(text)


def _echo(text: str) -> None:
    click.echo(_plain(text))


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))
