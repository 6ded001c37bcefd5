"""Rule packs: the built-in folder, folders given with ``--rules-dir``, entry points ``ddbaudit.rules``.

A folder becomes a synthetic package whose ``__path__`` is the folder: relative imports, tracebacks and
coverage work, and ``sys.path`` is never touched.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
import traceback
import types
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import yaml

import auditor.analysis  # noqa: F401 - registers the derived facts that rules name
from auditor import config as configuration
from auditor.config import Config, Problem, check, raise_problems, suggest
from auditor.errors import UsageError
from auditor.facts.base import SignatureError
from auditor.rule_api import Rule, Severity

Rules = Mapping[str, Rule]


def bundled(name: str) -> Path:
    """Return the folder ``rules`` or ``reports``: inside the wheel, or of the checkout."""
    inside = Path(str(files("auditor"))) / "_bundled" / name
    return inside if inside.is_dir() else Path(str(files("auditor"))).parent / name


@functools.cache
def built_in() -> Rules:
    """Return the built-in rules by id."""
    return _composed(_collect([("_ddbaudit_rules", bundled("rules"))]))


def load(folders: Iterable[Path] = ()) -> Rules:
    """Return all rules by id, in order of id: built-in, installed packs, then folders.

    Raises:
        UsageError: a folder is missing, a file does not import, a rule is malformed, an id occurs twice.
    """
    rules = dict(built_in())
    for point in entry_points(group="ddbaudit.rules"):
        try:
            module = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a foreign package's failure is the user's to mend
            raise UsageError(
                f"rule pack {point.name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}",
                "Update or remove that package.",
            ) from None
        paths = [Path(path) for path in getattr(module, "__path__", [])]
        _add(rules, _collect([(module.__name__, path) for path in paths]))
    for folder in {folder.resolve(): folder for folder in folders}.values():
        _add(rules, read_folder(folder))
    _check_members(rules)
    return _composed(dict(sorted(rules.items())))


def read_folder(folder: Path) -> Rules:
    """Return the rules of one folder by id.

    Raises:
        UsageError: the folder is missing or has no rule, a file does not import, a rule is malformed.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder.", "--rules-dir takes a folder that holds rule files.")
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    rules = _collect([(f"_ddbaudit_pack_{digest}", folder)])
    if not rules:
        raise UsageError(f"{folder}: no rule in there.", "`ddbaudit rules new ID` writes one.")
    return rules


def _composed(rules: Rules) -> Rules:
    """Return the rules, those that sum others up or ask them with these as they are now.

    Raises:
        UsageError: a rule asks itself, directly or through others.
    """
    made: dict[str, Rule] = {}

    def compose(rule_id: str, above: tuple[str, ...]) -> Rule:
        rule = rules[rule_id]
        if rule_id in above:
            circle = " -> ".join((*above[above.index(rule_id) :], rule_id))
            raise UsageError(f"{rule.source}: the rule asks itself: {circle}.", "Take one of these ids out.")
        if rule_id not in made:
            ids = dict.fromkeys((*rule.composed_of, *rule.asks))
            parts = {one: compose(one, (*above, rule_id)) for one in ids if one in rules}
            made[rule_id] = replace(rule, parts=parts) if ids else rule
        return made[rule_id]

    return {rule_id: compose(rule_id, ()) for rule_id in rules}


def _check_members(rules: Rules) -> None:
    """Refuse rules that sum up or ask what there is not: nobody would ever hear of the one that was meant."""
    for rule in rules.values():
        for one in (*rule.composed_of, *rule.asks):
            if one not in rules:
                raise UsageError(
                    f'{rule.source}: there is no rule "{one}", which this one asks.{suggest(one, list(rules))}',
                    "`ddbaudit rules list` lists them.",
                )


def _add(rules: dict[str, Rule], more: Rules) -> None:
    for rule_id, rule in more.items():
        if rule_id in rules:
            raise UsageError(
                f'{rule.source}: there is already a rule "{rule_id}" in {rules[rule_id].source}.',
                "Rename one of the two functions and its file.",
            )
        rules[rule_id] = rule


def _collect(places: list[tuple[str, Path]]) -> Rules:
    found: dict[str, Rule] = {}
    for package, folder in places:
        _make_package(package, folder)
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if path.name.startswith(("_", "test_")) or any(part.startswith((".", "__")) for part in parts):
                continue
            for depth in range(1, len(parts)):
                _make_package(".".join((package, *parts[:depth])), folder.joinpath(*parts[:depth]))
            module = _import(".".join((package, *parts)), path)
            rules = [value.rule for value in vars(module).values() if _is_rule_of(value, module)]
            for rule in rules:
                if rule.id.replace("-", "_") != path.stem:
                    raise UsageError(
                        f'{path}: the file of the rule "{rule.id}" must be named {rule.id.replace("-", "_")}.py.',
                        "Rename the file or the function; a helper's name begins with an underscore.",
                    )
                domain = parts[-2] if len(parts) > 1 else rule.id.partition("-")[0]
                _add(found, {rule.id: replace(rule, domain=domain, source=str(path))})
    return dict(sorted(found.items()))


