"""Instances and functions, and the root user."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import datetime, timedelta
from typing import Any

import boto3

from auditor.sources.demo import people
from auditor.sources.demo.people import IRELAND
from auditor.sources.demo.supplement import Supplement

FRANKFURT = "eu-central-1"


def plant(account: str, session: boto3.Session, supplement: Supplement) -> None:
    """Plant what an account of the example organisation has of this."""
    from auditor.sources.demo.company import MANAGEMENT, PRODUCTION

    held = people.People(account, session, supplement)
    if account == MANAGEMENT:
        _root(supplement)
        _function(session, account, "billing-export", bucket="shop-billing-exports")
    elif account == PRODUCTION:
        _production(held, session)
    else:
        _sandbox(held, session)


def _production(held: people.People, session: boto3.Session) -> None:
    catalog = [held.table("product-catalog"), held.table("product-catalog") + "/index/*"]
    held.role("shop-web", people.service("ec2"), people.allow(*people.READ, on=catalog, Sid="Catalog"))
    for name in ("shop-web", "support-tool"):
        held.iam.create_instance_profile(InstanceProfileName=name)
        held.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    private = [_run(session, IRELAND, f"10.10.{number}.0/24", "shop-web", "shop-web") for number in (1, 2)]
    # Nobody gave it a role: what it uses instead, AWS does not show.
    _run(session, IRELAND, "10.20.1.0/24", "warehouse-picking")
    _run(session, IRELAND, "10.30.1.0/24", "escrow-vault")
    _run(session, FRANKFURT, "10.40.1.0/24", "partner-desk", "support-tool")
    _run(session, FRANKFURT, "10.50.1.0/24", "support-desk", "support-tool", tokens="optional")
    _function(session, held.account, "orders-api", subnets=private, table="orders")


def _sandbox(held: people.People, session: boto3.Session) -> None:
    own = people.allow(*people.READ, *people.WRITE, on=held.table("load-test-orders"))
    held.role("load-test", people.service("lambda"), own)
    _run(session, IRELAND, "10.90.0.0/24", "playground")
    _function(
        session,
        held.account,
        "load-test",
        # The keys that AWS's own documents show.
        results_access_key_id="AKIAIOSFODNN7EXAMPLE",
        results_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",  # noqa: S106
    )


def _run(
    session: boto3.Session, region: str, block: str, name: str, profile: str = "", *, tokens: str = "required"
) -> str:
    """Name the instance in the subnet with an address block, and perhaps give it a profile; return the subnet."""
    ec2 = session.client("ec2", region_name=region)
    subnet: str = ec2.describe_subnets(Filters=[{"Name": "cidr-block", "Values": [block]}])["Subnets"][0]["SubnetId"]
    found = ec2.describe_instances(Filters=[{"Name": "subnet-id", "Values": [subnet]}])["Reservations"]
    instance = found[0]["Instances"][0]["InstanceId"]
    ec2.create_tags(Resources=[instance], Tags=[{"Key": "Name", "Value": name}])
    ec2.modify_instance_metadata_options(InstanceId=instance, HttpTokens=tokens, HttpEndpoint="enabled")
    if profile:
        ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": profile})
    return subnet


def _function(
    session: boto3.Session, account: str, name: str, *, subnets: list[str] | None = None, **variables: str
) -> None:
    """Make a function that runs as the role of its name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("handler.py"), "def handle(event, context): ...\n")
    network = {"VpcConfig": {"SubnetIds": subnets, "SecurityGroupIds": ["sg-0a1b2c3d4e5f60718"]}} if subnets else {}
    session.client("lambda", region_name=IRELAND).create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=f"arn:aws:iam::{account}:role/{name}",
        Handler="handler.handle",
        Code={"ZipFile": file.getvalue()},
        Environment={"Variables": {key.upper(): value for key, value in variables.items()}},
        **network,
    )


def _root(supplement: Supplement) -> None:
    """Complete what moto answers about root users: it knows none, and no central management of them."""
    from auditor.sources.demo.company import MANAGEMENT, PRODUCTION, SANDBOX

    counts = {
        MANAGEMENT: {"AccountAccessKeysPresent": 0, "AccountMFAEnabled": 1, "AccountPasswordPresent": 1},
        PRODUCTION: {"AccountAccessKeysPresent": 0, "AccountMFAEnabled": 0, "AccountPasswordPresent": 0},
        SANDBOX: {"AccountAccessKeysPresent": 1, "AccountMFAEnabled": 0, "AccountPasswordPresent": 1},
    }
    signed_in = {MANAGEMENT: timedelta(days=210), SANDBOX: timedelta(days=3)}

    def report(account: str, _request: dict[str, Any], parsed: dict[str, Any]) -> None:
        text = parsed["Content"].decode()
        columns = next(csv.reader(io.StringIO(text)))
        made, key = (
            datetime(2024, 2, 5, 9, 30, tzinfo=supplement.now.tzinfo),
            counts[account]["AccountAccessKeysPresent"],
        )
        used = supplement.now - signed_in[account] if account in signed_in else None
        row = dict.fromkeys(columns, "N/A") | {
            "user": "<root_account>",
            "arn": f"arn:aws:iam::{account}:root",
            "user_creation_time": made.isoformat(),
            "password_enabled": "not_supported",
            "password_last_used": used.isoformat() if used else "no_information",
            "password_last_changed": "not_supported",
            "password_next_rotation": "not_supported",
            "mfa_active": "true" if counts[account]["AccountMFAEnabled"] else "false",
            "access_key_1_active": "true" if key else "false",
            "access_key_1_last_rotated": made.isoformat() if key else "N/A",
            "access_key_2_active": "false",
            "cert_1_active": "false",
            "cert_2_active": "false",
        }
        line = io.StringIO()
        csv.DictWriter(line, columns, lineterminator="\n").writerow(row)
        head, _, rest = text.partition("\n")
        parsed["Content"] = f"{head}\n{line.getvalue()}{rest}".encode()

    def features(account: str, _region: str, _request: dict[str, Any]) -> dict[str, Any]:
        if account != MANAGEMENT or supplement.organizations is None:
            code = "AccountNotManagementOrDelegatedAdministratorException"
            return {"Error": {"Code": code, "Message": "The account is not the management account."}}
        organization = supplement.organizations.client("organizations", region_name="us-east-1").describe_organization()
        return {
            "OrganizationId": organization["Organization"]["Id"],
            "EnabledFeatures": ["RootCredentialsManagement", "RootSessions"],
        }

    supplement.amends["GetAccountSummary"] = lambda account, _request, parsed: parsed["SummaryMap"].update(
        counts[account]
    )
    supplement.amends["GetCredentialReport"] = report
    supplement.answers["ListOrganizationsFeatures"] = features
