"""What lets packets in: the rules of a publication for nftables, libvirt's filter before an interface, and the host's program.

The same publication gives the same text. A digest of it stands in the rules, so that whoever looks at a host can tell rules
that are as they shall be from others.

    chain       hook, before whom                       does
    ──────────  ──────────────────────────────────────  ─────────────────────────────────────────────────────────────
    inward      prerouting, before others' DNAT         what is published goes on to the guest's address
    from_host   output                                  the same for what the host itself sends
    the_rest    prerouting, right behind that           what is not published ends here: it never reaches the host's own ports
    outward     postrouting, before libvirt's           what the guest begins comes from its external address; guests of the
                masquerading                            same network that use the external address are answered through the host

On a routed network there is no address to translate, and `inward` lets in what is published and drops all else for the guest.

The filter's rules are stateful by themselves: libvirt adds the answers to each. What IPv6 needs to find its neighbours, its
groups and the size of its packets always passes, and without a look at its state: the kernel does not track those packets, or
counts them as related, and libvirt's schema knows no state for IPv6. Each of these is two rules, one for each direction: for
ICMP in both directions at once libvirt writes none at all.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from provisioner.model.domain_names import filter_uuid
from provisioner.model.network import Publication
from templates.environment import render


def publication_rules(publication: Publication) -> str:
    """The publication as one atomic change for `nft -f`: its table, made anew."""
    return render("networks/publication.nft.j2", publication=publication, digest=publication_digest(publication))


def publication_digest(publication: Publication) -> str:
    """What stands as a comment in rules that say exactly this."""
    rules = render("networks/publication.nft.j2", publication=publication, digest="")
    return f"hikube {hashlib.sha256(rules.encode()).hexdigest()[:32]} {publication.interface}".rstrip()


def filter_xml(name: str, *, ports: tuple[int, ...], whole: bool, allows_icmp: bool) -> str:
    """libvirt's filter of that name: these TCP ports in, answers and the guest's own traffic too; `whole`: everything."""
    values = {"ports": ports, "whole": whole, "allows_icmp": allows_icmp}
    return render("networks/filter.xml.j2", filter_name=name, uuid=filter_uuid(name), **values)


@cache
def packet_filter_program() -> str:
    """The program that puts a publication into a host's packet filter, for a host shell."""
    return files("templates.networks").joinpath("packet_filter.py").read_text(encoding="utf-8")
