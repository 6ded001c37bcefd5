"""Longest-prefix matching over a route table."""

from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from auditor.analysis.routes import Match, networks, resolve, unknown_lists
from auditor.facts import Route, RouteTable

BLOCK = IPv4Network("52.94.0.0/22")
LISTS = {"pl-ddb": ("52.94.0.0/22", "52.119.224.0/20"), "pl-own": ("52.94.0.0/22", "10.9.0.0/16")}
ENDPOINT, DEFAULT = Route("pl-ddb", "vpce-1"), Route("0.0.0.0/0", "nat-1")


def table(*routes: Route) -> RouteTable:
    return RouteTable("rtb-1", "vpc-1", True, (), routes)


def targets(*routes: Route, block: IPv4Network = BLOCK) -> dict[str, str | None]:
    found = resolve(table(*routes), [block], LISTS)
    return {str(match.block): match.route.target if match.route else None for match in found}


def test_an_empty_table_leads_nowhere() -> None:
    assert resolve(table(), [BLOCK], LISTS) == [Match(BLOCK, None)]


def test_the_longer_prefix_wins_and_prefix_lists_count_by_their_blocks() -> None:
    assert targets(DEFAULT, ENDPOINT) == {"52.94.0.0/22": "vpce-1"}
    assert targets(DEFAULT, Route("52.0.0.0/8", "tgw-1")) == {"52.94.0.0/22": "tgw-1"}
    assert targets(DEFAULT, ENDPOINT, block=IPv4Network("3.218.180.0/23")) == {"3.218.180.0/23": "nat-1"}


def test_a_route_inside_the_block_takes_its_part_only() -> None:
    assert targets(ENDPOINT, Route("52.94.1.0/24", "igw-1")) == {
        "52.94.0.0/24": "vpce-1",
        "52.94.1.0/24": "igw-1",
        "52.94.2.0/23": "vpce-1",
    }


def test_of_equal_prefixes_static_beats_prefix_list_beats_propagated() -> None:
    static, propagated = Route("52.94.0.0/22", "igw-1"), Route("52.94.0.0/22", "vgw-1", propagated=True)
    assert targets(ENDPOINT, static, propagated) == {"52.94.0.0/22": "igw-1"}
    assert targets(propagated, ENDPOINT) == {"52.94.0.0/22": "vpce-1"}
    assert targets(propagated, DEFAULT) == {"52.94.0.0/22": "vgw-1"}


def test_a_longer_propagated_prefix_still_beats_a_static_one() -> None:
    assert targets(DEFAULT, Route("52.0.0.0/8", "vgw-1", propagated=True)) == {"52.94.0.0/22": "vgw-1"}


def test_prefix_lists_with_the_same_block_are_rivals_in_whatever_order() -> None:
    own = Route("pl-own", "nat-1")
    for routes in ((own, ENDPOINT), (ENDPOINT, own)):
        assert resolve(table(*routes), [BLOCK], LISTS) == [Match(BLOCK, ENDPOINT, (own,))]


def test_blackholes_are_passed_over() -> None:
    assert targets(DEFAULT, Route("pl-ddb", "vpce-1", active=False)) == {"52.94.0.0/22": "nat-1"}
    assert targets(Route("0.0.0.0/0", "nat-1", active=False)) == {"52.94.0.0/22": None}


def test_ipv6_routes_and_routes_without_a_destination_do_not_carry_ipv4() -> None:
    assert targets(Route("::/0", "igw-1"), Route("", "igw-1")) == {"52.94.0.0/22": None}


def test_only_ipv4_blocks_are_looked_up() -> None:
    assert list(networks(["52.94.0.0/22", "2600:1f00::/24"])) == [BLOCK]


def test_active_routes_to_lists_of_unknown_blocks_are_named_once() -> None:
    routes = (ENDPOINT, Route("pl-b", "tgw-1"), Route("pl-a", "tgw-1"), Route("pl-c", "tgw-1", active=False), DEFAULT)
    assert unknown_lists(table(*routes, Route("pl-a", "tgw-2")), LISTS) == ["pl-a", "pl-b"]


def _network(address: int, length: int) -> str:
    return str(IPv4Network((address, length), strict=False))


inside = st.builds(_network, st.integers(int(BLOCK[0]) - 512, int(BLOCK[-1]) + 512), st.integers(8, 32))
hops = st.sampled_from(["igw-1", "nat-1", "tgw-1", "pcx-1", "local"])
routes_of = st.lists(
    st.builds(Route, inside | st.sampled_from(["0.0.0.0/0", "pl-ddb", "pl-own"]), hops, st.booleans(), st.booleans()),
    max_size=8,
    unique_by=lambda route: route.destination,
)


def chosen(routes: list[Route], address: IPv4Address) -> set[Route]:
    """Return, by trying every route, those that AWS may choose for one address."""
    best: tuple[int, int] | None = None
    found: set[Route] = set()
    for route in routes:
        for block in LISTS.get(route.destination, (route.destination,)):
            network = IPv4Network(block)
            if not route.active or address not in network:
                continue
            listed = route.destination in LISTS
            key = network.prefixlen, 1 if listed else 0 if route.propagated else 2
            if best is None or key >= best:
                found = {route} if key != best else found | {route}
                best = key
    return found


@given(routes_of, st.integers(0, BLOCK.num_addresses - 1))
def test_every_address_goes_where_trying_all_routes_sends_it(routes: list[Route], offset: int) -> None:
    address = BLOCK[offset]
    match = next(one for one in resolve(table(*routes), [BLOCK], LISTS) if address in one.block)
    assert ({match.route, *match.rivals} - {None}) == chosen(routes, address)


@given(routes_of, st.randoms(use_true_random=False))
def test_the_order_of_routes_does_not_matter(routes: list[Route], random: object) -> None:
    shuffled = list(routes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert resolve(table(*routes), [BLOCK], LISTS) == resolve(table(*shuffled), [BLOCK], LISTS)


@given(routes_of)
def test_the_parts_are_disjoint_and_make_up_the_block(routes: list[Route]) -> None:
    parts = sorted(match.block for match in resolve(table(*routes), [BLOCK], LISTS))
    assert sum(part.num_addresses for part in parts) == BLOCK.num_addresses
    assert all(not one.overlaps(other) for one, other in pairwise(parts))


@given(st.integers(23, 32), st.integers(0, BLOCK.num_addresses - 1), hops)
def test_a_route_more_specific_than_the_endpoints_takes_its_addresses(length: int, offset: int, hop: str) -> None:
    inner = IPv4Network((int(BLOCK[offset]), length), strict=False)
    found = resolve(table(ENDPOINT, Route(str(inner), hop)), [BLOCK], LISTS)
    assert {match.route.target for match in found if match.route and match.block.subnet_of(inner)} == {hop}
    assert {match.route.target for match in found if match.route and not match.block.subnet_of(inner)} == {"vpce-1"}
