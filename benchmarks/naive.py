"""What a plain thread pool does: boto3 as it comes, 32 threads, no pacing. Prints what it lost, as JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

THREADS = 32


def main() -> None:
    """Ask three things about every table of the regions that the command line names."""
    lost: Counter[str] = Counter()
    session = boto3.Session()
    # The only setting: without it urllib3 throws away the connections of most threads.
    config = botocore.config.Config(max_pool_connections=THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        for region in sys.argv[1:]:
            client = session.client("dynamodb", region_name=region, config=config)
            account = session.client("sts", region_name=region).get_caller_identity()["Account"]
            names = [one for page in client.get_paginator("list_tables").paginate() for one in page["TableNames"]]

            def ask(method: str, params: dict[str, Any], client: Any = client) -> None:
                try:
                    getattr(client, method)(**params)
                except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
                    lost[method] += 1

            for name in names:
                arn = f"arn:aws:dynamodb:{region}:{account}:table/{name}"
                pool.submit(ask, "describe_table", {"TableName": name})
                pool.submit(ask, "describe_continuous_backups", {"TableName": name})
                pool.submit(ask, "list_tags_of_resource", {"ResourceArn": arn})
    print(json.dumps({"lost": lost}))


if __name__ == "__main__":
    main()
