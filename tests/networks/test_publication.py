"""Real packets through a real packet filter: what of a VM can be reached from outside, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from provisioner.model.network import Publication
from templates.networks import packet_filter_program, publication_digest, publication_rules
from tests.networks import wires as world
from tests.networks.wires import (
    BRIDGE,
    CLIENT,
    EXTERNAL,
    GUEST,
    GUEST_ADDRESS,
    HOST,
    OTHER,
    OTHER_ADDRESS,
    SUBNET,
    UPLINK,
    Wires,
)

SSH_ONLY = Publication(
    name="hikube-default.first",
    guest_address=GUEST_ADDRESS,
    subnet=SUBNET,
    bridge=BRIDGE,
    external_address=EXTERNAL,
    ports=(22,),
    allows_icmp=False,
)
ROUTED = SSH_ONLY.model_copy(update={"external_address": ""})


@pytest.fixture(params=[world.LIBVIRT_WITH_NFT, world.LIBVIRT_WITH_IPTABLES], ids=["libvirt-nft", "libvirt-iptables"])
def wires(request: pytest.FixtureRequest) -> Iterator[Wires]:
    """The machines, with libvirt's rules of either kind."""
    yield from _made(request.param)


@pytest.fixture
def routed() -> Iterator[Wires]:
    """The machines, with a network that libvirt only routes: it rejects nothing that is for its guests."""
    made = _made("")
    for wires in made:
        wires.run(CLIENT, "ip", "route", "add", SUBNET, "via", "198.51.100.1")
        yield wires


def _made(rules: str) -> Iterator[Wires]:
    lacking = world.missing()
    if lacking:
        pytest.skip(lacking)
    wires = Wires()
    try:
        wires.start()
        if rules:
            wires.libvirt_starts(rules)
        wires.rules = rules  # type: ignore[attr-defined]
        yield wires
    finally:
        wires.stop()


def publish(wires: Wires, publication: Publication) -> None:
    rules, digest = publication_rules(publication), publication_digest(publication)
    assert _run(wires, publication, action="publish", rules=rules, digest=digest) == {}


def withdraw(wires: Wires, publication: Publication) -> None:
    assert _run(wires, publication, action="withdraw") == {}


def _run(wires: Wires, publication: Publication, **arguments: str) -> Any:
    facts = {
        "table": publication.table,
        "guest": publication.guest_address,
        "bridge": publication.bridge,
        "external": publication.external_address,
        "interface": publication.interface,
    }
    return wires.run_program(packet_filter_program(), facts | arguments)


def test_without_a_publication_nothing_comes_in_and_everything_goes_out(wires: Wires) -> None:
    assert wires.ask(CLIENT, EXTERNAL, 22) == ""
    assert wires.ask(GUEST, "198.51.100.2", 9000) == "client 198.51.100.1"


def test_the_listed_port_comes_in_and_no_other(wires: Wires) -> None:
    publish(wires, SSH_ONLY)
    assert wires.ask(CLIENT, EXTERNAL, 22) == "guest 198.51.100.2"
    assert wires.ask(CLIENT, EXTERNAL, 80) == ""
    assert not wires.ping(CLIENT, EXTERNAL)


def test_pings_come_in_by_the_flag(wires: Wires) -> None:
    publish(wires, SSH_ONLY.model_copy(update={"allows_icmp": True}))
    assert wires.ping(CLIENT, EXTERNAL)
    assert wires.ask(CLIENT, EXTERNAL, 80) == ""


def test_a_whole_address_is_open_on_every_port(wires: Wires) -> None:
    publish(wires, SSH_ONLY.model_copy(update={"whole": True}))
    assert [wires.ask(CLIENT, EXTERNAL, port) for port in (22, 80)] == ["guest 198.51.100.2"] * 2
    assert wires.ping(CLIENT, EXTERNAL)


def test_what_the_guest_begins_comes_from_its_external_address(wires: Wires) -> None:
    publish(wires, SSH_ONLY)
    assert wires.ask(GUEST, "198.51.100.2", 9000) == f"client {EXTERNAL}"
    assert wires.ask(OTHER, "198.51.100.2", 9000) == "client 198.51.100.1", "another VM goes on as before"


def test_another_vm_stays_closed(wires: Wires) -> None:
    wires.run(CLIENT, "ip", "route", "add", SUBNET, "via", "198.51.100.1")
    publish(wires, SSH_ONLY)
    assert wires.ask(CLIENT, OTHER_ADDRESS, 22) == ""
    assert wires.ask(CLIENT, GUEST_ADDRESS, 22) == "", "only under its external address"


def test_the_host_and_other_guests_reach_it_there_too(wires: Wires) -> None:
    publish(wires, SSH_ONLY)
    assert wires.ask(HOST, EXTERNAL, 22).startswith("guest ")
    assert wires.ask(OTHER, EXTERNAL, 22).startswith("guest ")
    assert wires.ask(OTHER, EXTERNAL, 80) == ""


def test_an_address_on_the_wire_never_leads_to_the_host_itself(wires: Wires) -> None:
    on_the_wire = SSH_ONLY.model_copy(update={"interface": UPLINK, "external_address": "198.51.100.9"})
    publish(wires, on_the_wire)
    assert wires.ask(CLIENT, "198.51.100.9", 22) == "guest 198.51.100.2"
    assert wires.ask(CLIENT, "198.51.100.9", 80) == "", "the host listens on port 80"
    assert wires.ask(CLIENT, "198.51.100.1", 80) == "host 198.51.100.2"
    withdraw(wires, on_the_wire)
    assert "198.51.100.9" not in wires.run(HOST, "ip", "address", "show", "dev", UPLINK)


