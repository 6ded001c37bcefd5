"""``ddbaudit.yaml``: its shape, its defaults, and its validation with line and column.

The shape is the classes below; their docstrings and defaults are what ``ddbaudit init`` writes and
``ddbaudit schema config`` describes.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct, field

from auditor.errors import UsageError

Level = Literal["critical", "high", "medium", "low", "informational"]


class Accounts(Struct, frozen=True, forbid_unknown_fields=True):
    """Accounts and organisation that are trusted besides the audited account itself."""

    trusted: Annotated[tuple[Annotated[str, Meta(pattern=r"^\d{12}$")], ...], "Account numbers."] = ()
    org_id: Annotated[str | None, "Organisation id (o-…)."] = None


class Production(Struct, frozen=True, forbid_unknown_fields=True):
    """What counts as production: tags decide first, then name patterns, then accounts."""

    tags: Annotated[Mapping[str, tuple[str, ...]], "Tag key -> values that mean production (case is ignored)."] = field(
        default_factory=lambda: {
            "env": ("prod", "production", "prd", "live"),
            "environment": ("prod", "production", "prd", "live"),
            "stage": ("prod", "production"),
        }
    )
    accounts: Annotated[tuple[str, ...], "Numbers of production accounts."] = ()
    name_patterns: Annotated[tuple[str, ...], "Globs on names that mean production."] = ()
    untagged_is: Annotated[Literal["production", "non-production"], "What a table without any of these is."] = (
        "production"
    )


class Sensitive(Struct, frozen=True, forbid_unknown_fields=True):
    """Which tags say that a table holds sensitive data."""

    tags: Annotated[Mapping[str, tuple[str, ...]], "Tag key -> values that mean sensitive (case is ignored)."] = field(
        default_factory=lambda: {
            "data-classification": ("confidential", "restricted", "secret", "pii", "phi", "pci", "sensitive"),
            "confidentiality": ("high", "confidential", "restricted"),
        }
    )


class ResidencyRule(Struct, frozen=True, forbid_unknown_fields=True):
    """Tables with this tag stay in these regions."""

    tag: Annotated[Mapping[str, str], "One tag, key: value."]
    regions: Annotated[tuple[str, ...], "Regions, globs allowed."]


class OnPremAccess(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether clients on premises use DynamoDB."""

    declared: bool = False
    cidrs: tuple[str, ...] = ()


class Sampling(Struct, frozen=True, forbid_unknown_fields=True):
    """Opt-in reading of items."""

    items_per_table: Annotated[int, Meta(ge=0)] = 0
    values: bool = False
    max_rcu: Annotated[int, Meta(ge=1)] = 50


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults of the command's options, by the option's name with underscores."""

    profile: str | None = None
    region: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    severity: Level | None = None
    rules_dir: tuple[str, ...] = ()
    format: tuple[Literal["html", "json"], ...] = ()
    output: str | None = None
    save_snapshot: str | None = None
    fail_on: Level | Literal["none"] | None = None
    allow_incomplete: bool = False
    exit_zero: bool = False
    pace: Literal["documented", "adaptive", "off"] | None = None
    workers: Annotated[int, Meta(ge=1)] | None = None
    quiet: bool = False
    no_color: bool = False
    log_level: Literal["debug", "info", "warning", "error"] | None = None


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of ddbaudit. Every key may be left out."""

    accounts: Accounts = Accounts()
    allowed_regions: Annotated[tuple[str, ...], "Regions where data may be, globs allowed, such as eu-*."] = ()
    residency_rules: Annotated[tuple[ResidencyRule, ...], "Regions for tables with a tag."] = ()
    production: Production = field(default_factory=Production)
    sensitive: Sensitive = field(default_factory=Sensitive)
    required_tags: Annotated[
        tuple[str | Mapping[str, str], ...], "Tag keys, or {key: regular expression its value must match}."
    ] = ("owner", "env", "data-classification")
    trusted_egress: Annotated[
        Mapping[str, Literal["endpoint", "nat", "igw", "isolated"]],
        "How a central egress behaves: {tgw-0abc: nat}.",
    ] = field(default_factory=dict)
    on_prem_access: OnPremAccess = OnPremAccess()
    sampling: Sampling = Sampling()
    admin_roles: tuple[str, ...] = ()
    pipeline_roles: tuple[str, ...] = ()
    max_exempt_principals: Annotated[int, Meta(ge=0)] = 5
    abac_enabled: bool | Literal["unknown"] = "unknown"
    external_detection: tuple[str, ...] = ()
    clients_use_interface_endpoint: Annotated[
        tuple[str, ...], "VPC ids whose clients set endpoint_url to an interface endpoint."
    ] = ()
    trusted_topics: tuple[str, ...] = ()
    end_user_providers: tuple[str, ...] = ()
    public_tables: tuple[str, ...] = ()
    baseline: str | None = None
    run: Run = Run()
    rules: Annotated[Mapping[str, Mapping[str, Any]], "Settings of single rules, by rule id."] = field(
        default_factory=dict
    )

    def region_allowed(self, region: str) -> bool:
        """Tell whether ``allowed_regions`` admits a region; True when nothing is declared."""
        return not self.allowed_regions or any(fnmatch.fnmatchcase(region, pattern) for pattern in self.allowed_regions)


