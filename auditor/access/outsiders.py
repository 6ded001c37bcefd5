"""Synthetic outsiders: strangers to a policy on a resource, each with what is settled of it and what it chooses.

The outsider's account, organisation, VPC and endpoint are fresh: equal to no constant in the policy. Its own policies
allow everything and its requests are signed. Whatever it can choose it chooses to get in: names and paths of its
roles, its tags and session names, the parameters of the request. Where it depends on luck (a source address, an
external id) it can miss at will and never hit; what the policy asks of anything else stays open.

Sources: IAM User Guide, "AWS global condition context keys", "The confused deputy problem" and "Available keys for AWS
OIDC federation".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from auditor.access.actions import find
from auditor.access.choices import Choice
from auditor.access.mentions import account_in
from auditor.access.patterns import SEGMENTS, Variable, template
from auditor.access.policy import Policy

#: OIDC providers where anybody may have tokens made with an audience of his choice -> how the claim ``sub`` names the
#: tenant: the text before its name and the one after it (documentation of GitHub Actions, GitLab CI/CD, HCP Terraform,
#: Buildkite and Vercel on their subject claims).
SHARED_PROVIDERS: Mapping[str, tuple[str, str]] = {
    "token.actions.githubusercontent.com": ("repo:", "/"),
    "gitlab.com": ("project_path:", "/"),
    "app.terraform.io": ("organization:", ":"),
    "agent.buildkite.com": ("organization:", ":"),
    "oidc.vercel.com": ("owner:", ":"),
}

#: Amazon Cognito's identity pools as a provider: every pool of every account. GovCloud and China have names of their
#: own beside it (AWS GovCloud (US) User Guide and Amazon Web Services in China, "Amazon Cognito").
COGNITO = "cognito-identity.amazonaws.com"
_COGNITO = re.compile(r"cognito-identity(-us-gov|\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?")


def is_cognito(host: str) -> bool:
    """Tell whether a web identity provider is Amazon Cognito's identity pools, in any partition."""
    return _COGNITO.fullmatch(host) is not None


def cognito_providers(partition: str, region: str) -> tuple[str, ...]:
    """Return the names under which a pool's identities may come to IAM."""
    own = {
        "aws-us-gov": "cognito-identity-us-gov.amazonaws.com",
        "aws-cn": f"cognito-identity.{region}.amazonaws.com.cn",
    }.get(partition)
    return (COGNITO, own) if own else (COGNITO,)


@dataclass(frozen=True)
class Outsider:
    """Somebody of whom only this is known.

    Attributes:
        account: Number of its account; empty: a fresh one.
        organization: Id of its organisation; empty: both none and a fresh one are tried.
        networks: Ids of VPCs (``vpc-…``) and VPC endpoints (``vpce-…``) that it may come through; empty: fresh ones,
            and none at all.
        service: A service principal that acts for the account; empty: the account's users and roles act.
        provider: An identity provider, as ``Federated`` of a trust policy names it: the outsider has a token from it,
            of another tenant where it has several, and no AWS credentials.
    """

    account: str = ""
    organization: str = ""
    networks: tuple[str, ...] = ()
    service: str = ""
    provider: str = ""


@dataclass
class World:
    """One outsider with all that is settled of it, and what it may choose.

    Attributes:
        principal: ARN of the principal, service principal or identity provider.
        known: Condition keys whose values are settled.
        absent: Keys that its requests do not carry.
        supplied: Keys that they do, with a value that is not settled.
        choices: Values of keys, lower case, that are not settled.
    """

    principal: str | None
    known: dict[str, Any] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    supplied: list[str] = field(default_factory=list)
    choices: dict[str, Choice] = field(default_factory=dict)

    def choice(self, key: str) -> Choice | None:
        """Return what a key may be; None: nothing is known of it. Names that end in ``*`` stand for what begins so."""
        held = self.choices.get(key)
        if held is None:
            held = next(
                (one for name, one in self.choices.items() if name[-1] == "*" and key.startswith(name[:-1])), None
            )
        return held


