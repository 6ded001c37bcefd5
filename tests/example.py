"""The example organisation's inventory, collected once for the tests of a process that want real facts."""

from __future__ import annotations

import functools
from datetime import UTC, datetime

import yaml

from auditor import config, engine, packs
from auditor.config import Config
from auditor.inventory import Caller, Inventory
from auditor.report import Report, RunInfo
from auditor.resources import Account
from auditor.sources import demo
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access

RUN = RunInfo(
    "0d" * 16,
    datetime(2026, 1, 31, 11, 59, 58, tzinfo=UTC),
    datetime(2026, 1, 31, 12, 0, 7, tzinfo=UTC),
    "demo",
    Caller("111122223333", "arn:aws:sts::111122223333:assumed-role/auditor/ddbaudit-demo"),
)


@functools.cache
def inventory() -> Inventory:
    """Return what all built-in rules need of the example organisation."""
    with demo.organisation() as accounts:
        accesses = [Access(Account(one.id), one.name, one.session, Pacer("off")) for one in accounts]
        wanted = engine.wanted(packs.built_in().values())
        sampling = settings().sampling
        return collect(accesses, Caller(accounts[0].id, "arn"), list(demo.REGIONS), wanted, sampling=sampling)


@functools.cache
def settings() -> Config:
    """Return the example organisation's configuration."""
    return config.load(demo.CONFIG)[0]


@functools.cache
def report() -> Report:
    """Return the report on the example organisation with all built-in rules."""
    config, root = settings(), yaml.compose(demo.CONFIG.read_text(encoding="utf-8"))
    rules = packs.configure(packs.built_in(), config, root, demo.CONFIG)
    return engine.audit(inventory(), rules, config, RUN, version="1.2.3")
