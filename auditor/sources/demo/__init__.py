"""The example organisation: planted in moto inside this process and audited by the same code path as AWS.

moto keeps the state; what it has no calls for comes from :mod:`auditor.sources.demo.supplement`.
Nothing here touches the network or the user's AWS configuration.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import botocore.session
import moto
from botocore.loaders import Loader

# moto's seed makes the ids of a planted organisation the same in every run.
from moto.moto_api._internal import mock_random

from auditor.sources.demo import company
from auditor.sources.demo.supplement import Supplement

#: The regions that the organisation uses.
REGIONS = ("eu-central-1", "eu-west-1", "us-east-1")

#: Its ddbaudit.yaml.
CONFIG = Path(__file__).with_name("ddbaudit.yaml")


@dataclass(frozen=True)
class DemoAccount:
    """An account of the example organisation.

    Attributes:
        id: Account number.
        name: Its name.
        session: A session with credentials of that account.
    """

    id: str
    name: str
    session: boto3.Session


@contextlib.contextmanager
def organisation() -> Iterator[tuple[DemoAccount, ...]]:
    """Plant the organisation and yield its accounts, the management account first.

    Threads that use a session must have ended when the context ends: moto no longer answers then.
    """
    with _own_environment(), moto.mock_aws():
        mock_random.seed(17)
        supplement = Supplement(company.OPTED_IN)
        accounts = []
        loader = Loader()  # shared: sessions that read AWS's models anew cost most of the time
        for account, name in company.ACCOUNTS.items():
            company.plant(account, _session(account, loader), supplement)
            session = _session(account, loader)
            supplement.attach(session, account)
            accounts.append(DemoAccount(account, name, session))
        yield tuple(accounts)


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Hide the user's AWS settings: profiles, endpoints, certificates, metadata service."""
    saved = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "MOTO_"))}
    own = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    }
    try:
        for name in saved:
            del os.environ[name]
        os.environ.update(own)
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)
        os.environ.update(saved)


def _session(account: str, loader: Loader) -> boto3.Session:
    """Return a session with credentials of an account, from moto's AssumeRole."""
    core = botocore.session.Session()
    core.register_component("data_loader", loader)
    core.set_credentials("example", "example")
    sts = core.create_client("sts", region_name="us-east-1")
    role = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/auditor", RoleSessionName="ddbaudit-demo")
    credentials = role["Credentials"]
    core.set_credentials(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
    return boto3.Session(botocore_session=core, region_name="eu-west-1")