#: Keys that every outsider with AWS credentials chooses: its own tags, names and sessions, and what its request says.
_CHOSEN = (
    *("aws:principaltag/*", "aws:username", "aws:useragent", "aws:referer", "aws:sourceidentity", "sts:sourceidentity"),
    *("sts:rolesessionname", "sts:transitivetagkeys", "aws:federatedprovider", "aws:calledvia", "aws:calledviafirst"),
    *("aws:calledvialast", "aws:viaawsservice", "aws:securetransport", "aws:multifactorauthpresent"),
    *("aws:multifactorauthage", "aws:requesttag/*", "aws:tagkeys", "dynamodb:leadingkeys", "dynamodb:attributes"),
    *("dynamodb:firstpartitionkeyvalues", "dynamodb:secondpartitionkeyvalues", "dynamodb:thirdpartitionkeyvalues"),
    *("dynamodb:fourthpartitionkeyvalues", "dynamodb:select", "dynamodb:returnvalues", "dynamodb:fulltablescan"),
    *("dynamodb:returnconsumedcapacity", "dynamodb:enclosingoperation", "kms:viaservice", "kms:encryptioncontext:*"),
    *("kms:encryptioncontextkeys", "kms:encryptionalgorithm", "kms:grantoperations", "kms:granteeprincipal"),
    *("kms:retiringprincipal", "kms:grantisforawsresource", "kms:grantconstrainttype", "kms:requestalias"),
    *("kms:bypasspolicylockoutsafetycheck", "kms:schedulekeydeletionpendingwindowindays", "aws:vpcsourceip"),
    "aws:ec2instancesourceprivateipv4",
)


#: Claims of shared OIDC providers whose values belong to one tenant.
_CLAIMS_OF_TENANT = frozenset(
    {
        *("repository_id", "repository_owner", "repository_owner_id", "enterprise", "enterprise_id", "actor"),
        *("actor_id", "namespace_id", "namespace_path", "project_id", "project_path", "user_id", "user_login"),
        *("user_email", "organization_id", "organization_slug", "cluster_id", "pipeline_id", "owner_id", "owner"),
        *("terraform_organization_id", "terraform_organization_name"),
    }
)


