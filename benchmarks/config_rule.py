"""One scheduled event of AWS Config on many tables at AWS's documented rates: time against Lambda's 15 minutes.

    python benchmarks/config_rule.py [TABLES]

AWS is ``stub.py``, AWS Config the stand-in of the tests.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]


def main() -> None:
    """Print what it took."""
    from collect import stub  # type: ignore[import-not-found]

    tables = int(sys.argv[1]) if sys.argv[1:] else 1000
    with stub(tables, 30) as url:
        os.environ |= {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        from auditor.config_rule import evaluate
        from tests.config_rule.stand_in import Config, Session, scheduled

        told = Config()
        started = time.monotonic()
        evaluate(scheduled(), Session(told))
        wall = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{tables:,} tables: {wall:.0f} s of 900, {peak} MB, {len(told.results):,} results in {len(told.calls)} calls"
    )
    print(dict(Counter(told.compliance().values())))


if __name__ == "__main__":
    main()
