"""Runs on a host: puts a publication into its packet filter, takes it out again, or lists what is there.

ARGUMENTS: action (publish, withdraw, published, bridges); for the first two table, guest, bridge, external, interface; to
publish, rules and digest as well. Prints one JSON object: {}, {"tables": […]}, {"filtered": …} or {"missing": PROGRAM}.
Python 3.9, standard library only.

Our rules are a table of their own, changed as a whole. But libvirt rejects what is new for the guests of a NAT network, and no
other table can overrule that: so one rule of ours stands at the top of libvirt's own chain, for packets to this guest that were
translated, and nothing is translated but what is published. libvirt makes its chain anew when it or the network is started, so
whoever wants the rule to stay asks for it again.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

LIMIT_S = 10
BRIDGES = "/proc/sys/net/bridge"
REJECTS = re.compile(r"\b(reject|drop)\b", re.IGNORECASE)
TOLD = re.compile(r'ip daddr ([0-9.]+) counter .*comment "hikube [0-9a-f]+ (\S+)"')
"""The external address and the interface that has it, in the rule that guards the address."""
ARGUMENTS: dict[str, str]
"""Handed in by the host shell."""


def run(*argv: str) -> str | None:
    """What a program prints, or None if it fails."""
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return ended.stdout if ended.returncode == 0 else None


def must(*argv: str, text: str = "") -> None:
    """Run a program; one that fails ends this one with what it said."""
    ended = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(argv[:2])}: {ended.stderr.strip()[-800:]}")


class NftChain:
    """libvirt's chain where it uses nftables (10.4 and later)."""

    place = ("ip", "libvirt_network", "guest_input")

    def rules(self) -> list[str] | None:
        """Its rules in order; None if there is no such chain."""
        listed = run("nft", "-a", "list", "chain", *self.place)
        lines = None if listed is None else [line.strip() for line in listed.splitlines()]
        return None if lines is None else [line for line in lines if "# handle" in line and not line.endswith("{")]

    def is_for(self, rule: str, wanted: dict[str, str]) -> bool:
        """Whether the rule names the guest's present address."""
        return f"ip daddr {wanted['guest']} " in rule

    def insert(self, wanted: dict[str, str]) -> None:
        """Put our rule at the top."""
        match = f'oifname "{wanted["bridge"]}" ip daddr {wanted["guest"]} ct status dnat'
        rule = f'{match} counter accept comment "{wanted["table"]}"'
        must("nft", "-f", "-", text=f"insert rule {' '.join(self.place)} {rule}\n")

    def delete(self, rule: str) -> None:
        """Take a rule out."""
        must("nft", "delete", "rule", *self.place, "handle", rule.rsplit("handle", 1)[1].strip())


class IptablesChain:
    """libvirt's chain where it uses iptables."""

    name = "LIBVIRT_FWI"

    def rules(self) -> list[str] | None:
        """Its rules in order; None if there is no such chain, or no iptables."""
        try:
            listed = run("iptables", "-w", "5", "-S", self.name)
        except FileNotFoundError:
            return None
        return None if listed is None else [line for line in listed.splitlines() if line.startswith("-A ")]

    def is_for(self, rule: str, wanted: dict[str, str]) -> bool:
        """Whether the rule names the guest's present address."""
        return f"-d {wanted['guest']}/32 " in rule

    def insert(self, wanted: dict[str, str]) -> None:
        """Put our rule at the top."""
        match = ["-d", wanted["guest"], "-o", wanted["bridge"], "-m", "conntrack", "--ctstate", "DNAT"]
        comment = ["-m", "comment", "--comment", wanted["table"]]
        must("iptables", "-w", "5", "-I", self.name, "1", *match, *comment, "-j", "ACCEPT")

    def delete(self, rule: str) -> None:
        """Take a rule out."""
        must("iptables", "-w", "5", "-D", *shlex.split(rule)[1:])


CHAINS: tuple[NftChain | IptablesChain, ...] = (NftChain(), IptablesChain())


