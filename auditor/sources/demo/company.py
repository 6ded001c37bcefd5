"""The example organisation: a shop with a management, a production and a sandbox account.

Every rule finds good and bad states here, under names that a company would use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3

from auditor.sources.demo import alarms, compute, copies, detection, exports, hybrid, items, people
from auditor.sources.demo.supplement import Supplement

MANAGEMENT, PRODUCTION, SANDBOX = "111122223333", "444455556666", "777788889999"
ACCOUNTS = {MANAGEMENT: "management", PRODUCTION: "production", SANDBOX: "sandbox"}

#: The security account, which is not audited.
SECURITY = "222233334444"

OPTED_IN = {SANDBOX: ("af-south-1",)}

IRELAND, FRANKFURT, VIRGINIA = "eu-west-1", "eu-central-1", "us-east-1"

OWNED, MANAGED = "aws-owned", "aws-managed"

#: What data of European customers is tagged with.
EUROPEAN = {"data-residency": "eu"}


@dataclass(frozen=True)
class TableSpec:
    """A table to plant.

    Attributes:
        name: Its name.
        region: Its region.
        key: ``aws-owned``, ``aws-managed``, the name of a key in ``KEYS``, or a key's ARN.
        protected: Deletion protection.
        recovery_days: Window of point-in-time recovery; 0: off.
        tags: ``owner env data-classification``, as far as the table has them.
        more_tags: Other tags.
        described: Members of its description that moto does not hold.
    """

    name: str
    region: str
    key: str = OWNED
    protected: bool = False
    recovery_days: int = 0
    tags: str = ""
    more_tags: Mapping[str, str] | None = None
    described: Mapping[str, Any] | None = None

    @property
    def all_tags(self) -> list[dict[str, str]]:
        """The tags in AWS's shape."""
        values = dict(zip(("owner", "env", "data-classification"), self.tags.split(), strict=False))
        return [{"Key": key, "Value": value} for key, value in (values | dict(self.more_tags or {})).items()]


def good(name: str, region: str, tags: str, key: str = "shop", **more: Any) -> TableSpec:
    """Return a table that is protected as a production table should be."""
    return TableSpec(name, region, key, protected=True, recovery_days=35, tags=tags, **more)


def replicas(account: str, name: str, *regions: str, **status: str) -> dict[str, Any]:
    """Return what DescribeTable says of a global table's replicas; ``status`` is by region with underscores."""
    return {
        "GlobalTableVersion": "2019.11.21",
        "Replicas": [
            {
                "RegionName": region,
                "ReplicaStatus": status.get(region.replace("-", "_"), "ACTIVE"),
                "ReplicaArn": f"arn:aws:dynamodb:{region}:{account}:table/{name}",
            }
            for region in regions
        ],
    }


FOREIGN_KEY = f"arn:aws:kms:{IRELAND}:{SECURITY}:key/5ec00000-0000-4000-8000-000000000001"

