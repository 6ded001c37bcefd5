"""With item sampling on, no value of an item gets out: not to a stream, a report, a snapshot or the log."""

import gzip
from pathlib import Path

from auditor.sources.demo import items
from tests.cli.conftest import Command

RULES = ("--rule", "data-client-side-encryption", "--rule", "data-sensitive-storage")
#: What the example organisation's items hold.
VALUES = (*items.CARDS, *items.IBANS, "customer1@example.com", "Customer 7", "eyJhbGciOi", "user-3", "2026-05", "SKU-1")


def test_values_are_neither_printed_nor_logged_nor_written(ddbaudit: Command, tmp_path: Path) -> None:
    outcome = ddbaudit("demo", *RULES, "--log-level", "debug", "--save-snapshot", "s.json.gz")
    assert outcome.code == 3, outcome.err
    assert " DEBUG " in outcome.err
    written = {name: Path(tmp_path, name).read_bytes() for name in outcome.written if Path(tmp_path, name).is_file()}
    texts = {name: gzip.decompress(data) if name.endswith(".gz") else data for name, data in written.items()}
    assert len(texts) == 3
    # The findings are there: so much was found, and where.
    assert b"payment-card in 25 of 25 items in the attribute payment" in texts["ddbaudit-report/report.json"]
    assert b'"ItemSample"' in texts["s.json.gz"]
    everything = {"stdout": outcome.out.encode(), "stderr": outcome.err.encode(), **texts}
    for where, data in everything.items():
        for value in VALUES:
            assert value.encode() not in data, f"{value} in {where}"


def test_a_snapshot_of_a_run_without_sampling_has_nothing_of_items(ddbaudit: Command, tmp_path: Path) -> None:
    tmp_path.joinpath("off.yaml").write_text("sampling: {items_per_table: 0}", encoding="utf-8")
    ddbaudit("demo", *RULES, "--config", "off.yaml", "--save-snapshot", "s.json.gz")
    held = gzip.decompress(tmp_path.joinpath("s.json.gz").read_bytes())
    assert b'"TableSettings"' in held
    assert b'"ItemSample"' not in held