def open_chain(chain: NftChain | IptablesChain, wanted: dict[str, str]) -> None:
    """See that our rule, and one only, stands in libvirt's chain before anything there rejects."""
    rules = chain.rules()
    if rules is None:
        return
    ours = [rule for rule in rules if wanted["table"] in rule]
    rejecting = [number for number, rule in enumerate(rules) if rule not in ours and REJECTS.search(rule)]
    if len(ours) == 1 and chain.is_for(ours[0], wanted) and rules.index(ours[0]) < min(rejecting, default=len(rules)):
        return
    for rule in ours:
        chain.delete(rule)
    chain.insert(wanted)


def close_chain(chain: NftChain | IptablesChain, wanted: dict[str, str]) -> None:
    """Take our rule out of libvirt's chain."""
    for rule in chain.rules() or ():
        if wanted["table"] in rule:
            chain.delete(rule)


def has_address(wanted: dict[str, str]) -> bool:
    """Whether the host's interface has the external address."""
    shown = run("ip", "-o", "-4", "address", "show", "dev", wanted["interface"]) or ""
    return f" {wanted['external']}/" in shown


def evict(wanted: dict[str, str]) -> None:
    """An external address is one VM's only: what else is published at it belongs to one that has lost it."""
    guard = f"ip daddr {wanted['external']} counter "
    for table in published() if wanted["external"] else ():
        if table != wanted["table"] and guard in (run("nft", "list", "table", "ip", table) or ""):
            must("nft", "delete", "table", "ip", table)


def publish(wanted: dict[str, str]) -> None:
    """Put in whatever is not there."""
    listed = run("nft", "list", "table", "ip", wanted["table"])
    if listed is None or wanted["digest"] not in listed:
        evict(wanted)
        must("nft", "-f", "-", text=wanted["rules"])
    if wanted["external"]:
        for chain in CHAINS:
            open_chain(chain, wanted)
    # Last: as long as the rules are not there, the host itself would answer at the address.
    if wanted["interface"] and wanted["external"] and not has_address(wanted):
        must("ip", "address", "add", f"{wanted['external']}/32", "dev", wanted["interface"])


def withdraw(wanted: dict[str, str]) -> None:
    """Take out whatever is there, the rules that guard the address last. What is not said is read from them."""
    listed = run("nft", "list", "table", "ip", wanted["table"])
    if not wanted["external"] and (told := TOLD.search(listed or "")):
        wanted = {**wanted, "external": told[1], "interface": told[2]}
    if wanted["interface"] and wanted["external"] and has_address(wanted):
        must("ip", "address", "delete", f"{wanted['external']}/32", "dev", wanted["interface"])
    for chain in CHAINS:
        close_chain(chain, wanted)
    if listed is not None:
        must("nft", "delete", "table", "ip", wanted["table"])


def published() -> list[str]:
    """The tables of all publications."""
    listed = run("nft", "list", "tables", "ip") or ""
    return re.findall(r"^table ip (hikube-[0-9a-f]+)$", listed, re.MULTILINE)


def filters_bridges() -> bool:
    """Whether the kernel shows bridged packets to iptables, of both kinds, which is where libvirt's filters stand."""
    try:
        return all(int(Path(f"{BRIDGES}/bridge-nf-call-{kind}").read_text()) for kind in ("iptables", "ip6tables"))
    except FileNotFoundError:
        return False  # the module br_netfilter is not loaded


def main(wanted: dict[str, str]) -> dict[str, Any]:
    """Do what is asked."""
    if wanted["action"] == "bridges":
        return {"filtered": filters_bridges()}
    try:
        run("nft", "--version")
    except FileNotFoundError:
        # Without it nothing was ever published here, so there is nothing to withdraw.
        return {} if wanted["action"] == "withdraw" else {"missing": "nft"}
    if wanted["action"] == "published":
        return {"tables": published()}
    (publish if wanted["action"] == "publish" else withdraw)(wanted)
    return {}


print(json.dumps(main(ARGUMENTS)))  # noqa: F821  its answer to the host shell