TABLES: dict[str, list[TableSpec]] = {
    MANAGEMENT: [
        good("billing-reports", IRELAND, "finance prod internal"),
        good("cost-allocations", IRELAND, "finance prod internal", key=MANAGED),
        TableSpec("terraform-locks", IRELAND, tags="platform prod internal", recovery_days=35),
        good("identity-audit", FRANKFURT, "security prod confidential"),
    ],
    PRODUCTION: [
        good(
            "orders",
            IRELAND,
            "checkout prod confidential",
            more_tags=EUROPEAN,
            described=replicas(PRODUCTION, "orders", FRANKFURT),
        ),
        good(
            "orders",
            FRANKFURT,
            "checkout prod confidential",
            more_tags=EUROPEAN,
            described=replicas(PRODUCTION, "orders", IRELAND),
        ),
        good(
            "customers",
            IRELAND,
            "accounts prod pii",
            more_tags=EUROPEAN,
            described=replicas(PRODUCTION, "customers", FRANKFURT, VIRGINIA),
        ),
        TableSpec(
            "customers",
            FRANKFURT,
            MANAGED,
            tags="accounts prod pii",
            more_tags=EUROPEAN,
            described=replicas(PRODUCTION, "customers", IRELAND, VIRGINIA),
        ),
        good(
            "customers",
            VIRGINIA,
            "accounts prod pii",
            more_tags=EUROPEAN,
            described=replicas(PRODUCTION, "customers", IRELAND, FRANKFURT),
        ),
        TableSpec("payments", IRELAND, "shop", protected=True, recovery_days=7, tags="payments prod pci"),
        TableSpec("refunds", IRELAND, OWNED, protected=True, recovery_days=35, tags="payments prod pci"),
        TableSpec("sessions", IRELAND, OWNED, tags="web prod"),
        good("carts", IRELAND, "checkout prod internal", key=MANAGED),
        good("inventory", IRELAND, "warehouse prod internal"),
        good("shipments", IRELAND, "warehouse prod internal", key=MANAGED),
        good("invoices", IRELAND, "finance prod confidential"),
        good("ledger", IRELAND, "finance prod confidential", key="ledger"),
        good(
            "vouchers",
            IRELAND,
            "marketing prod internal",
            key="vouchers",
            described={"TableStatus": "INACCESSIBLE_ENCRYPTION_CREDENTIALS"},
        ),
        good(
            "statements",
            IRELAND,
            "finance prod confidential",
            key="statements",
            more_tags={"client-side-encryption": "vault-transit"},
        ),
        good("contracts", IRELAND, "legal prod confidential", key=FOREIGN_KEY),
        good("product-catalog", IRELAND, "catalog prod public", key=MANAGED),
        TableSpec("prices", IRELAND, MANAGED, recovery_days=35, tags="catalog prod public"),
        TableSpec(
            "feature-flags",
            IRELAND,
            OWNED,
            protected=True,
            recovery_days=35,
            tags="platform prod internal",
            more_tags={"encryption-key": "aws-owned"},
        ),
        TableSpec("recommendations", IRELAND, OWNED, tags="data-science staging internal", recovery_days=7),
        TableSpec("search-index-state", IRELAND, OWNED, tags="catalog staging internal"),
        good("loyalty-points", IRELAND, "marketing prod internal", key="retired"),
        TableSpec(
            "returns-2026", IRELAND, MANAGED, tags="warehouse prod internal", described={"TableStatus": "CREATING"}
        ),
        TableSpec(
            "newsletter-2019",
            IRELAND,
            "retired",
            tags="marketing prod internal",
            described={
                "TableStatus": "ARCHIVED",
                "ArchivalSummary": {"ArchivalReason": "INACCESSIBLE_ENCRYPTION_CREDENTIALS"},
            },
        ),
        good(
            "gift-cards",
            IRELAND,
            "payments prod confidential",
            described=replicas(PRODUCTION, "gift-cards", FRANKFURT)
            | {
                "MultiRegionConsistency": "STRONG",
                "GlobalTableWitnesses": [{"RegionName": "eu-west-3", "WitnessStatus": "ACTIVE"}],
            },
        ),
        good(
            "gift-cards",
            FRANKFURT,
            "payments prod confidential",
            described=replicas(PRODUCTION, "gift-cards", IRELAND)
            | {
                "MultiRegionConsistency": "STRONG",
                "GlobalTableWitnesses": [{"RegionName": "eu-west-3", "WitnessStatus": "ACTIVE"}],
            },
        ),
        good("subscriptions", FRANKFURT, "accounts prod confidential", key="statements-de"),
        good("telemetry", FRANKFURT, "platform prod internal", key=MANAGED),
        TableSpec("device-registry", FRANKFURT, OWNED, protected=True, recovery_days=35, tags="platform prod internal"),
        TableSpec("legacy-orders", IRELAND, MANAGED, protected=True, recovery_days=35, tags="checkout prod internal"),
        TableSpec("legacy-orders", VIRGINIA, MANAGED, protected=True, recovery_days=35, tags="checkout prod internal"),
        TableSpec("marketing-leads", VIRGINIA, OWNED, tags="marketing prod pii"),
    ],
    SANDBOX: [
        TableSpec("scratch", IRELAND),
        TableSpec("alice-test", IRELAND, tags="alice dev"),
        TableSpec("load-test-orders", IRELAND, tags="checkout dev internal", recovery_days=1),
        TableSpec("poc-chatbot", VIRGINIA, tags="data-science dev internal", more_tags={"encryption-key": "aws-owned"}),
        TableSpec("customers-copy", FRANKFURT, tags="bob dev pii"),
        TableSpec("orders-live-copy", IRELAND, MANAGED, tags="carol prod internal", recovery_days=35),
        TableSpec("workshop", FRANKFURT, tags="platform dev internal", protected=True, recovery_days=35),
    ],
}

