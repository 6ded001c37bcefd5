"""How the map of the report is drawn: where every box, line and word stands.

Lines never cross: a VPC's ways run straight to the DynamoDB of its region, a principal's rights straight to the tables.
Long names are cut, and what does not fit is counted: report.json has everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from auditor.text import plain

if TYPE_CHECKING:
    from auditor.picture import Picture
    from auditor.picture.rights import Bundle, Right, TableGroup, Who
    from auditor.picture.roads import VpcPicture, Way

#: A drawing's width in its own units, about a pixel each on a wide screen.
WIDTH = 960

#: How much is drawn: the page must stay small.
MOST_VPCS, MOST_WAYS, MOST_CLUSTERS = 24, 48, 3
MOST_GROUPS, MOST_BUNDLES, MOST_PRINCIPALS, MOST_TABLES = 30, 6, 12, 8

#: About how many characters the drawings of who can use tables may have; groups after that are tables of text only.
MOST_DRAWN = 50_000

#: What may be on the way to DynamoDB, in words.
HOPS: Mapping[str, str] = {
    "internet-gateway": "Internet gateway",
    "nat-gateway": "NAT gateway",
    "appliance": "Instance that forwards",
    "gateway-endpoint": "Gateway endpoint",
    "interface-endpoint": "Interface endpoint",
    "declared": "Declared private way",
    "declared-exit": "Declared exit",
    "transit-gateway": "Transit gateway",
    "peering": "VPC peering",
    "virtual-private-gateway": "Virtual private gateway",
    "firewall": "Firewall or foreign endpoint",
    "private-nat": "Private NAT gateway",
    "appliance-unknown": "Network interface",
    "beyond": "Another hop",
    "none": "No way to DynamoDB",
    "unknown": "Way not known",
}

#: Where a way leads through, in words.
REACHES: Mapping[str, str] = {"internet": "internet", "unknown": "not known", "private": "private", "none": "cut off"}

#: What can be done with a table, in words.
VERBS: Mapping[str, str] = {"delete": "delete table", "write": "write", "read": "read"}


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text.

    Attributes:
        x: Its start, or its end where the class says so.
        y: Its baseline.
        words: What it says, cut to what fits.
        full: The whole text where it was cut, else empty.
        look: Its classes.
    """

    x: int
    y: int
    words: str
    full: str = ""
    look: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    x: int
    y: int
    width: int
    height: int
    look: str = ""


@dataclass(frozen=True, slots=True)
class Stroke:
    """Lines that look alike, as the data of one path, and the tips of their arrows as that of another."""

    look: str
    lines: str
    tips: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What one SVG shows.

    Attributes:
        title: What it shows, in a few words.
        description: What it shows, in sentences.
    """

    title: str
    description: str
    height: int
    boxes: tuple[Box, ...]
    strokes: tuple[Stroke, ...]
    texts: tuple[Text, ...]
    width: int = WIDTH

    @property
    def size(self) -> int:
        """About how many characters it takes on the page."""
        texts = sum(len(one.words) + len(one.full) + 35 for one in self.texts)
        return 1000 + texts + 45 * len(self.boxes) + sum(len(one.lines) + len(one.tips) + 60 for one in self.strokes)


@dataclass(frozen=True, slots=True)
class RoadRow:
    """A VPC's line in the table that says the same as the drawing."""

    vpc: str
    account: str
    region: str
    extent: str
    ways: tuple[tuple[str, str, str], ...]
    clusters: tuple[str, ...]
    more_clusters: int


@dataclass(frozen=True, slots=True)
class Network:
    """The ways to DynamoDB.

    Attributes:
        scene: The drawing; None: there is nothing to draw.
        rows: The same as a table.
        left_out: VPCs with workloads or clusters that are not drawn.
        quiet: VPCs with neither.
    """

    scene: Scene | None
    rows: tuple[RoadRow, ...]
    left_out: int
    quiet: int


