"""What a rule can judge: the identity of AWS accounts, regions, tables, keys, subnets and so on.

A resource carries identity only (what its ARN says); everything else about it is a fact. Resources
are small, hashable and ordered by ARN, and every one knows the resource above it (``parent``).

ARN forms: AWS Service Authorization Reference. Where AWS gives no ARN (a region of an account, an
account itself) the form used is the one AWS uses for "everything of it".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self, TypeVar

from auditor.errors import UsageError


class Resource:
    """Base of all kinds of resources. ``cfn_type`` is the CloudFormation (or AWS Config) type name."""

    __slots__ = ()
    cfn_type: ClassVar[str]
    noun: ClassVar[str]
    above: ClassVar[tuple[type[Resource], ...]] = ()

    @property
    def arn(self) -> str:
        """The resource's id in reports and snapshots."""
        raise NotImplementedError

    @property
    def parent(self) -> Resource | None:
        """The resource above this one, or None."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """The short name that a person uses for it."""
        raise NotImplementedError

    @classmethod
    def from_arn(cls, arn: str) -> Self:
        """Parse an ARN of this kind.

        Raises:
            ValueError: the text is not an ARN of this kind.
        """
        raise NotImplementedError

    def __lt__(self, other: Resource) -> bool:
        """Order by ARN."""
        return self.arn < other.arn

    def __str__(self) -> str:
        """Return the ARN."""
        return self.arn


_R = TypeVar("_R", bound=Resource)


def _split(arn: str) -> tuple[str, str, str, str, str]:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        raise ValueError(f"not an ARN: {arn!r}")
    return parts[1], parts[2], parts[3], parts[4], parts[5]


@dataclass(frozen=True, slots=True, order=False)
class Account(Resource):
    """An AWS account."""

    id: str
    partition: str = "aws"
    cfn_type: ClassVar[str] = "AWS::::Account"
    noun: ClassVar[str] = "account"

    @property
    def arn(self) -> str:
        """``arn:aws:iam::111122223333:root``."""
        return f"arn:{self.partition}:iam::{self.id}:root"

    @property
    def parent(self) -> Resource | None:
        """Nothing stands above an account yet."""
        return None

    @property
    def label(self) -> str:
        """The account's number."""
        return self.id

    @classmethod
    def from_arn(cls, arn: str) -> Self:
        """Parse ``arn:aws:iam::111122223333:root``."""
        partition, service, _, account, rest = _split(arn)
        if (service, rest) != ("iam", "root"):
            raise ValueError(f"not an account: {arn!r}")
        return cls(account, partition)


@dataclass(frozen=True, slots=True, order=False)
class Region(Resource):
    """One region of one account."""

    account: Account
    name: str
    cfn_type: ClassVar[str] = "AWS::::Region"
    noun: ClassVar[str] = "region"
    above: ClassVar[tuple[type[Resource], ...]] = (Account,)

    @property
    def arn(self) -> str:
        """``arn:aws:dynamodb:eu-west-1:111122223333:*``."""
        return f"arn:{self.account.partition}:dynamodb:{self.name}:{self.account.id}:*"

    @property
    def parent(self) -> Resource | None:
        """The account."""
        return self.account

    @property
    def label(self) -> str:
        """The region's name."""
        return self.name

    @classmethod
    def from_arn(cls, arn: str) -> Self:
        """Parse ``arn:aws:dynamodb:eu-west-1:111122223333:*``."""
        partition, service, region, account, rest = _split(arn)
        if (service, rest) != ("dynamodb", "*"):
            raise ValueError(f"not a region: {arn!r}")
        return cls(Account(account, partition), region)


@dataclass(frozen=True, slots=True, order=False)
class RegionalResource(Resource):
    """A resource that a region holds and that its name identifies there."""

    region: Region
    name: str
    above: ClassVar[tuple[type[Resource], ...]] = (Region, Account)
    service: ClassVar[str]
    #: What stands before the name in the ARN, the separator included.
    path: ClassVar[str]

    @property
    def account(self) -> Account:
        """The account that owns it (by its ARN)."""
        return self.region.account

    @property
    def arn(self) -> str:
        """Its ARN."""
        owner = self.region.account
        return f"arn:{owner.partition}:{self.service}:{self.region.name}:{owner.id}:{self.path}{self.name}"

    @property
    def parent(self) -> Resource | None:
        """The region."""
        return self.region

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    @classmethod
    def from_arn(cls, arn: str) -> Self:
        """Parse an ARN of this kind."""
        partition, service, region, account, rest = _split(arn)
        name = rest.removeprefix(cls.path)
        if service != cls.service or not rest.startswith(cls.path) or not name:
            raise ValueError(f"not a resource of the kind {cls.noun}: {arn!r}")
        return cls(Region(Account(account, partition), region), name)