#: Customer managed keys: name -> region -> what is done with the key.
KEYS: dict[str, dict[str, tuple[str, ...]]] = {
    MANAGEMENT: {"shop": (IRELAND, FRANKFURT)},
    PRODUCTION: {
        "shop": (IRELAND, FRANKFURT, VIRGINIA),
        "ledger": (IRELAND,),
        "vouchers": (IRELAND,),
        "statements": (IRELAND,),
        "statements-de": (FRANKFURT,),
        "retired": (IRELAND,),
    },
    SANDBOX: {},
}


def plant(account: str, session: boto3.Session, supplement: Supplement) -> None:
    """Plant one account.

    Args:
        account: Its number.
        session: A session of it; the supplement is not attached to it.
        supplement: Gets what moto does not hold.
    """
    keys = _keys(account, session, supplement)
    _tables(account, session, supplement, keys)
    PLANTERS[account](session, supplement)
    held = people.People(account, session, supplement)
    if account == MANAGEMENT:
        supplement.organizations, supplement.management = session, account
        people.organisation(session, account, {PRODUCTION: "production", SANDBOX: "sandbox"})
        people.management(held)
    elif account == PRODUCTION:
        people.production(held, session, supplement)
        people.key_policies(session, keys)
    else:
        people.sandbox(held)
    for part in (copies, exports, hybrid, detection, alarms, compute, items):
        part.plant(account, session, supplement)


def _keys(account: str, session: boto3.Session, supplement: Supplement) -> dict[tuple[str, str], str]:
    arns: dict[tuple[str, str], str] = {}
    soon = supplement.now + timedelta(days=12)
    for name, regions in KEYS[account].items():
        for region in regions:
            kms = session.client("kms", region_name=region)
            imported = name == "statements"
            metadata = kms.create_key(Description=name, Origin="EXTERNAL" if imported else "AWS_KMS")["KeyMetadata"]
            arn = arns[name, region] = metadata["Arn"]
            kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=arn)
            if imported:
                supplement.keys[arn] = {
                    "KeyState": "Enabled",
                    "ExpirationModel": "KEY_MATERIAL_EXPIRES",
                    "ValidTo": soon,
                }
            elif name != "retired":
                kms.enable_key_rotation(KeyId=arn)
            if name == "statements-de":
                supplement.rotation_periods[arn] = 1095
            elif name == "ledger":
                kms.schedule_key_deletion(KeyId=metadata["KeyId"], PendingWindowInDays=7)
            elif name == "vouchers":
                kms.disable_key(KeyId=metadata["KeyId"])
    return arns


def _tables(account: str, session: boto3.Session, supplement: Supplement, keys: Mapping[tuple[str, str], str]) -> None:
    for spec in TABLES[account]:
        dynamodb = session.client("dynamodb", region_name=spec.region)
        encryption: dict[str, Any] = {}
        if spec.key != OWNED:
            arn = keys.get((spec.key, spec.region), spec.key)
            if spec.key == MANAGED:
                kms = session.client("kms", region_name=spec.region)
                arn = kms.describe_key(KeyId="alias/aws/dynamodb")["KeyMetadata"]["Arn"]
                supplement.keys[arn] = {"KeyManager": "AWS", "Description": "Default key of DynamoDB"}
            encryption = {"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": arn}}
        table = dynamodb.create_table(
            TableName=spec.name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            DeletionProtectionEnabled=spec.protected,
            Tags=spec.all_tags,
            **encryption,
        )["TableDescription"]
        if spec.described:
            supplement.tables[table["TableArn"]] = dict(spec.described)
        if spec.recovery_days:
            dynamodb.update_continuous_backups(
                TableName=spec.name,
                PointInTimeRecoverySpecification={
                    "PointInTimeRecoveryEnabled": True,
                    "RecoveryPeriodInDays": spec.recovery_days,
                },
            )


