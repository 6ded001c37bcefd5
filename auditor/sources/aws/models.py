"""botocore's models of services, cut down to what the auditor calls.

A model describes all of a service: Amazon EC2's takes 25 MB, of which the auditor needs a hundredth. The models
together would be most of the memory of an audit.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import botocore.loaders


class _Files(botocore.loaders.JSONFileLoader):  # type: ignore[misc]  # botocore is not typed
    """Reads models and drops what is not called."""

    def __init__(self, operations: Iterable[str]) -> None:
        self._kept: dict[str, set[str]] = {}
        for operation in operations:
            service, _, name = operation.partition(":")
            self._kept.setdefault(service, set()).add(name)

    def load_file(self, file_path: str) -> Any:
        """Return a file's content, or None where there is none. The path has no suffix: …/ec2/2016-11-15/service-2."""
        path = Path(file_path)
        kept = self._kept.get(path.parent.parent.name) if path.name == "service-2" else None
        for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
            try:
                with opened(file_path + suffix, "rb") as file:
                    held = json.load(file)
            except FileNotFoundError:
                continue
            return _cut(held, kept) if kept else held
        return None


def _cut(model: dict[str, Any], kept: Collection[str]) -> dict[str, Any]:
    """Return a model with some operations and the shapes that they lead to, without the words."""
    operations = {name: one for name, one in model["operations"].items() if name in kept}
    shapes: dict[str, Any] = {}
    ahead = list(operations.values())
    while ahead:
        one = ahead.pop()
        if isinstance(one, list):
            ahead += one
        elif isinstance(one, dict):
            one.pop("documentation", None)
            name = one.get("shape")
            if isinstance(name, str) and name not in shapes:
                shapes[name] = model["shapes"][name]
                ahead.append(shapes[name])
            ahead += one.values()
    return {**model, "operations": operations, "shapes": shapes}


@functools.cache
def loader(operations: frozenset[str], paths: str | None = None) -> botocore.loaders.Loader:
    """Return what finds models for sessions that make some calls only; it keeps what it read for all of them.

    Args:
        operations: What is called, as ``service:Operation`` with botocore's names of services. Models of services
            that are not named stay whole.
        paths: Further folders with models (``AWS_DATA_PATH`` of the AWS SDKs), or None.
    """
    found = [os.path.expandvars(Path(path).expanduser()) for path in paths.split(os.pathsep)] if paths else None
    return botocore.loaders.Loader(extra_search_paths=found, file_loader=_Files(operations))