def test_its_name_is_enough_to_withdraw_it(wires: Wires) -> None:
    untouched = _without_counters(wires)
    on_the_wire = SSH_ONLY.model_copy(update={"interface": UPLINK, "external_address": "198.51.100.9"})
    publish(wires, on_the_wire)
    withdraw(wires, Publication(name=SSH_ONLY.name, guest_address="", subnet="", bridge=""))
    assert "198.51.100.9" not in wires.run(HOST, "ip", "address", "show", "dev", UPLINK)
    assert _without_counters(wires) == untouched


def test_an_address_that_goes_to_another_vm_leads_there_and_nowhere_else(wires: Wires) -> None:
    publish(wires, SSH_ONLY)
    publish(wires, SSH_ONLY.model_copy(update={"name": "hikube-default.second", "guest_address": OTHER_ADDRESS}))
    assert wires.ask(CLIENT, EXTERNAL, 22) == "other 198.51.100.2"
    assert SSH_ONLY.table not in _run(wires, SSH_ONLY, action="published")["tables"]


def test_publishing_again_changes_nothing_and_other_words_replace_the_first(wires: Wires) -> None:
    publish(wires, SSH_ONLY)
    before = _without_counters(wires)
    publish(wires, SSH_ONLY)
    assert _without_counters(wires) == before
    publish(wires, SSH_ONLY.model_copy(update={"ports": (80,)}))
    assert wires.ask(CLIENT, EXTERNAL, 22) == ""
    assert wires.ask(CLIENT, EXTERNAL, 80) == "guest 198.51.100.2"


def test_what_a_restart_of_libvirt_sweeps_away_is_made_anew(wires: Wires) -> None:
    publish(wires, SSH_ONLY)
    wires.libvirt_starts(wires.rules)  # type: ignore[attr-defined]
    assert wires.ask(CLIENT, EXTERNAL, 22) == ""
    publish(wires, SSH_ONLY)
    assert wires.ask(CLIENT, EXTERNAL, 22) == "guest 198.51.100.2"


def test_a_rule_that_was_pushed_behind_libvirts_is_brought_to_the_front(wires: Wires) -> None:
    publish(wires, SSH_ONLY)
    if wires.rules == world.LIBVIRT_WITH_NFT:  # type: ignore[attr-defined]
        wires.run(HOST, "nft", "insert", "rule", "ip", "libvirt_network", "guest_input", "oif", BRIDGE, "reject")
    else:
        wires.run(HOST, "iptables", "-I", "LIBVIRT_FWI", "-o", BRIDGE, "-j", "REJECT")
    assert wires.ask(CLIENT, EXTERNAL, 22) == ""
    publish(wires, SSH_ONLY)
    assert wires.ask(CLIENT, EXTERNAL, 22) == "guest 198.51.100.2"


def test_nothing_is_left_of_what_is_withdrawn_and_others_stay(wires: Wires) -> None:
    untouched = _without_counters(wires)
    other = SSH_ONLY.model_copy(
        update={"name": "hikube-default.second", "guest_address": OTHER_ADDRESS, "external_address": "203.0.113.18"}
    )
    publish(wires, SSH_ONLY)
    publish(wires, other)
    assert sorted(_run(wires, other, action="published")["tables"]) == sorted([SSH_ONLY.table, other.table])
    for _ in range(2):
        withdraw(wires, SSH_ONLY)
    assert wires.ask(CLIENT, EXTERNAL, 22) == ""
    assert wires.ask(CLIENT, "203.0.113.18", 22) == "other 198.51.100.2"
    withdraw(wires, other)
    assert _without_counters(wires) == untouched


def test_a_routed_guest_is_reached_at_its_own_address_on_the_listed_port(routed: Wires) -> None:
    assert routed.ask(CLIENT, GUEST_ADDRESS, 80) == "guest 198.51.100.2"
    publish(routed, ROUTED)
    assert routed.ask(CLIENT, GUEST_ADDRESS, 22) == "guest 198.51.100.2"
    assert routed.ask(CLIENT, GUEST_ADDRESS, 80) == ""
    assert not routed.ping(CLIENT, GUEST_ADDRESS)
    assert routed.ask(CLIENT, OTHER_ADDRESS, 80) == "other 198.51.100.2", "another VM stays as it was"
    assert routed.ask(GUEST, "198.51.100.2", 9000) == f"client {GUEST_ADDRESS}"
    withdraw(routed, ROUTED)
    assert routed.ask(CLIENT, GUEST_ADDRESS, 80) == "guest 198.51.100.2"


def test_a_routed_guest_may_be_open_as_a_whole(routed: Wires) -> None:
    publish(routed, ROUTED.model_copy(update={"whole": True}))
    assert routed.ask(CLIENT, GUEST_ADDRESS, 80) == "guest 198.51.100.2"
    assert routed.ping(CLIENT, GUEST_ADDRESS)


def _without_counters(wires: Wires) -> str:
    """Every rule of the host."""
    return wires.run(HOST, "nft", "--stateless", "list", "ruleset")
