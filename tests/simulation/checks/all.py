"""Every safety check, in the order in which they are asked."""

from __future__ import annotations

from tests.simulation.checks import Check
from tests.simulation.checks.conditions import (
    ChangesAreTakenIn,
    ConditionsKnowTheirGeneration,
    StatusStaysSmall,
    StepsAreDated,
    TransitionsAreDated,
)
from tests.simulation.checks.control_loop import NobodyWritesWithoutEnd, PassesDoNotBreak, TimeMoves
from tests.simulation.checks.deletion import (
    DeletedDisksLeaveNothing,
    DeletedMachinesLeaveNothing,
    OrphansGoHome,
    SecretsGoWithTheirMachines,
)
from tests.simulation.checks.handover import (
    FreedDriversAreRestored,
    FreedGpusAreClean,
    GpusAreResetBetweenTenants,
    Settings,
    Uses,
)
from tests.simulation.checks.history import HistoryIsWrittenOnce, HistoryTellsOfEveryHandOver
from tests.simulation.checks.objects import AssignmentsAreWellFormed, ClaimsAreWellFormed, FinalizersHoldWhatIsThere
from tests.simulation.checks.ownership import (
    ClaimsHaveLivingOwners,
    ClaimsShareNoFunction,
    FunctionsHaveOneDomain,
    MachinesHaveOneDomain,
    ReleasedGpusComeFree,
    RunningDomainsAreClaimed,
)
from tests.simulation.checks.placing import CordonedHostsTakeNobody
from tests.simulation.checks.promises import AddressesAreGivenOnce, MemoryIsPromisedOnce, PublicationsShareNoAddress
from tests.simulation.checks.quarantine import (
    BarredGpusGoToNoGuest,
    QuarantinedGpusStayPut,
    QuarantineIsLiftedByACheck,
    QuarantineSaysWhy,
)
from tests.simulation.checks.quotas import NamespacesKeepToTheirQuotas
from tests.simulation.checks.readiness import DeadGpusAreTold, ProofIsTrue, ReadyIsClaimed, ReadyIsHandedOver, ReadyRuns
from tests.simulation.checks.tenants import (
    DisksStayWhatTheyAre,
    KeysAreForgotten,
    NobodyStopsWhatShallRun,
    StrangersAreLeftAlone,
    VolumesHaveOneGuest,
)


def safety_checks() -> tuple[Check, ...]:
    """Fresh ones: they remember what they saw."""
    return (*_of_the_loop(), *_of_gpus(), *_of_machines(), *_of_what_goes(), *_of_what_is_written())


def _of_the_loop() -> tuple[Check, ...]:
    return (PassesDoNotBreak(), TimeMoves(), NobodyWritesWithoutEnd())


def _of_gpus() -> tuple[Check, ...]:
    uses, settings = Uses(), Settings()
    return (
        FunctionsHaveOneDomain(),
        MachinesHaveOneDomain(),
        RunningDomainsAreClaimed(),
        ClaimsShareNoFunction(),
        ClaimsHaveLivingOwners(),
        ReleasedGpusComeFree(),
        QuarantinedGpusStayPut(),
        BarredGpusGoToNoGuest(),
        QuarantineIsLiftedByACheck(),
        QuarantineSaysWhy(),
        GpusAreResetBetweenTenants(uses, settings),
        FreedGpusAreClean(uses, settings),
        FreedDriversAreRestored(settings),
    )


def _of_machines() -> tuple[Check, ...]:
    return (
        ReadyIsClaimed(),
        ProofIsTrue(),
        ReadyRuns(),
        ReadyIsHandedOver(),
        DeadGpusAreTold(),
        CordonedHostsTakeNobody(),
        NamespacesKeepToTheirQuotas(),
        MemoryIsPromisedOnce(),
        AddressesAreGivenOnce(),
        PublicationsShareNoAddress(),
        DisksStayWhatTheyAre(),
        VolumesHaveOneGuest(),
        NobodyStopsWhatShallRun(),
        StrangersAreLeftAlone(),
        KeysAreForgotten(),
    )


def _of_what_goes() -> tuple[Check, ...]:
    return (
        DeletedMachinesLeaveNothing(),
        DeletedDisksLeaveNothing(),
        SecretsGoWithTheirMachines(),
        OrphansGoHome(),
        HistoryTellsOfEveryHandOver(),
        HistoryIsWrittenOnce(),
    )


def _of_what_is_written() -> tuple[Check, ...]:
    return (
        ConditionsKnowTheirGeneration(),
        TransitionsAreDated(),
        StepsAreDated(),
        ChangesAreTakenIn(),
        StatusStaysSmall(),
        ClaimsAreWellFormed(),
        FinalizersHoldWhatIsThere(),
        AssignmentsAreWellFormed(),
    )