def _is_rule_of(value: Any, module: types.ModuleType) -> bool:
    return isinstance(getattr(value, "rule", None), Rule) and value.__module__ == module.__name__


def _make_package(name: str, folder: Path) -> None:
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    package.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    sys.modules.setdefault(name, package)


def _import(name: str, path: Path) -> types.ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the path ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SignatureError as error:
        del sys.modules[name]
        raise UsageError(f"{path}: {error}", "CONTRIBUTING.md shows a whole rule.") from None
    except SyntaxError as error:
        del sys.modules[name]
        place = ":".join(str(part) for part in (error.filename or path, error.lineno, error.offset) if part)
        raise UsageError(f"{place}: {error.msg}", "Mend the file, or leave its folder out.") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a rule file raises, the user is told where
        del sys.modules[name]
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == spec.origin]
        line = frames[-1].lineno if frames else 1
        raise UsageError(
            f"{path}:{line}: {type(error).__name__}: {error}", "Mend the file, or leave its folder out."
        ) from None
    return module


def select(
    rules: Rules,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    severity: Severity | None = None,
    disabled: Iterable[str] = (),
) -> Rules:
    """Return the rules whose id matches a glob of ``include`` (all, if empty) and none of ``exclude``.

    Args:
        rules: All rules.
        include: Ids or globs.
        exclude: Ids or globs.
        severity: Only rules with this base severity or a higher one.
        disabled: Ids of rules that the configuration switches off, which a pattern may name all the same.

    Raises:
        UsageError: a pattern matches no rule, or nothing is left.
    """
    include, exclude, disabled = list(include), list(exclude), list(disabled)
    for pattern in [*include, *exclude]:
        if not _matches([*rules, *disabled], pattern):
            raise UsageError(
                f'no rule matches "{pattern}".{suggest(pattern, list(rules))}', "`ddbaudit rules list` lists them."
            )
        if pattern in include and not _matches(rules, pattern):
            raise UsageError(
                f'the configuration switches off what "{pattern}" names.', "Remove `enabled: false` there."
            )
    kept = {rule_id: rule for rule_id, rule in rules.items() if not any(_matches([rule_id], one) for one in exclude)}
    chosen = {
        rule_id: rule
        for rule_id, rule in _composed(kept).items()
        if (not include or any(_matches([rule_id], pattern) for pattern in include))
        and (severity is None or rule.severity >= severity)
    }
    if not chosen:
        raise UsageError("no rule is left to run.", "Loosen --rule, --skip or --severity, or enable a rule.")
    return chosen


def _matches(rule_ids: Iterable[str], pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(rule_id, pattern) for rule_id in rule_ids)


def configure(rules: Rules, config: Config, root: yaml.Node | None, path: Path | None) -> Rules:
    """Apply the ``rules:`` section of the configuration.

    Args:
        rules: All rules.
        config: The configuration.
        root: The YAML node tree that it came from, for line numbers.
        path: The file's path, for messages.

    Returns:
        The rules with their settings; those with ``enabled: false`` are left out.

    Raises:
        UsageError: an unknown rule or setting, or a value of the wrong type, with line and column.
    """
    if not config.rules or root is None:
        return rules
    problems: list[Problem] = []
    changed = dict(rules)
    for key, node in _rule_nodes(root):
        mark = key.start_mark
        if key.value not in rules:
            problems.append(
                Problem(mark.line + 1, mark.column + 1, f'unknown rule "{key.value}".{suggest(key.value, list(rules))}')
            )
            continue
        rule = rules[key.value]
        known = {setting.name: setting.type for setting in rule.settings}
        known |= {"enabled": bool, "severity": configuration.Level}
        found: list[Problem] = []
        for name, value in node.value:
            if name.value not in known:
                text = f'rules.{rule.id}: unknown setting "{name.value}".{suggest(name.value, list(known))}'
                found.append(Problem(name.start_mark.line + 1, name.start_mark.column + 1, text))
            else:
                where = f"rules.{rule.id}.{name.value}"
                check(value, msgspec.inspect.type_info(known[name.value]), where, found)
        problems += found
        if not found:
            given = dict(config.rules[rule.id])
            if given.pop("enabled", True) is False:
                del changed[rule.id]
                continue
            level = given.pop("severity", None)
            values = {name: msgspec.convert(value, known[name]) for name, value in given.items()}
            changed[rule.id] = rule.configured(Severity[level.upper()] if level else None, values)
    raise_problems(path or Path("ddbaudit.yaml"), problems)
    return _composed(changed)


def _rule_nodes(root: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return next((value.value for key, value in root.value if key.value == "rules"), [])
