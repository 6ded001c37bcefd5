"""``ddbaudit.yaml``: its shape, its defaults, and its validation with line and column.

The shape is the classes below; their docstrings and defaults are what ``ddbaudit init`` writes and
``ddbaudit schema config`` describes.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import yaml
from msgspec import Meta, Struct, field

from auditor.errors import UsageError

Level = Literal["critical", "high", "medium", "low", "informational"]
Format = Literal["html", "json", "csv", "markdown", "junit", "sarif", "ocsf", "asff"]
Text = Annotated[str, Meta(min_length=1)]

#: What to do about a configuration file with something wrong in it.
HINT = "`ddbaudit init` writes a file with every setting and its default."

_T = TypeVar("_T")


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


#: Nothing is read of any item.
NO_SAMPLING = Sampling()


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults of the command's options, by the option's name with underscores; null or [] leaves one as it is."""

    profile: Text | None = None
    region: tuple[Text, ...] = ()
    org: bool = False
    role_name: Text | None = None
    external_id: Text | None = None
    account: tuple[Text, ...] = ()
    ou: tuple[Text, ...] = ()
    source: Literal["live", "config"] | None = "live"
    aggregator: Text | None = None
    rule: tuple[Text, ...] = ()
    skip: tuple[Text, ...] = ()
    severity: Level | None = None
    rules_dir: Annotated[tuple[Text, ...], "Code, so it counts only in a file that is named with --config."] = ()
    format: tuple[Format, ...] = ("html", "json")
    template: Annotated[Text | None, "Code, so it counts only in a file that is named with --config."] = None
    output: Text | None = "ddbaudit-report"
    snapshot: Text | None = field(default=None, name="from")
    save_snapshot: Text | None = None
    resume: Text | None = None
    fail_on: Level | Literal["none"] | None = "high"
    allow_incomplete: bool = False
    exit_zero: bool = False
    baseline: Text | None = None
    previous: Text | None = None
    new_only: bool = False
    pace: Literal["documented", "adaptive", "off"] | None = "documented"
    workers: Annotated[int, Meta(ge=1)] | None = None
    quiet: bool = False
    no_color: bool = False
    log_level: Literal["debug", "info", "warning", "error"] | None = "warning"


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
    admin_roles: Annotated[tuple[str, ...], "Administrators' roles: globs on a role's name, or on role/path/name."] = (
        "*AWSReservedSSO_AdministratorAccess_*",
        "OrganizationAccountAccessRole",
        "AWSControlTowerExecution",
    )
    pipeline_roles: Annotated[
        tuple[str, ...], "Roles of deployment pipelines: globs on a role's name, or on role/path/name."
    ] = ()
    max_exempt_principals: Annotated[int, Meta(ge=0)] = 5
    abac_enabled: bool | Literal["unknown"] = "unknown"
    external_detection: tuple[str, ...] = ()
    clients_use_interface_endpoint: Annotated[
        tuple[str, ...], "VPC ids whose clients set endpoint_url to an interface endpoint."
    ] = ()
    trusted_topics: tuple[str, ...] = ()
    end_user_providers: tuple[str, ...] = ()
    public_tables: tuple[str, ...] = ()
    baseline: Annotated[str | None, "The file of accepted findings (`ddbaudit baseline create` writes one)."] = None
    run: Run = Run()
    rules: Annotated[Mapping[str, Mapping[str, Any]], "Settings of single rules, by rule id."] = field(
        default_factory=dict
    )

    def region_allowed(self, region: str) -> bool:
        """Tell whether ``allowed_regions`` admits a region; True when nothing is declared."""
        return not self.allowed_regions or any(fnmatch.fnmatchcase(region, pattern) for pattern in self.allowed_regions)

    def is_admin(self, arn: str) -> bool:
        """Tell whether ``admin_roles`` names a role, given its ARN."""
        return _names_role(self.admin_roles, arn)

    def is_pipeline(self, arn: str) -> bool:
        """Tell whether ``pipeline_roles`` names a role, given its ARN."""
        return _names_role(self.pipeline_roles, arn)


def _names_role(patterns: tuple[str, ...], arn: str) -> bool:
    resource = arn.partition(":role/")[2]
    if not resource:
        return False
    names = (resource.rpartition("/")[2], f"role/{resource}")
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)


class Problem(Struct, frozen=True):
    """One thing wrong in a file: where (line and column from 1) and what."""

    line: int
    column: int
    text: str


def suggest(word: str, choices: list[str] | tuple[str, ...]) -> str:
    """Return `` Did you mean "x"?`` for the nearest choice, or an empty text."""
    near = difflib.get_close_matches(word.lower(), choices, n=1, cutoff=0.5)
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
    config, root = read(path, Config, _bad_patterns, HINT, "Give a YAML file with --config.")
    return config or Config(), root