class Table(RegionalResource):
    """A DynamoDB table in one region; each replica of a global table is a table of its own."""

    __slots__ = ()
    cfn_type = "AWS::DynamoDB::Table"
    noun = "table"
    service = "dynamodb"
    path = "table/"


class DaxCluster(RegionalResource):
    """A DAX cluster."""

    __slots__ = ()
    cfn_type = "AWS::DAX::Cluster"
    noun = "DAX cluster"
    service = "dax"
    path = "cache/"


class Key(RegionalResource):
    """A KMS key that a table uses; its account may be a foreign one."""

    __slots__ = ()
    cfn_type = "AWS::KMS::Key"
    noun = "KMS key"
    service = "kms"
    path = "key/"


class Vpc(RegionalResource):
    """A VPC."""

    __slots__ = ()
    cfn_type = "AWS::EC2::VPC"
    noun = "VPC"
    service = "ec2"
    path = "vpc/"


class Subnet(RegionalResource):
    """A subnet."""

    __slots__ = ()
    cfn_type = "AWS::EC2::Subnet"
    noun = "subnet"
    service = "ec2"
    path = "subnet/"


class VpcEndpoint(RegionalResource):
    """A VPC endpoint."""

    __slots__ = ()
    cfn_type = "AWS::EC2::VPCEndpoint"
    noun = "VPC endpoint"
    service = "ec2"
    path = "vpc-endpoint/"


class IdentityPool(RegionalResource):
    """A Cognito identity pool; its name is its id, such as ``eu-west-1:0a1b…``."""

    __slots__ = ()
    cfn_type = "AWS::Cognito::IdentityPool"
    noun = "identity pool"
    service = "cognito-identity"
    path = "identitypool/"


class Trail(RegionalResource):
    """A CloudTrail trail, in its home region; its account may be the organisation's management account."""

    __slots__ = ()
    cfn_type = "AWS::CloudTrail::Trail"
    noun = "trail"
    service = "cloudtrail"
    path = "trail/"


class LogGroup(RegionalResource):
    """A CloudWatch Logs log group that a trail delivers to; its account is the trail's."""

    __slots__ = ()
    cfn_type = "AWS::Logs::LogGroup"
    noun = "log group"
    service = "logs"
    path = "log-group:"

    @classmethod
    def from_arn(cls, arn: str) -> Self:
        """Parse the ARN of a log group, also in the form for all its streams, which ends in ``:*``."""
        return super().from_arn(arn.removesuffix(":*"))


class Alarm(RegionalResource):
    """A CloudWatch alarm: on a metric, a composite one, or one on a log query."""

    __slots__ = ()
    cfn_type = "AWS::CloudWatch::Alarm"
    noun = "alarm"
    service = "cloudwatch"
    path = "alarm:"


class EventRule(RegionalResource):
    """An EventBridge rule on the default event bus."""

    __slots__ = ()
    cfn_type = "AWS::Events::Rule"
    noun = "EventBridge rule"
    service = "events"
    path = "rule/"


class Topic(RegionalResource):
    """An SNS topic; its account may be a foreign one."""

    __slots__ = ()
    cfn_type = "AWS::SNS::Topic"
    noun = "SNS topic"
    service = "sns"
    path = ""


class KinesisStream(RegionalResource):
    """A Kinesis data stream that a table's changes go to; its account may be a foreign one."""

    __slots__ = ()
    cfn_type = "AWS::Kinesis::Stream"
    noun = "Kinesis data stream"
    service = "kinesis"
    path = "stream/"


class Instance(RegionalResource):
    """An EC2 instance."""

    __slots__ = ()
    cfn_type = "AWS::EC2::Instance"
    noun = "EC2 instance"
    service = "ec2"
    path = "instance/"


class Function(RegionalResource):
    """A Lambda function."""

    __slots__ = ()
    cfn_type = "AWS::Lambda::Function"
    noun = "Lambda function"
    service = "lambda"
    path = "function:"


@dataclass(frozen=True, slots=True, order=False)
class Bucket(Resource):
    """An S3 bucket that tables are exported to; its ARN names neither account nor region.

    Attributes:
        account: Its owner where that is known, else the account that exports to it.
        name: Its name.
    """

    account: Account
    name: str
    cfn_type: ClassVar[str] = "AWS::S3::Bucket"
    noun: ClassVar[str] = "S3 bucket"
    above: ClassVar[tuple[type[Resource], ...]] = (Account,)

    @property
    def arn(self) -> str:
        """``arn:aws:s3:::exports``."""
        return f"arn:{self.account.partition}:s3:::{self.name}"

    @property
    def parent(self) -> Resource | None:
        """The account."""
        return self.account

    @property
    def label(self) -> str:
        """Its name."""
        return self.name


