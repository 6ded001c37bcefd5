from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import DaxSettings, Reason
from auditor.resources import DaxCluster


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P3"],
    controls={
        "AWS FSBP": ["DynamoDB.3"],
        "NIST 800-53 r5": ["CA-9(1)", "CM-3(6)", "SC-7(10)", "SC-13", "SC-28", "SC-28(1)", "SI-7(6)"],
        "PCI DSS 4.0.1": ["3.5.1"],
        "ISO 27001:2022": ["A.8.24"],
    },
    remediation=Remediation(
        text="Encryption is fixed when a cluster is made: make a new one with it, move clients, delete the old one.",
        cli="aws dax create-cluster --cluster-name $NEW_CLUSTER --node-type dax.r5.large --replication-factor 3 "
        "--iam-role-arn $DAX_ROLE --subnet-group-name $SUBNET_GROUP --security-group-ids $SECURITY_GROUP "
        "--sse-specification Enabled=true --cluster-endpoint-encryption-type TLS --region $REGION",
        terraform="""\
resource "aws_dax_cluster" "orders" {
  cluster_name                     = "orders-v2"
  iam_role_arn                     = aws_iam_role.dax.arn
  node_type                        = "dax.r5.large"
  replication_factor               = 3
  subnet_group_name                = aws_dax_subnet_group.private.name
  security_group_ids               = [aws_security_group.dax.id]
  cluster_endpoint_encryption_type = "TLS"

  server_side_encryption {
    enabled = true
  }
}""",
        cloudformation="""\
Parameters:
  Role: {Type: String}
Resources:
  Cache:
    Type: AWS::DAX::Cluster
    Properties:
      IAMRoleARN: !Ref Role
      NodeType: dax.r5.large
      ReplicationFactor: 3
      SSESpecification: {SSEEnabled: true}
      ClusterEndpointEncryptionType: TLS""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DAXEncryptionAtRest.html"],
)
def dax_encryption_at_rest(cluster: DaxCluster, settings: DaxSettings) -> Verdict:
    """DAX clusters are encrypted at rest.

    A cluster keeps copies of items on its nodes' disks. Without encryption they are there in the clear, whatever key
    protects the table itself.

    DAX encrypts with a key that AWS manages and knows no other: a cluster never fails for want of a customer key.
    An absent `SSEDescription` means that encryption is off. Clusters that are being deleted are not judged; while
    encryption is being switched the answer is not final.
    """
    if settings.status == "deleting":
        return not_applicable("The cluster is being deleted.", Status=settings.status)
    if settings.sse_status == "ENABLED":
        return passed("The cluster is encrypted at rest.", SSEDescription={"Status": settings.sse_status})
    if settings.sse_status == "DISABLED":
        return failed("The cluster is not encrypted at rest.", SSEDescription={"Status": settings.sse_status})
    return unknown(
        f"Encryption at rest is {settings.sse_status}.",
        reason=Reason.TRANSIENT,
        SSEDescription={"Status": settings.sse_status},
    )
