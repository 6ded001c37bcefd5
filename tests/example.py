"""The example organisation's inventory, collected once for the tests of a process that want real facts."""

from __future__ import annotations

import functools

from auditor import config, engine, packs
from auditor.config import Config
from auditor.inventory import Caller, Inventory
from auditor.resources import Account
from auditor.sources import demo
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access


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
