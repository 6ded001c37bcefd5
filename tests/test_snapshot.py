"""The snapshot file of several parts: what is whole counts, what is torn is as if it had not been begun."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from auditor.errors import UsageError
from auditor.facts import Gap, KeyPolicy, Reason, RegionScope, TableNames
from auditor.inventory import Caller, CallError, Inventory, Scope
from auditor.resources import Account, Key, Region, Table
from auditor.snapshot import Plan, Share, SnapshotFile, absent, classes, encoded, merge, names, read

CALLER = Caller("111122223333", "arn:aws:sts::111122223333:assumed-role/auditor/x")
NUMBERS = ("111122223333", "222233334444", "333344445555")
WANTED = {(TableNames, Region), (RegionScope, Account)}


def part(number: str, *tables: str) -> Inventory:
    account = Account(number)
    region = Region(account, "eu-west-1")
    made = Inventory(CALLER, (Scope(account, f"name-{number}", (region,)),))
    made.put(account, RegionScope((region,), chosen=True))
    made.put(region, TableNames(tuple(Table(region, name) for name in tables)))
    return made


def begun(path: Path, numbers: tuple[str, ...] = NUMBERS) -> SnapshotFile:
    file = SnapshotFile(path, "1")
    base = Inventory(CALLER, (), errors=[CallError("999", "", "organizations", "ListAccounts", "SUSPENDED", "x", "")])
    file.begin(base, Plan(shares=tuple(Share(account=one) for one in numbers), wanted=names(WANTED)))
    return file


def add(file: SnapshotFile, number: str, *tables: str) -> None:
    file.add(number, encoded(part(number, *tables), "1", number, gz=file.gz), whole=True)


@pytest.fixture(params=["snapshot.json", "snapshot.json.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def test_what_was_put_in_comes_out(path: Path) -> None:
    file = begun(path)
    for number in reversed(NUMBERS):
        add(file, number, "orders", "carts")
    held = read(path)
    assert held == merge(
        Inventory(CALLER, (), errors=held.errors[:1]), [part(one, "orders", "carts") for one in NUMBERS]
    )
    assert [scope.account.id for scope in held.scopes] == list(NUMBERS)
    assert not held.interrupted
    assert [one.code for one in held.errors] == ["SUSPENDED"]


def test_the_same_collection_gives_the_same_file_whatever_the_order(path: Path) -> None:
    contents = set()
    for order in (NUMBERS, NUMBERS[::-1]):
        file = begun(path)
        add(file, NUMBERS[1], "of an earlier turn")
        for number in order:
            add(file, number, "orders")
        file.finish()
        contents.add(path.read_bytes())
        assert file.finished() == set(NUMBERS)
    assert len(contents) == 1
    assert {table.label for table in read(path).of_kind(Table)} == {"orders"}  # the last record of an account counts


def test_accounts_without_a_record_are_unknown_and_the_collection_interrupted(path: Path) -> None:
    file = begun(path)
    add(file, NUMBERS[0], "orders")
    held = read(path)
    assert held.interrupted
    for number in NUMBERS[1:]:
        gap = held.facts[RegionScope][Account(number)]
        assert isinstance(gap, Gap)
        assert (gap.reason, gap.detail) == (Reason.PARTIAL_DATA, "The collection ended before this was read.")
    assert {scope.account.id: len(scope.regions) for scope in held.scopes} == dict(zip(NUMBERS, (1, 0, 0), strict=True))


def test_a_file_torn_anywhere_is_gone_on_with(path: Path) -> None:
    file = begun(path)
    plan_ends = path.stat().st_size
    ends = [plan_ends]
    for number in NUMBERS:
        add(file, number, "orders", number)
        ends.append(path.stat().st_size)
    whole, content = read(path), path.read_bytes()
    choose = random.Random(7)  # noqa: S311 - places to tear at
    places = {*ends, *(one - 1 for one in ends), *(choose.randrange(plan_ends, len(content)) for _ in range(40))}
    for place in sorted(one for one in places if one >= plan_ends):
        path.write_bytes(content[:place])
        again = SnapshotFile(path, "1")
        assert [share.account for share in again.resume().shares] == list(NUMBERS)
        # A record of a text file is whole without its line's end, too.
        kept = {number for number, end in zip(NUMBERS, ends[1:], strict=True) if end - (not again.gz) <= place}
        assert again.finished() == kept, place
        for number in set(NUMBERS) - kept:
            add(again, number, "orders", number)
        assert read(path) == whole, place


def test_a_torn_plan_is_no_snapshot(path: Path) -> None:
    begun(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UsageError, match="no snapshot that a run could go on with"):
        SnapshotFile(path, "1").resume()
    with pytest.raises(UsageError, match=path.name):
        read(path)


def test_a_snapshot_that_was_written_at_once_is_not_gone_on_with(path: Path) -> None:
    from auditor.inventory import save

    save(part(NUMBERS[0], "orders"), path, "1")
    with pytest.raises(UsageError, match="no snapshot that a run could go on with"):
        SnapshotFile(path, "1").resume()
    assert read(path) == part(NUMBERS[0], "orders")


def test_what_was_closed_or_interrupted_is_tried_again(path: Path) -> None:
    file = begun(path)
    gap = Gap(Reason.ACCESS_DENIED, "The account cannot be entered.", "sts:AssumeRole")
    shut = absent(Share(account=NUMBERS[0]), WANTED, gap)
    file.add(NUMBERS[0], encoded(shut, "1", NUMBERS[0], gz=file.gz, closed=True), whole=False)
    half = part(NUMBERS[1], "orders")
    half.interrupted = True
    file.add(NUMBERS[1], encoded(half, "1", NUMBERS[1], gz=file.gz), whole=False)
    add(file, NUMBERS[2])
    assert file.finished() == {NUMBERS[2]}
    again = SnapshotFile(path, "1")
    again.resume()
    assert again.finished() == {NUMBERS[2]}
    held = read(path)
    assert held.interrupted
    assert held.facts[RegionScope][Account(NUMBERS[0])] == gap


def test_a_full_disk_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = begun(path)
    add(file, NUMBERS[0], "orders")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UsageError, match="No space left on device") as error:
        add(file, NUMBERS[1], "orders")
    assert "--resume" in error.value.hint
    assert path.read_bytes() == before
    assert file.finished() == {NUMBERS[0]}


def test_the_owners_word_counts_and_any_fact_before_a_gap() -> None:
    user, owner, other = (part(one, "orders") for one in NUMBERS)
    region = Region(Account(NUMBERS[1]), "eu-west-1")
    key, third = Key(region, "1234"), Key(Region(Account("444455556666"), "eu-west-1"), "5678")
    user.put(key, KeyPolicy("as the user sees it"))
    owner.put(key, KeyPolicy("as the owner sees it"))
    other.put_gap(key, KeyPolicy, Gap(Reason.ACCESS_DENIED, "no"))
    user.put_gap(third, KeyPolicy, Gap(Reason.THROTTLED, "no"))
    other.put(third, KeyPolicy("seen by one"))
    parts = [user, owner, other]
    for order in (parts, parts[::-1]):
        held = merge(Inventory(CALLER, ()), order).facts[KeyPolicy]
        assert held == {key: KeyPolicy("as the owner sees it"), third: KeyPolicy("seen by one")}


def test_regions_of_an_account_come_together() -> None:
    account = Account(NUMBERS[0])
    shares = [Share(account=NUMBERS[0], name="shop", only="account", regions=("eu-west-1", "us-east-1"))]
    shares += [Share(account=NUMBERS[0], only="regions", regions=(one,)) for one in shares[0].regions]
    assert [share.key for share in shares] == [NUMBERS[0], f"{NUMBERS[0]}/eu-west-1", f"{NUMBERS[0]}/us-east-1"]
    gap = Gap(Reason.TRANSIENT, "failed")
    held = merge(Inventory(CALLER, ()), [absent(share, WANTED, gap) for share in shares])
    (scope,) = held.scopes
    assert (scope.name, [region.name for region in scope.regions]) == ("shop", ["eu-west-1", "us-east-1"])
    assert {region.label for region in held.facts[TableNames]} == {"eu-west-1", "us-east-1"}
    assert held.facts[RegionScope] == {account: gap}


def test_facts_of_a_later_version_are_refused() -> None:
    assert classes(names(WANTED)) == WANTED
    with pytest.raises(UsageError, match="FutureFact"):
        classes([("FutureFact", "AWS::DynamoDB::Table")])


def test_a_compressed_file_is_plain_gzip(tmp_path: Path) -> None:
    file = begun(tmp_path / "snapshot.json.gz")
    add(file, NUMBERS[0], "orders")
    lines = gzip.decompress(file.path.read_bytes()).splitlines()
    assert len(lines) == 2
