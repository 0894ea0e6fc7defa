"""A lost store is rebuilt from the hosts: what domains bear becomes objects again, and the control loop goes on with them."""

from provisioner.lifecycle.adoption.adopting import adopt
from provisioner.lifecycle.adoption.findings import Adoptee, Adoption, Verdict
from provisioner.lifecycle.adoption.planning import plan_adoption

__all__ = ["Adoptee", "Adoption", "Verdict", "adopt", "plan_adoption"]