def read(
    path: Path, kind: type[_T], oddities: Callable[[yaml.Node], Iterable[Problem]], hint: str, missing: str
) -> tuple[_T | None, yaml.Node | None]:
    """Read a YAML file into a class of msgspec, strictly.

    Args:
        path: The file.
        kind: The class of its document.
        oddities: Yields what is wrong besides keys and types.
        hint: What to do about a file with something wrong in it.
        missing: What to do about a file that cannot be read.

    Returns:
        The document and its YAML node tree; both None when the file is empty.

    Raises:
        UsageError: the file cannot be read, is not YAML, or has unknown keys or wrong values; the message
            has a line for each with ``file:line:column``.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.", missing) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: not UTF-8 text.", "Save the file as UTF-8.") from None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None or (isinstance(root, yaml.ScalarNode) and root.tag.endswith(":null")):
            return None, None
        problems = list(_oddities(root, loader, set()))
        raise_problems(path, problems, hint)
        data = loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(f"{where}: not YAML: {what}", hint) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
        raise UsageError(f"{path}: not readable: {error}", hint) from None
    check(root, msgspec.inspect.type_info(kind), "", problems)
    problems += oddities(root)
    raise_problems(path, problems, hint)
    return msgspec.convert(data, kind), root


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: ``off`` and ``no`` are words (as in YAML 1.2), dates are texts, no merge keys."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag.rpartition(":")[2] in ("null", "int", "float")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")


def _oddities(node: yaml.Node, loader: _Loader, seen: set[int]) -> Iterator[Problem]:
    """Yield what YAML allows and a configuration does not: a key twice, keys that are no text, tags, cycles."""

    def problem(at: yaml.Node, text: str) -> Problem:
        return Problem(at.start_mark.line + 1, at.start_mark.column + 1, text)

    if id(node) in seen:
        return
    seen.add(id(node))
    plain = (getattr(node, "style", None) is None, True)
    usual = loader.resolve(type(node), node.value, plain)  # type: ignore[no-untyped-call]
    if node.tag not in (usual, "tag:yaml.org,2002:str"):
        yield problem(node, f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} is not allowed here.")
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield problem(key, "a key must be a text.")
            elif key.value in lines:
                yield problem(key, f'the key "{key.value}" stands here again; first in line {lines[key.value]}.')
            else:
                lines[key.value] = key.start_mark.line + 1
            yield from _oddities(value, loader, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _oddities(item, loader, seen)


def _bad_patterns(root: yaml.Node) -> Iterator[Problem]:
    """Yield the regular expressions of ``required_tags`` that do not compile."""
    entries = next((value.value for key, value in _pairs(root) if key.value == "required_tags"), ())
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        for key, value in _pairs(entry):
            try:
                re.compile(value.value if isinstance(value, yaml.ScalarNode) else "")
            except (re.error, OverflowError, RecursionError) as error:
                where = f"required_tags[{index}].{key.value}"
                text = f'{where}: "{value.value}" is not a regular expression: {error}.'
                yield Problem(value.start_mark.line + 1, value.start_mark.column + 1, text)


def _pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def given_options(root: yaml.Node | None) -> list[str]:
    """Return the fields of :class:`Run` that stand in a file, whatever their values."""
    run = next((value for key, value in _pairs(root) if key.value == "run"), None) if root is not None else None
    fields = dict(zip(Run.__struct_encode_fields__, Run.__struct_fields__, strict=True))
    return [fields[key.value] for key, _ in _pairs(run)] if run is not None else []


def raise_problems(path: Path, problems: list[Problem], hint: str = HINT) -> None:
    """Raise one UsageError that names all problems, if there are any."""
    if problems:
        lines = [f"{path}:{p.line}:{p.column}: {p.text}" for p in sorted(problems, key=lambda p: (p.line, p.column))]
        raise UsageError("\n".join(lines), hint)


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
        inside: list[Problem] = []
        for member in expected.types:
            attempt: list[Problem] = []
            check(node, member, where, attempt)
            if not attempt:
                return
            if _has_shape(node, member):
                inside += attempt
        if inside:
            problems += inside
        else:
            wrong(f"expected {_describe(expected)}, found {_found(node)}.{_hint(node, expected)}")
    elif isinstance(expected, info.VarTupleType | info.ListType | info.SetType | info.FrozenSetType):
        if not isinstance(node, yaml.SequenceNode):
            wrong(f"expected {_describe(expected)}, found {_found(node)}.{_hint(node, expected)}")
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
        detail = str(error)
        if isinstance(expected, msgspec.inspect.StrType) and isinstance(value, str):
            rule = "a text that is not empty" if expected.min_length else f"a text that matches {expected.pattern}"
            wrong(f"expected {rule}, found {_found(node)}.")
        elif ">=" in detail or "<=" in detail:
            wrong(f"expected {_describe(expected)} {detail.partition('` ')[2]}, found {_found(node)}.")
        else:
            wrong(f"expected {_describe(expected)}, found {_found(node)}.{_hint(node, expected)}")


def _has_shape(node: yaml.Node, expected: msgspec.inspect.Type) -> bool:
    """Tell whether a node could be of a type but for what is inside it: a mapping for keys and values."""
    info = msgspec.inspect
    if isinstance(expected, info.Metadata):
        return _has_shape(node, expected.type)
    if isinstance(node, yaml.MappingNode):
        return isinstance(expected, info.DictType | info.StructType)
    if isinstance(node, yaml.SequenceNode):
        return isinstance(expected, info.VarTupleType | info.ListType | info.SetType | info.FrozenSetType)
    value = _scalar(node)
    return (isinstance(expected, info.StrType) and isinstance(value, str)) or (
        isinstance(expected, info.IntType) and isinstance(value, int) and not isinstance(value, bool)
    )


def _hint(node: yaml.Node, expected: msgspec.inspect.Type) -> str:
    """Return what may be meant: a word nearby, quotes round a number, brackets round one item."""
    info = msgspec.inspect
    kinds = expected.types if isinstance(expected, info.UnionType) else (expected,)
    if not isinstance(node, yaml.ScalarNode) or _scalar(node) is None:
        return ""
    if any(isinstance(kind, info.StrType) for kind in kinds):
        return f' Put it in quotes: "{node.value}".'
    if any(isinstance(kind, info.VarTupleType | info.ListType) for kind in kinds):
        return f" Put it in brackets: [{node.value}]."
    return suggest(
        node.value, [str(value) for kind in kinds if isinstance(kind, info.LiteralType) for value in kind.values]
    )


def _scalar(node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        return None
    loader = _Loader("")
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
        return Annotated[str, Meta(pattern=expected.pattern, min_length=expected.min_length)]
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
