from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule
from auditor.facts import DaxSettings
from auditor.resources import DaxCluster


@rule(
    severity=Severity.MEDIUM,
    side=Side.BOTH,
    practices=["P3"],
    controls={
        "AWS FSBP": ["DynamoDB.7"],
        "NIST 800-53 r5": ["AC-17", "SC-8", "SC-13", "SC-23"],
        "PCI DSS 4.0.1": ["4.2.1"],
    },
    remediation=Remediation(
        text="TLS is fixed when a cluster is made: make a new one with TLS, move the clients to a daxs:// address with "
        "an SDK that knows it, delete the old one.",
        cli="aws dax create-cluster --cluster-name $NEW_CLUSTER --node-type dax.r5.large --replication-factor 3 "
        "--iam-role-arn $DAX_ROLE --cluster-endpoint-encryption-type TLS --sse-specification Enabled=true "
        "--region $REGION",
        terraform="""\
resource "aws_dax_cluster" "orders" {
  cluster_name                     = "orders-tls"
  iam_role_arn                     = aws_iam_role.dax.arn
  node_type                        = "dax.r5.large"
  replication_factor               = 3
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
      ClusterEndpointEncryptionType: TLS
      SSESpecification: {SSEEnabled: true}""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DAXEncryptionInTransit.html"],
)
def dax_encryption_in_transit(cluster: DaxCluster, settings: DaxSettings) -> Verdict:
    """DAX endpoints require TLS.

    Between a client and a cluster without TLS (`dax://`, port 8111) items cross the
    network in the clear. With TLS (`daxs://`, port 9111) both are encrypted and the client knows whom it speaks to.

    The proof is `ClusterEndpointEncryptionType`; absent means NONE. Whether the old port is still open in a security
    group is another question. Clusters that are being deleted are not judged.
    """
    if settings.status == "deleting":
        return not_applicable("The cluster is being deleted.", Status=settings.status)
    evidence: dict[str, Any] = {
        "ClusterEndpointEncryptionType": settings.endpoint_encryption,
        "ClusterDiscoveryEndpoint": {"URL": settings.endpoint_url},
    }
    if settings.endpoint_encryption == "TLS":
        return passed("The cluster's endpoint requires TLS.", **evidence)
    return failed("The cluster's endpoint does not use TLS.", **evidence)