class Trial:
    """The constants of some policies, and fresh ones that are none of them."""

    def __init__(self, policy: Policy, others: Iterable[Policy], outsider: Outsider) -> None:
        """Gather the constants.

        Args:
            policy: The policy that the outsider tries.
            others: Those that limit it: resource control policies.
            outsider: What is known of the outsider.
        """
        self.outsider = outsider
        statements = [statement for one in (policy, *others) for statement in one.statements]
        self.values = {
            *(value for statement in statements for condition in statement.conditions for value in condition.values),
            *(value for statement in statements for _, value in statement.principals or ()),
        }
        self.keys = {condition.key for statement in statements for condition in statement.conditions}
        self.keys |= {
            part.key
            for value in (*self.values, *(text for one in statements for text in one.resources or ()))
            for part in template(value)
            if isinstance(part, Variable)
        }
        self.principals = {
            value for statement in statements for kind, value in statement.principals or () if kind == "AWS"
        }
        self.by_key: dict[str, list[str]] = {}
        for statement in statements:
            for condition in statement.conditions:
                self.by_key.setdefault(condition.key, []).extend(condition.values)
        self.text = "\n".join(self.values)
        self.account = outsider.account or self._fresh("9{:011d}")
        self.organization = self._fresh("o-outsider{:02d}")

    def _fresh(self, form: str) -> str:
        """Return a text that the policies do not contain."""
        candidates = (form.format(number) for number in range(len(self.text) + 1))
        return next(one for one in candidates if one not in self.text)

    def _asks(self, *parts: str) -> bool:
        return any(part in key for key in self.keys for part in parts)

    def _literals(self, key: str) -> tuple[str, ...]:
        return tuple(value for value in self.by_key.get(key, ()) if not any(sign in value for sign in ("*", "?", "${")))

    def _settle(self, world: World, key: str, value: str, shape: str, *taken: str) -> None:
        """Give a key a fresh value; where a policy compares it with a pattern, any value that is not taken.

        Numbers and ids are AWS's to give, and somebody has the one that matches.
        """
        lower = key.lower()
        if not any("*" in one or "?" in one for one in self.by_key.get(lower, ())):
            world.known[key] = value
            return
        world.supplied.append(key)
        world.choices[lower] = Choice((shape,), (*self._literals(lower), *taken))

    def worlds(
        self, action: str, resource: str, owner: str, organization: str | None, context: Mapping[str, Any]
    ) -> Iterator[World]:
        """Yield the outsiders that try one action on one resource."""
        segments = resource.split(":", SEGMENTS - 1)
        partition = segments[1] if len(segments) == SEGMENTS else "aws"
        for world in self._callers(partition):
            self._resource(world, segments, owner, organization)
            for choice in (
                *("aws:principalaccount", "kms:calleraccount", "aws:sourceaccount"),
                *("aws:principalorgid", "aws:sourceorgid"),
            ):
                held = world.choices.get(choice)
                if held is not None:
                    mine = owner if choice.endswith("account") else organization
                    world.choices[choice] = replace(held, never=(*held.never, *((mine,) if mine else ())))
            self._request(world, action)
            world.known |= context
            stated = {key.lower() for key in context}
            if any(key.startswith("aws:resourcetag/") for key in stated):
                world.absent.append("aws:ResourceTag/*")
            yield world

    def _callers(self, partition: str) -> Iterator[World]:
        who = self.outsider
        if who.provider:
            yield self._federated()
            return
        organizations = [who.organization] if who.organization else ["", self.organization]
        if not self._asks("orgid", "orgpaths"):
            organizations = organizations[:1]
        if who.service:
            # Not every service says for whom it acts.
            for number, member in product(("", self.account) if not who.account else (self.account,), organizations):
                yield self._service(number, member)
            return
        networks = (True,) if who.networks else (False, True) if self._asks("vpc") else (False,)
        principals = self._principals(partition)
        for principal, member, private in product(principals, organizations, networks):
            yield self._identity(partition, principal, member, anybody=principal is principals[0], private=private)

    def _principals(self, partition: str) -> list[str]:
        """Return a role that no policy names, and whoever of the account is named."""
        found = [f"arn:{partition}:iam::{self.account}:role/{self._fresh('outsider{:02d}')}"]
        found += [
            f"arn:{partition}:iam::{value}:root" if value == self.account else value
            for value in sorted(self.principals)
            if self.outsider.account and account_in(value) == self.account
        ]
        return list(dict.fromkeys(found))

    def _identity(self, partition: str, principal: str, organization: str, *, anybody: bool, private: bool) -> World:
        world = World(principal, choices={key: Choice() for key in _CHOSEN})
        world.known["aws:PrincipalIsAWSService"] = "false"
        for key in ("aws:PrincipalAccount", "kms:CallerAccount"):
            if self.outsider.account:
                world.known[key] = self.account
            else:
                self._settle(world, key, self.account, "?" * 12)
        world.absent += ["aws:PrincipalServiceName", "aws:PrincipalServiceNamesList", "aws:SourceAccount"]
        world.absent += ["aws:SourceArn", "aws:SourceOrgID", "aws:SourceOrgPaths"]
        world.supplied += ["aws:PrincipalArn", "aws:UserId", "aws:PrincipalType", "aws:SecureTransport"]
        here = f"arn:{partition}:iam::{self.account}:"
        if anybody:
            others = tuple(one for one in self.principals if account_in(one) == self.account)
            world.choices["aws:principalarn"] = Choice(
                (f"{here}role/?*", f"{here}user/?*", f"{here}root"), others, form="Name"
            )
        elif ":assumed-role/" in principal:
            role = principal.partition(":assumed-role/")[2].partition("/")[0]
            world.choices["aws:principalarn"] = Choice((f"{here}role/{role}", f"{here}role/*/{role}"), form="Name")
        else:
            world.known["aws:PrincipalArn"] = principal
        world.choices["aws:userid"] = Choice(
            (f"{self._fresh('AROAOUTSIDER{:02d}')}:?*", self._fresh("AIDAOUTSIDER{:02d}"), self.account)
        )
        world.choices["aws:principaltype"] = Choice(("User", "AssumedRole", "FederatedUser", "Account"))
        world.choices["sts:externalid"] = Choice(kind="luck")
        self._organization(world, "Principal", organization)
        self._network(world, private=private)
        return world

    def _organization(self, world: World, whose: str, organization: str) -> None:
        if not organization:
            world.absent += [f"aws:{whose}OrgID", f"aws:{whose}OrgPaths"]
            return
        if organization == self.organization:
            self._settle(world, f"aws:{whose}OrgID", organization, "o-?*")
        else:
            world.known[f"aws:{whose}OrgID"] = organization
        world.supplied.append(f"aws:{whose}OrgPaths")
        world.choices[f"aws:{whose}OrgPaths".lower()] = Choice((f"{organization}/*",))

    def _network(self, world: World, *, private: bool) -> None:
        """Keys of the network: the request comes over the internet, or through an endpoint in a VPC."""
        if not private:
            world.absent += ["aws:SourceVpc", "aws:SourceVpce", "aws:SourceVpcArn", "aws:VpcSourceIp", "aws:Vpce*"]
            world.absent += ["aws:Ec2InstanceSourceVpc", "aws:Ec2InstanceSourcePrivateIPv4"]
            world.supplied.append("aws:SourceIp")
            world.choices["aws:sourceip"] = Choice(kind="luck")
            return
        world.absent.append("aws:SourceIp")
        world.supplied += ["aws:SourceVpc", "aws:SourceVpce", "aws:VpcSourceIp"]
        for key, kind in (("sourcevpc", "vpc-"), ("sourcevpce", "vpce-"), ("ec2instancesourcevpc", "vpc-")):
            named = tuple(one for one in self.outsider.networks if one.startswith(kind))
            world.choices[f"aws:{key}"] = Choice(named or (f"{kind}?*",), () if named else self._literals(f"aws:{key}"))
        if not self.outsider.networks:
            world.known["aws:VpceAccount"] = self.account
            world.absent += ["aws:VpceOrgID", "aws:VpceOrgPaths"] if not world.known.get("aws:PrincipalOrgID") else []
            if world.known.get("aws:PrincipalOrgID"):
                world.known["aws:VpceOrgID"] = world.known["aws:PrincipalOrgID"]

    def _service(self, number: str, organization: str) -> World:
        name = self.outsider.service
        world = World(name)
        world.known |= {
            "aws:PrincipalIsAWSService": "true",
            "aws:PrincipalServiceName": name,
            "aws:PrincipalServiceNamesList": [name],
            "aws:SecureTransport": "true",
        }
        world.absent += ["aws:PrincipalAccount", "aws:PrincipalArn", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths"]
        world.absent += ["aws:PrincipalType", "aws:PrincipalTag/*", "aws:SourceVpc", "aws:SourceVpce", "kms:ViaService"]
        world.choices |= {key: Choice() for key in ("kms:encryptioncontext:*", "kms:encryptioncontextkeys")}
        if number:
            if self.outsider.account:
                world.known["aws:SourceAccount"] = number
            else:
                self._settle(world, "aws:SourceAccount", number, "?" * 12)
            # Names of buckets belong to whoever takes them first, so those in the policy are taken.
            taken = tuple(one for one in self._literals("aws:sourcearn") if not account_in(one))
            world.choices["aws:sourcearn"] = Choice((f"arn:*:*:*:{number}:?*", "arn:*:s3:::?*"), taken, form="ArnLike")
            self._organization(world, "Source", organization)
        else:
            world.absent += ["aws:SourceAccount", "aws:SourceArn", "aws:SourceOrgID", "aws:SourceOrgPaths"]
        return world

    def _federated(self) -> World:
        provider = self.outsider.provider
        host = provider.rpartition("oidc-provider/")[2].lower()
        world = World(provider)
        world.absent += ["aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalArn", "aws:PrincipalAccount"]
        world.choices |= {
            key: Choice() for key in ("sts:rolesessionname", "sts:sourceidentity", "aws:requesttag/*", "aws:tagkeys")
        }
        world.choices["aws:sourceip"] = Choice(kind="luck")
        world.supplied += ["aws:SourceIp", f"{host}:aud", f"{host}:sub"]
        claims = {key.removeprefix(f"{host}:"): key for key in self.keys if key.startswith(f"{host}:")}
        tenant = SHARED_PROVIDERS.get(host)
        for claim, key in claims.items():
            if claim == "amr" and is_cognito(host):
                world.choices[key] = Choice(("authenticated", "unauthenticated", f"{host}*"))
            elif is_cognito(host) or (tenant is not None and claim in _CLAIMS_OF_TENANT):
                world.choices[key] = Choice(never=self._literals(key))
            elif tenant is not None and claim in ("sub", "repository"):
                before, after = tenant if claim == "sub" else ("", "/")
                world.choices[key] = Choice((f"{before}?*{after}?*",), tuple(self._tenants(key, before, after)))
            elif tenant is not None:
                world.choices[key] = Choice(kind="open" if claim == "job_workflow_ref" else "chosen")
            elif claim in ("aud", "sub", "oaud", "app_id", "id", "user_id"):
                world.known[key] = self._fresh("outsider{:02d}")
        return world

    def _tenants(self, key: str, before: str, after: str) -> Iterator[str]:
        """Yield what names a tenant in full: such names are taken."""
        for value in self.by_key.get(key, ()):
            name, found, _ = value[len(before) :].partition(after)
            if value.startswith(before) and found and name and not any(sign in name for sign in ("*", "?", "${")):
                yield f"{before}{name}{after}*"

    def _resource(self, world: World, segments: Sequence[str], owner: str, organization: str | None) -> None:
        world.known["aws:ResourceAccount"] = owner
        if organization:
            world.known["aws:ResourceOrgID"] = organization
        elif organization is None:
            world.absent += ["aws:ResourceOrgID", "aws:ResourceOrgPaths"]
        else:
            world.choices["aws:resourceorgid"] = Choice(never=(self.organization,), kind="open")
        if len(segments) == SEGMENTS and segments[3]:
            world.known["aws:RequestedRegion"] = segments[3]
        else:
            world.choices["aws:requestedregion"] = Choice()

    def _request(self, world: World, action: str) -> None:
        """Leave out the keys that requests of this action do not carry."""
        known = find(action)
        if known is None:
            return
        if known.name == "dynamodb:SearchVectors":
            # AWS says both that its requests have none of DynamoDB's keys and that statements on them do not match.
            for key in list(world.choices):
                if key.startswith("dynamodb:"):
                    del world.choices[key]
            return
        prefixes = ("dynamodb:", "kms:", "aws:requesttag/", "aws:tagkeys")
        world.absent += [key for key in self.keys if key.startswith(prefixes) and not known.carries(key)]