@dataclass(frozen=True)
class Network:
    """A VPC while it is planted.

    Attributes:
        ec2: The client of its region.
        vpc: Its id.
        zone: Its availability zone.
    """

    ec2: Any
    vpc: str
    zone: str

    @classmethod
    def make(cls, session: boto3.Session, region: str, block: str) -> Network:
        """Make a VPC with both DNS attributes on."""
        ec2 = session.client("ec2", region_name=region)
        vpc = ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        return cls(ec2, vpc, f"{region}a")

    def subnet(self, block: str, *, own_table: bool = True, public: bool = False) -> tuple[str, str]:
        """Make a subnet; return its id and that of its route table (empty: the VPC's main one)."""
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=block, AvailabilityZone=self.zone)
        subnet: str = made["Subnet"]["SubnetId"]
        if public:
            self.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
        if not own_table:
            return subnet, ""
        table: str = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2.associate_route_table(SubnetId=subnet, RouteTableId=table)
        return subnet, table

    def main_table(self) -> str:
        """Return the id of the main route table."""
        filters = [{"Name": "vpc-id", "Values": [self.vpc]}, {"Name": "association.main", "Values": ["true"]}]
        table: str = self.ec2.describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"]
        return table

    def instance(self, subnet: str) -> None:
        """Start a workload in a subnet."""
        self.ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=subnet)

    def route(self, table: str, **hop: str) -> None:
        """Add a default route."""
        self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **hop)

    def internet_gateway(self) -> str:
        """Attach an internet gateway and return its id."""
        gateway: str = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        return gateway

    def nat_gateway(self, subnet: str) -> str:
        """Make a NAT gateway in a subnet and return its id."""
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        made = self.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)
        gateway: str = made["NatGateway"]["NatGatewayId"]
        return gateway

    def endpoint(self, *tables: str, policy: str = "") -> str:
        """Make a gateway endpoint that some route tables use, and return its id."""
        limits = {"PolicyDocument": policy} if policy else {}
        made = self.ec2.create_vpc_endpoint(
            VpcId=self.vpc,
            VpcEndpointType="Gateway",
            ServiceName=f"com.amazonaws.{self.zone[:-1]}.dynamodb",
            RouteTableIds=list(tables),
            **limits,
        )
        endpoint: str = made["VpcEndpoint"]["VpcEndpointId"]
        return endpoint


def _shop_network(session: boto3.Session) -> tuple[Network, str]:
    """Make the VPC as it should be, private subnets that all use the endpoint; return the endpoint's id with it."""
    shop = Network.make(session, IRELAND, "10.10.0.0/16")
    public, public_table = shop.subnet("10.10.0.0/24", public=True)
    shop.route(public_table, GatewayId=shop.internet_gateway())
    gateway = shop.nat_gateway(public)
    tables = []
    for number in (1, 2):
        private, table = shop.subnet(f"10.10.{number}.0/24")
        shop.route(table, NatGatewayId=gateway)
        shop.instance(private)
        tables.append(table)
    return shop, shop.endpoint(*tables, policy=people.endpoint_policy(PRODUCTION))