class Problem(Struct, frozen=True):
    """One thing wrong in a file: where (line and column from 1) and what."""

    line: int
    column: int
    text: str


def suggest(word: str, choices: list[str] | tuple[str, ...]) -> str:
    """Return `` Did you mean "x"?`` for the nearest choice, or an empty text."""
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f' Did you mean "{near[0]}"?' if near else ""


def load(path: Path) -> tuple[Config, yaml.Node | None]:
    """Read and validate a configuration file.

    Returns:
        The configuration, and the file's YAML node tree (for the rules' own settings, which
        :func:`auditor.packs.configure` checks against the rules).

    Raises:
        UsageError: the file cannot be read, is not YAML, or has unknown keys or wrong values; the message
            has a line for each with ``file:line:column``.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}", "Give a YAML file with --config.") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise UsageError(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if root is None:
        return Config(), None
    problems: list[Problem] = []
    check(root, msgspec.inspect.type_info(Config), "", problems)
    raise_problems(path, problems)
    return msgspec.convert(data, Config), root


def raise_problems(path: Path, problems: list[Problem]) -> None:
    """Raise one UsageError that names all problems, if there are any."""
    if problems:
        lines = [f"{path}:{p.line}:{p.column}: {p.text}" for p in sorted(problems, key=lambda p: (p.line, p.column))]
        raise UsageError("\n".join(lines), "`ddbaudit init` writes a file with every setting and its default.")


def check(node: yaml.Node, expected: msgspec.inspect.Type, where: str, problems: list[Problem]) -> None:
    """Check a YAML node against a type of msgspec and add what is wrong to ``problems``.

    Args:
        node: The node.
        expected: ``msgspec.inspect.type_info(...)`` of the type.
        where: Dotted path of the node, for the message.
        problems: Grows by what is found.
    """
    info = msgspec.inspect

    def wrong(text: str, at: yaml.Node = node) -> None:
        prefix = f"{where}: " if where else ""
        problems.append(Problem(at.start_mark.line + 1, at.start_mark.column + 1, prefix + text))

    if isinstance(expected, info.Metadata):
        check(node, expected.type, where, problems)
    elif isinstance(expected, info.StructType):
        if not isinstance(node, yaml.MappingNode):
            wrong(f"expected keys and values, found {_found(node)}.")
            return
        fields = {one.encode_name: one for one in expected.fields}
        for key, value in node.value:
            if not isinstance(key.value, str) or key.value not in fields:
                wrong(f'unknown key "{key.value}".{suggest(str(key.value), list(fields))}', key)
            else:
                check(value, fields[key.value].type, f"{where}.{key.value}".lstrip("."), problems)
        given = {key.value for key, _ in node.value}
        for one in fields.values():
            if one.required and one.encode_name not in given:
                wrong(f'the key "{one.encode_name}" is missing.')
    elif isinstance(expected, info.UnionType):
        tries: list[list[Problem]] = []
        for member in expected.types:
            attempt: list[Problem] = []
            check(node, member, where, attempt)
            if not attempt:
                return
            tries.append(attempt)
        wrong(f"expected {_describe(expected)}, found {_found(node)}.")
    elif isinstance(expected, info.VarTupleType | info.ListType | info.SetType | info.FrozenSetType):
        if not isinstance(node, yaml.SequenceNode):
            wrong(f"expected {_describe(expected)}, found {_found(node)}.")
            return
        for index, item in enumerate(node.value):
            check(item, expected.item_type, f"{where}[{index}]", problems)
    elif isinstance(expected, info.DictType):
        if not isinstance(node, yaml.MappingNode):
            wrong(f"expected {_describe(expected)}, found {_found(node)}.")
            return
        for key, value in node.value:
            check(key, expected.key_type, where, problems)
            check(value, expected.value_type, f"{where}.{key.value}".lstrip("."), problems)
    elif not isinstance(expected, info.AnyType):
        _check_scalar(node, expected, wrong)


def _check_scalar(node: yaml.Node, expected: msgspec.inspect.Type, wrong: Any) -> None:
    value = _scalar(node)
    try:
        if not isinstance(node, yaml.ScalarNode):
            raise msgspec.ValidationError
        msgspec.convert(value, _python_type(expected))
    except msgspec.ValidationError as error:
        choices = expected.values if isinstance(expected, msgspec.inspect.LiteralType) else ()
        hint = suggest(str(value), [str(choice) for choice in choices]) if value is not None else ""
        detail = str(error)
        if (isinstance(node, yaml.ScalarNode) and "matching regex" in detail) or ">=" in detail or "<=" in detail:
            wrong(f"{detail[0].lower()}{detail[1:]}, found {_found(node)}.")
        else:
            wrong(f"expected {_describe(expected)}, found {_found(node)}.{hint}")


def _scalar(node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        return None
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    finally:
        loader.dispose()


def _python_type(expected: msgspec.inspect.Type) -> Any:
    info = msgspec.inspect
    if isinstance(expected, info.LiteralType):
        return Literal[tuple(expected.values)]
    if isinstance(expected, info.EnumType):
        return expected.cls
    if isinstance(expected, info.StrType):
        return Annotated[str, Meta(pattern=expected.pattern)]
    if isinstance(expected, info.IntType):
        return Annotated[int, Meta(ge=expected.ge, le=expected.le)]
    if isinstance(expected, info.FloatType):
        return Annotated[float, Meta(ge=expected.ge, le=expected.le)]
    return bool if isinstance(expected, info.BoolType) else type(None)


def _describe(expected: msgspec.inspect.Type) -> str:
    info = msgspec.inspect
    if isinstance(expected, info.Metadata):
        return _describe(expected.type)
    if isinstance(expected, info.UnionType):
        return " or ".join(_describe(member) for member in expected.types)
    if isinstance(expected, info.LiteralType):
        return " or ".join(str(value) for value in expected.values)
    if isinstance(expected, info.EnumType):
        return " or ".join(str(member.value) for member in expected.cls)
    if isinstance(expected, info.VarTupleType | info.ListType | info.SetType | info.FrozenSetType):
        return "a list"
    names = {
        info.StrType: "a text",
        info.IntType: "a whole number",
        info.FloatType: "a number",
        info.BoolType: "true or false",
        info.NoneType: "nothing",
        info.DictType: "keys and values",
        info.StructType: "keys and values",
    }
    return names.get(type(expected), type(expected).__name__)


def _found(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return "nothing" if node.tag.endswith(":null") else f'"{node.value}"'
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys and values"