@dataclass(frozen=True, slots=True)
class UseRow:
    """Principals that can do the same, as a line of a table: who, and for each verb how."""

    who: tuple[tuple[str, str], ...]
    more: int
    rights: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Tables that the same principals can use.

    Attributes:
        title: The tables in short.
        place: Where they are.
        counts: Verb and how many principals can.
        scene: The drawing; None: nobody can, or there are too many to draw them all.
        rows: The same as a table.
        unnamed: Principals that can something and are in neither.
        tables: The tables' names.
        whole: The users and roles of their account are known.
    """

    title: str
    place: str
    counts: tuple[tuple[str, str, int], ...]
    scene: Scene | None
    rows: tuple[UseRow, ...]
    unnamed: int
    tables: tuple[str, ...]
    more_tables: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Use:
    """Who can use the tables; ``left_out`` groups and ``tables_left_out`` tables are not shown."""

    groups: tuple[Group, ...]
    left_out: int
    tables_left_out: int


def short(name: str, most: int) -> tuple[str, str]:
    """Return a name cut in its middle to so many characters, and the whole name where it was cut."""
    whole = plain(name)
    if len(whole) <= most:
        return whole, ""
    tail = most // 5
    return f"{whole[: most - tail - 1]}\N{HORIZONTAL ELLIPSIS}{whole[-tail:]}", whole[:512]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class _Canvas:
    """Gathers what is drawn."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.texts: list[Text] = []
        self.lines: dict[str, tuple[list[str], list[str]]] = {}

    def text(self, x: int, y: int, words: str, look: str = "", most: int = 200) -> None:
        """Write a line of text."""
        cut, full = short(words, most)
        self.texts.append(Text(x, y, cut, full, look))

    def line(self, look: str, x: int, y: int, to: int, *, tip: bool = True) -> None:
        """Draw a straight line, with the tip of an arrow at its end."""
        lines, tips = self.lines.setdefault(look, ([], []))
        lines.append(f"M{x} {y}H{to - 6 if tip else to}")
        if tip:
            tips.append(f"M{to} {y}l-9-4.5v9z")

    def stop(self, look: str, x: int, y: int) -> None:
        """Draw the bar at which a way ends."""
        self.lines.setdefault(look, ([], []))[0].append(f"M{x} {y - 8}v16")

    def scene(self, title: str, description: str, height: int) -> Scene:
        """Return what was drawn."""
        strokes = [Stroke(look, "".join(lines), "".join(tips)) for look, (lines, tips) in sorted(self.lines.items())]
        return Scene(title, description, height, tuple(self.boxes), tuple(strokes), tuple(self.texts))


# Ways to DynamoDB

#: Columns: VPC, what is on the way, DynamoDB.
_VPC, _HOP, _END = (0, 344), (440, 212), (790, 170)
_STEP = 52