def _management(session: boto3.Session, supplement: Supplement) -> None:
    _trail(session, IRELAND, "organisation", complete=True)
    arn = f"arn:aws:cloudtrail:{IRELAND}:{MANAGEMENT}:trail/organisation"
    entry = {
        "Name": "organisation",
        "S3BucketName": "shop-organisation-trail",
        "IncludeGlobalServiceEvents": True,
        "IsMultiRegionTrail": True,
        "HomeRegion": IRELAND,
        "TrailARN": arn,
        "LogFileValidationEnabled": True,
        "KmsKeyId": f"arn:aws:kms:{IRELAND}:{MANAGEMENT}:alias/shop",
        "HasCustomEventSelectors": False,
        "HasInsightSelectors": False,
        "IsOrganizationTrail": True,
    }
    supplement.trails[PRODUCTION] = [entry]
    _recorder(session, IRELAND)
    _recorder(session, FRANKFURT)


def _production(session: boto3.Session, supplement: Supplement) -> None:
    shop, endpoint = _shop_network(session)
    people.resource_policies(PRODUCTION, session, supplement, endpoint, SECURITY)
    private, _ = shop.subnet("10.10.10.0/24")

    # The classic mistake: the endpoint serves the main route table, the workloads have their own.
    warehouse = Network.make(session, IRELAND, "10.20.0.0/16")
    public, public_table = warehouse.subnet("10.20.0.0/24", public=True)
    warehouse.route(public_table, GatewayId=warehouse.internet_gateway())
    picking, picking_table = warehouse.subnet("10.20.1.0/24")
    warehouse.route(picking_table, NatGatewayId=warehouse.nat_gateway(public))
    warehouse.instance(picking)
    warehouse.endpoint(warehouse.main_table())

    # A vault without any way out.
    vault = Network.make(session, IRELAND, "10.30.0.0/16")
    closed, _ = vault.subnet("10.30.1.0/24")
    vault.instance(closed)

    # Traffic leaves through a transit gateway: what is behind it, this account does not show.
    partners = Network.make(session, FRANKFURT, "10.40.0.0/16")
    spoke, spoke_table = partners.subnet("10.40.1.0/24")
    transit = partners.ec2.create_transit_gateway(Description="hub")["TransitGateway"]["TransitGatewayId"]
    partners.ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=transit, VpcId=partners.vpc, SubnetIds=[spoke])
    partners.route(spoke_table, TransitGatewayId=transit)
    partners.instance(spoke)

    # An interface endpoint alone does not change where the default host name leads.
    analytics = Network.make(session, FRANKFURT, "10.50.0.0/16")
    edge, edge_table = analytics.subnet("10.50.0.0/24", public=True)
    analytics.route(edge_table, GatewayId=analytics.internet_gateway())
    jobs, jobs_table = analytics.subnet("10.50.1.0/24")
    analytics.route(jobs_table, NatGatewayId=analytics.nat_gateway(edge))
    analytics.instance(jobs)
    analytics.ec2.create_vpc_endpoint(
        VpcId=analytics.vpc,
        VpcEndpointType="Interface",
        ServiceName=f"com.amazonaws.{FRANKFURT}.dynamodb",
        SubnetIds=[jobs],
        PrivateDnsEnabled=False,
    )

    _subnet_group(supplement, PRODUCTION, IRELAND, "private", shop, private)
    _subnet_group(supplement, PRODUCTION, IRELAND, "warehouse-public", warehouse, public)
    _cluster(
        session,
        supplement,
        PRODUCTION,
        "catalog-cache",
        "private",
        tls=True,
        encrypted=True,
        tags="catalog prod public",
    )
    _cluster(session, supplement, PRODUCTION, "session-cache", "private", tls=False, encrypted=True, tags="web prod")
    _cluster(session, supplement, PRODUCTION, "stock-cache", "warehouse-public", tls=True, encrypted=False)

    supplement.legacy[PRODUCTION, IRELAND] = supplement.legacy[PRODUCTION, VIRGINIA] = [
        {
            "GlobalTableName": "legacy-orders",
            "ReplicationGroup": [{"RegionName": IRELAND}, {"RegionName": VIRGINIA}],
        }
    ]
    _trail(session, IRELAND, "production", complete=True, log_group=alarms.LOG_GROUP)
    _recorder(session, IRELAND)
    _recorder(session, FRANKFURT, without_tables=True)
    _recorder(session, VIRGINIA, started=False)