@dataclass(frozen=True, slots=True, order=False)
class Stream(Resource):
    """The stream of a table; its label is a time, such as ``2026-01-31T09:30:00.000``."""

    table: Table
    name: str
    cfn_type: ClassVar[str] = "AWS::DynamoDB::Stream"
    noun: ClassVar[str] = "stream"
    service: ClassVar[str] = "dynamodb"
    above: ClassVar[tuple[type[Resource], ...]] = (Table, Region, Account)

    @property
    def arn(self) -> str:
        """``arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2026-01-31T09:30:00.000``."""
        return f"{self.table.arn}/stream/{self.name}"

    @property
    def parent(self) -> Resource | None:
        """The table."""
        return self.table

    @property
    def label(self) -> str:
        """The table's name and the stream's label."""
        return f"{self.table.name}/stream/{self.name}"

    @classmethod
    def from_arn(cls, arn: str) -> Self:
        """Parse the ARN of a stream."""
        table, slash, name = arn.partition("/stream/")
        if not slash or not name:
            raise ValueError(f"not a stream: {arn!r}")
        return cls(Table.from_arn(table), name)


@dataclass(frozen=True, slots=True, order=False)
class IamResource(Resource):
    """What IAM holds in an account: users, groups and roles, each with its path and name."""

    account: Account
    path_and_name: str
    above: ClassVar[tuple[type[Resource], ...]] = (Account,)
    prefix: ClassVar[str]

    @property
    def name(self) -> str:
        """The name, which is unique in the account."""
        return self.path_and_name.rpartition("/")[2]

    @property
    def path(self) -> str:
        """The path, which begins and ends with a slash."""
        return f"/{self.path_and_name.rpartition('/')[0]}/".replace("//", "/")

    @property
    def arn(self) -> str:
        """``arn:aws:iam::111122223333:role/service/orders-api``."""
        return f"arn:{self.account.partition}:iam::{self.account.id}:{self.prefix}/{self.path_and_name}"

    @property
    def parent(self) -> Resource | None:
        """The account."""
        return self.account

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    @classmethod
    def from_arn(cls, arn: str) -> Self:
        """Parse an ARN of this kind."""
        partition, service, _, account, rest = _split(arn)
        prefix, slash, name = rest.partition("/")
        if (service, prefix) != ("iam", cls.prefix) or not slash or not name:
            raise ValueError(f"not a resource of the kind {cls.noun}: {arn!r}")
        return cls(Account(account, partition), name)


class User(IamResource):
    """An IAM user."""

    __slots__ = ()
    cfn_type = "AWS::IAM::User"
    noun = "IAM user"
    prefix = "user"


class Group(IamResource):
    """An IAM group."""

    __slots__ = ()
    cfn_type = "AWS::IAM::Group"
    noun = "IAM group"
    prefix = "group"


class Role(IamResource):
    """An IAM role."""

    __slots__ = ()
    cfn_type = "AWS::IAM::Role"
    noun = "IAM role"
    prefix = "role"

    @property
    def service_linked(self) -> bool:
        """AWS made it for a service: nobody can change it, and SCPs and RCPs do not bind it."""
        return self.path_and_name.startswith("aws-service-role/")


KINDS: tuple[type[Resource], ...] = (
    *(Account, Region, Table, Stream, DaxCluster, Key, Vpc, Subnet, VpcEndpoint, Trail),
    *(User, Group, Role, IdentityPool),
    *(LogGroup, Alarm, EventRule, Topic, KinesisStream, Instance, Function),
)


def parse(type_name: str, arn: str) -> Resource:
    """Return the resource of the CloudFormation type ``type_name`` with this ARN.

    Raises:
        UsageError: unknown type, or the ARN is not of that type (a snapshot that is not ours).
    """
    for kind in KINDS:
        if kind.cfn_type == type_name:
            try:
                return kind.from_arn(arn)
            except ValueError as error:
                raise UsageError(str(error)) from None
    raise UsageError(f"unknown resource type {type_name!r}")


def region_of(resource: Resource) -> Region | None:
    """Return the region that holds a resource (itself, if it is one), or None for what is global."""
    return ancestor(resource, Region)


def account_of(resource: Resource) -> Account:
    """Return the account that owns a resource (itself, if it is one)."""
    account = ancestor(resource, Account)
    assert account is not None, resource  # every resource stands below an account
    return account


def ancestor(resource: Resource, kind: type[_R]) -> _R | None:
    """Return the resource itself or the nearest one above it that is of ``kind``."""
    here: Resource | None = resource
    while here is not None and not isinstance(here, kind):
        here = here.parent
    return here