def network(shown: Picture) -> Network:
    """Return the drawing of the ways to DynamoDB: the worst VPCs, by region."""
    loud = [one for one in shown.network.vpcs if not one.quiet]
    drawn: list[VpcPicture] = []
    ways = 0
    for one in loud[:MOST_VPCS]:
        ways += len(one.ways)
        if drawn and ways > MOST_WAYS:
            break
        drawn.append(one)
    by_region: dict[str, list[VpcPicture]] = {}
    for one in drawn:
        by_region.setdefault(one.vpc.region.name, []).append(one)
    canvas, y = _Canvas(), 1
    for region, vpcs in by_region.items():
        top = y
        for one in vpcs:
            y = _vpc(canvas, one, shown.names, y) + 12
        y -= 12
        reached = [way for one in vpcs for way in one.ways if way.reach != "none"]
        look = "m-box m-end" if reached else "m-box m-end m-quiet"
        canvas.boxes.append(Box(_END[0], top, _END[1] - 1, y - top, look))
        middle = top + (y - top) // 2
        canvas.text(_END[0] + _END[1] // 2, middle - 2, "DynamoDB", "m-mid m-strong")
        canvas.text(_END[0] + _END[1] // 2, middle + 17, region, "m-mid m-muted", 20)
        y += 28
    rows = tuple(_road_row(one, shown.names) for one in drawn)
    quiet = len(shown.network.vpcs) - len(loud)
    if not drawn:
        return Network(None, (), 0, quiet)
    description = "From each VPC on the left a line runs through what is on the way to the DynamoDB of the region. " + (
        "The table below says the same."
    )
    scene = canvas.scene("Ways from VPCs to DynamoDB", description, y - 27)
    return Network(scene, rows, len(loud) - len(drawn), quiet)


def _vpc(canvas: _Canvas, one: VpcPicture, names: Mapping[str, str], top: int) -> int:
    """Draw a VPC with its ways; return where it ends."""
    clusters = one.clusters[:MOST_CLUSTERS]
    more = len(one.clusters) - len(clusters)
    chips = len(clusters) + (1 if more else 0)
    height = max(70 + 26 * chips, _STEP * len(one.ways) + 12)
    canvas.boxes.append(Box(_VPC[0] + 1, top, _VPC[1], height, "m-box"))
    canvas.text(16, top + 22, one.vpc.name, "m-name", 30)
    canvas.text(16, top + 41, _account(one, names), "m-muted", 46)
    canvas.text(16, top + 59, _extent(one), "m-muted")
    y = top + 68
    for held in clusters:
        canvas.boxes.append(Box(16, y, 316, 22, "m-chip"))
        canvas.text(26, y + 15, f"DAX {held.cluster.name}", "", 24 if held.public else 40)
        if held.public:
            canvas.text(322, y + 15, "public subnet", "m-right m-t-internet")
        y += 26
    if more:
        canvas.text(26, y + 15, f"and {_count(more, 'more DAX cluster')}", "m-muted")
    start = top + (height - _STEP * len(one.ways)) // 2
    for number, way in enumerate(one.ways):
        _draw_way(canvas, way, start + number * _STEP + _STEP // 2)
    return top + height


def _draw_way(canvas: _Canvas, way: Way, y: int) -> None:
    look = f"m-{way.reach}"
    canvas.line(look, _VPC[0] + _VPC[1] + 1, y, _HOP[0], tip=way.reach != "none")
    canvas.text((_VPC[1] + _HOP[0]) // 2, y - 8, _subnets(way), "m-mid m-muted")
    if way.reach == "none":
        canvas.stop(look, _HOP[0], y)
        canvas.text(_HOP[0] + 14, y - 2, HOPS[way.hop], "m-strong")
        canvas.text(_HOP[0] + 14, y + 15, REACHES[way.reach], "m-t-none")
        return
    canvas.boxes.append(Box(_HOP[0], y - 21, _HOP[1], 42, f"m-box m-b-{way.reach}"))
    canvas.text(_HOP[0] + 14, y - 3, HOPS.get(way.hop, way.hop), "m-strong")
    canvas.text(_HOP[0] + 14, y + 14, _second(way), "m-muted", 30)
    canvas.line(look, _HOP[0] + _HOP[1], y, _END[0])
    canvas.text((_HOP[0] + _HOP[1] + _END[0]) // 2, y - 8, REACHES[way.reach], f"m-mid m-t-{way.reach}")


def _second(way: Way) -> str:
    if way.through:
        return way.through[0] if len(way.through) == 1 else f"{way.through[0]} +{len(way.through) - 1}"
    return way.why


def _subnets(way: Way) -> str:
    return "subnets" if way.subnets is None else _count(way.subnets, "subnet")


def _account(one: VpcPicture, names: Mapping[str, str]) -> str:
    number = one.vpc.account.id
    name = names.get(number, "")
    return f"{name} {number}" if name else number if one.audited else f"{number}, not audited"


def _extent(one: VpcPicture) -> str:
    subnets = "subnets not known" if one.subnets is None else _count(one.subnets, "subnet")
    if one.interfaces is None:
        return f"{subnets}, workloads not known"
    if not one.interfaces:
        return f"{subnets}, no workloads"
    return f"{subnets}, {_count(one.interfaces, 'workload interface')}"


def _road_row(one: VpcPicture, names: Mapping[str, str]) -> RoadRow:
    clusters = one.clusters[:MOST_CLUSTERS]
    return RoadRow(
        one.vpc.name,
        _account(one, names),
        one.vpc.region.name,
        _extent(one),
        tuple(
            (
                way.reach,
                f"{_subnets(way)}: {HOPS.get(way.hop, way.hop)}, {REACHES[way.reach]}",
                _listed(way.through, 3) or way.why,
            )
            for way in one.ways
        ),
        tuple(
            held.cluster.name
            + {True: " (public subnet)", False: "", None: " (whether its subnets are public is not known)"}[held.public]
            for held in clusters
        ),
        len(one.clusters) - len(clusters),
    )


def _listed(names: Sequence[str], most: int, number: int | None = None) -> str:
    left = (len(names) if number is None else number) - most
    more = f" and {left:,} more" if left > 0 else ""
    return ", ".join(names[:most]) + more


# Who can use the tables

#: Columns: principals, tables.
_WHO, _TABLES = (0, 400), (664, 296)
_ROW, _PITCH = 20, 24


def use(shown: Picture) -> Use:
    """Return the drawings of who can use the tables: those that most can delete first."""
    groups = shown.use.groups[:MOST_GROUPS]
    left = shown.use.groups[MOST_GROUPS:]
    several = len(shown.names) > 1
    drawn: list[Group] = []
    size = 0
    for one in groups:
        made = _group(one, shown.use.people, shown.names, several=several)
        size += made.scene.size if made.scene is not None else 0
        drawn.append(made if size <= MOST_DRAWN else replace(made, scene=None))
    return Use(tuple(drawn), len(left), sum(len(one.tables) for one in left))


def _group(group: TableGroup, people: Sequence[Who], names: Mapping[str, str], *, several: bool) -> Group:
    tables = group.tables
    labels = [short(one.name, 40)[0] for one in tables[:3]]
    title = " and ".join(labels) if len(tables) == 2 else _listed(labels, 3, len(tables))
    places = sorted({(names.get(one.account.id) or one.account.id, one.region.name) for one in tables})
    where = _listed([" ".join(one) for one in places], 2)
    counts = tuple((verb, words, group.count(verb)) for verb, words in VERBS.items())
    bundles = group.bundles[:MOST_BUNDLES]
    unnamed = sum(len(one.who) for one in group.bundles[MOST_BUNDLES:])
    shares = _shares([len(one.who) for one in bundles], MOST_PRINCIPALS)
    scene = _draw_group(group, people, names, shares, unnamed, counts, several=several) if bundles else None
    rows = tuple(
        UseRow(
            tuple((_label(people[one], 40), _of(people[one], names) if several else "") for one in bundle.who[:share]),
            len(bundle.who) - share,
            tuple((verb, _how(bundle.rights.get(verb))) for verb in ("read", "write", "delete")),
        )
        for bundle, share in zip(bundles, shares, strict=True)
    )
    held = tuple(short(one.name, 40)[0] for one in tables[:MOST_TABLES])
    return Group(title, where, counts, scene, rows, unnamed, held, len(tables) - len(held), group.whole)


def _shares(sizes: Sequence[int], most: int) -> list[int]:
    """Return how many of each bundle are named: the first ones all, though every bundle at least one."""
    left, found = max(most, len(sizes)), []
    for number, size in enumerate(sizes):
        after = len(sizes) - number - 1
        share = max(1, min(size, left - after))
        found.append(share)
        left -= share
    return found


def _draw_group(
    group: TableGroup,
    people: Sequence[Who],
    names: Mapping[str, str],
    shares: Sequence[int],
    unnamed: int,
    counts: Iterable[tuple[str, str, int]],
    *,
    several: bool,
) -> Scene:
    canvas, y = _Canvas(), 1
    for bundle, share in zip(group.bundles, shares, strict=False):
        y = _draw_bundle(canvas, bundle, share, people, names, y, several=several) + 10
    if unnamed:
        canvas.text(16, y + 12, f"and {unnamed:,} more, who can do other things: see report.json", "m-muted")
        y += 28
    listed = group.tables[:MOST_TABLES]
    more = len(group.tables) - len(listed)
    wanted = 34 + _ROW * (len(listed) + (1 if more else 0)) + 8
    height = max(y - 10, wanted + 1)
    canvas.boxes.append(Box(_TABLES[0], 1, _TABLES[1] - 1, height - 1, "m-box m-end"))
    canvas.text(_TABLES[0] + 16, 24, _count(len(group.tables), "table"), "m-strong")
    for number, table in enumerate(listed):
        canvas.text(_TABLES[0] + 16, 48 + _ROW * number, table.name, "", 22)
        canvas.text(_TABLES[0] + _TABLES[1] - 14, 48 + _ROW * number, table.region.name, "m-right m-muted", 16)
    if more:
        canvas.text(_TABLES[0] + 16, 48 + _ROW * len(listed), f"and {more:,} more", "m-muted")
    told = ", ".join(f"{words} {number:,}" for _, words, number in counts)
    description = f"Principals on the left, the tables on the right, a line for each thing that they can do: {told}."
    first = short(group.tables[0].name, 40)[0]
    rest = f" and {len(group.tables) - 1:,} more" if len(group.tables) > 1 else ""
    return canvas.scene(f"Who can use {first}{rest}", description, height + 1)


def _draw_bundle(
    canvas: _Canvas,
    bundle: Bundle,
    share: int,
    people: Sequence[Who],
    names: Mapping[str, str],
    top: int,
    *,
    several: bool,
) -> int:
    """Draw principals that can do the same, with a line for each thing; return where they end."""
    more = len(bundle.who) - share
    rows = share + (1 if more else 0)
    height = max(_ROW * rows + 12, _PITCH * len(bundle.rights) + 8)
    canvas.boxes.append(Box(_WHO[0] + 1, top, _WHO[1] - 1, height, "m-box"))
    y = top + (height - _ROW * rows) // 2 + 14
    for number in bundle.who[:share]:
        who = people[number]
        look = "m-t-internet m-strong" if who.kind == "public" else ""
        place = _of(who, names) if several and who.name.startswith("arn:") else ""
        canvas.text(16, y, who.label, look, 36 if place else 52)
        if place:
            canvas.text(_WHO[1] - 14, y, place, "m-right m-muted", 16)
        y += _ROW
    if more:
        canvas.text(16, y, f"and {more:,} more: see report.json", "m-muted")
    held = [verb for verb in VERBS if verb in bundle.rights]
    y = top + (height - _PITCH * len(held)) // 2 + _PITCH // 2
    for verb in held:
        right = bundle.rights[verb]
        canvas.line(f"m-{verb} m-{right.state}", _WHO[1], y, _TABLES[0])
        canvas.text((_WHO[1] + _TABLES[0]) // 2, y + 4, _on_line(verb, right), f"m-mid m-on m-t-{verb}")
        y += _PITCH
    return top + height


def _label(who: Who, most: int) -> str:
    return short(who.label, most)[0]


def _of(who: Who, names: Mapping[str, str]) -> str:
    return names.get(who.account) or who.account


def _on_line(verb: str, right: Right) -> str:
    state = {"allowed": "", "conditional": ", conditional", "unknown": ", unknown"}[right.state]
    return f"{VERBS[verb]}{state}{' (as a role)' if right.as_role else ''}"


def _how(right: Right | None) -> str:
    if right is None:
        return "no"
    return f"{right.state}{', as a role' if right.as_role else ''}"
