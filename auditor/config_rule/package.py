"""The package of the function: a zip with the auditor, its rules, and the libraries that AWS Lambda does not have.

The same input gives the same bytes: names are sorted, times and permissions fixed.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

from auditor.errors import UsageError
from auditor.packs import bundled

#: What the function imports and AWS Lambda's Python does not have; boto3 is there.
LIBRARIES = ("msgspec", "PyYAML")

#: What the scheduled audit needs besides, to render its reports.
FOR_REPORTS = ("Jinja2", "MarkupSafe")

#: What of the auditor the functions never import.
_LEFT_OUT = ("cli", "sources/demo")

_SUFFIXES = (".py", ".json", ".yaml", ".txt", ".j2", ".css", ".js")

_TIME = (1980, 1, 1, 0, 0, 0)


def build(settings: Path | None = None, libraries: Path | None = None, *, reports: bool = False) -> bytes:
    """Return the zip.

    Args:
        settings: ddbaudit.yaml, to be read by the function; the acceptance file that it names goes with it.
        libraries: A folder that ``pip install --target`` filled for AWS Lambda; default: what is installed here.
        reports: With what renders reports: for :mod:`auditor.scheduled`.

    Raises:
        UsageError: the libraries are not there or are not made for Linux, or the settings cannot be read.
    """
    held: dict[str, bytes] = {}
    names: tuple[str, ...] = LIBRARIES
    folders = {"auditor": Path(str(files("auditor"))), "rules": bundled("rules")}
    if reports:
        folders["reports"] = bundled("reports")
        names += FOR_REPORTS
    for name, folder in folders.items():
        for path in _sources(folder):
            inside = path.relative_to(folder).as_posix()
            if name == "auditor" and (inside.startswith("_bundled/") or inside.startswith(_LEFT_OUT)):
                continue
            held[f"{name}/{inside}"] = path.read_bytes()
    held |= dict(_of_folder(libraries, names) if libraries is not None else _installed(names))
    if settings is not None:
        held |= dict(_settings(settings))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(held):
            info = zipfile.ZipInfo(name, _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, held[name])
    return buffer.getvalue()


def made_for(data: bytes) -> tuple[str, str]:
    """Return the runtime and the architecture that a package's libraries are compiled for, as AWS Lambda names them.

    Raises:
        UsageError: there are several, or none that AWS Lambda has.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
    found = {
        (f"python3.{one[1]}", {"aarch64": "arm64"}.get(one[2], one[2]))
        for name in names
        if (one := re.search(r"\.cpython-3(\d+)-(\w+?)-linux-gnu\.so$", name))
    }
    if len(found) != 1 or next(iter(found))[1] not in ("x86_64", "arm64"):
        told = ", ".join(" ".join(one) for one in sorted(found)) or "no compiled library at all"
        raise UsageError(f"the libraries are for {told}; AWS Lambda takes one of x86_64 and arm64.", _HINT)
    return next(iter(found))


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix in _SUFFIXES:
            yield path


def _settings(path: Path) -> Iterator[tuple[str, bytes]]:
    from auditor import config

    held, _ = config.load(path)
    yield "ddbaudit.yaml", path.read_bytes()
    if held.baseline:
        inside = Path(held.baseline)
        if inside.is_absolute() or ".." in inside.parts:
            raise UsageError(f"{path}: baseline: {held.baseline} must stand beside or below the settings.")
        try:
            yield inside.as_posix(), (path.parent / inside).read_bytes()
        except OSError as error:
            raise UsageError(f"{path.parent / inside}: cannot be read: {error.strerror}.") from None


def _installed(names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    if sys.platform != "linux":
        raise UsageError("the libraries that are installed here are not made for AWS Lambda.", _HINT)
    for name in names:
        try:
            found = distribution(name).files or []
        except PackageNotFoundError:
            raise UsageError(f"{name} is not installed as a package.", _HINT) from None
        for one in found:
            inside = one.as_posix()
            if not inside.startswith("..") and "__pycache__" not in inside:
                yield inside, Path(str(one.locate())).read_bytes()


_HINT = (
    "`pip install --target LIBRARIES --only-binary=:all: --platform manylinux2014_x86_64 --python-version 3.13 "
    "msgspec PyYAML` (for reports also Jinja2), then --libraries LIBRARIES."
)


def _of_folder(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    there = {path.name.lower() for path in folder.iterdir()} if folder.is_dir() else set()
    missing = [name for name in names if {"PyYAML": "yaml"}.get(name, name.lower()) not in there]
    if missing:
        raise UsageError(f"{folder}: has no {' and no '.join(missing)}.", _HINT)
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        if not path.is_file() or "__pycache__" in inside or inside.startswith("bin/"):
            continue
        if re.search(r"\.(pyd|dll|dylib)$|darwin|win32|win_amd64", path.name):
            raise UsageError(f"{path}: is not made for Linux.", _HINT)
        yield inside, path.read_bytes()