def _sandbox(session: boto3.Session, supplement: Supplement) -> None:
    playground = Network.make(session, IRELAND, "10.90.0.0/16")
    public, table = playground.subnet("10.90.0.0/24", public=True)
    playground.route(table, GatewayId=playground.internet_gateway())
    playground.instance(public)
    _subnet_group(supplement, SANDBOX, IRELAND, "default", playground, public)
    _cluster(session, supplement, SANDBOX, "try-dax", "default", tls=False, encrypted=False, tags="alice dev internal")
    _trail(session, IRELAND, "sandbox", complete=False)


PLANTERS = {MANAGEMENT: _management, PRODUCTION: _production, SANDBOX: _sandbox}


def _subnet_group(
    supplement: Supplement, account: str, region: str, name: str, network: Network, *subnets: str
) -> None:
    group = {
        "SubnetGroupName": name,
        "VpcId": network.vpc,
        "Subnets": [{"SubnetIdentifier": one, "SubnetAvailabilityZone": network.zone} for one in subnets],
    }
    supplement.subnet_groups.setdefault((account, region), []).append(group)


def _cluster(
    session: boto3.Session,
    supplement: Supplement,
    account: str,
    name: str,
    subnet_group: str,
    *,
    tls: bool,
    encrypted: bool,
    tags: str = "",
) -> None:
    spec = TableSpec(name, IRELAND, tags=tags)
    made = session.client("dax", region_name=IRELAND).create_cluster(
        ClusterName=name,
        NodeType="dax.r5.large",
        ReplicationFactor=2,
        IamRoleArn=f"arn:aws:iam::{account}:role/{name}-dax",
        SubnetGroupName=subnet_group,
        SSESpecification={"Enabled": encrypted},
        ClusterEndpointEncryptionType="TLS" if tls else "NONE",
        Tags=spec.all_tags,
    )["Cluster"]
    supplement.clusters[made["ClusterArn"]] = {"Status": "available", "SubnetGroup": subnet_group}


def _trail(session: boto3.Session, region: str, name: str, *, complete: bool, log_group: str = "") -> None:
    session.client("s3", region_name="us-east-1").create_bucket(Bucket=f"shop-{name}-trail")
    cloudtrail = session.client("cloudtrail", region_name=region)
    more = {"KmsKeyId": "alias/shop"} if complete else {}
    if log_group:
        logs = session.client("logs", region_name=region)
        logs.create_log_group(logGroupName=log_group)
        account = session.client("sts", region_name=region).get_caller_identity()["Account"]
        more["CloudWatchLogsLogGroupArn"] = f"arn:aws:logs:{region}:{account}:log-group:{log_group}:*"
        more["CloudWatchLogsRoleArn"] = f"arn:aws:iam::{account}:role/{name}-trail"
    cloudtrail.create_trail(
        Name=name,
        S3BucketName=f"shop-{name}-trail",
        IsMultiRegionTrail=complete,
        EnableLogFileValidation=complete,
        **more,
    )
    cloudtrail.start_logging(Name=name)


def _recorder(session: boto3.Session, region: str, *, without_tables: bool = False, started: bool = True) -> None:
    config = session.client("config", region_name=region)
    account = session.client("sts", region_name=region).get_caller_identity()["Account"]
    group: dict[str, Any] = {"allSupported": True, "includeGlobalResourceTypes": True}
    if without_tables:
        group = {
            "allSupported": False,
            "includeGlobalResourceTypes": False,
            "resourceTypes": ["AWS::EC2::Instance", "AWS::S3::Bucket"],
        }
    config.put_configuration_recorder(
        ConfigurationRecorder={
            "name": "default",
            "roleARN": f"arn:aws:iam::{account}:role/config",
            "recordingGroup": group,
        }
    )
    config.put_delivery_channel(DeliveryChannel={"name": "default", "s3BucketName": "shop-config-history"})
    if started:
        config.start_configuration_recorder(ConfigurationRecorderName="default")
