"""The contract of the store, on a real API server. What it cannot do by its nature is skipped by name."""
# ruff: noqa: F401  # the contract is imported to be collected here

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.stores import StoreBench, store_of_bench
from tests.contract.test_store import TestCreate, TestGet, TestList, TestUpdate, TestUpdateStatus
from tests.contract.test_store_deletion import TestDelete, TestOwners
from tests.contract.test_store_events import (
    test_an_event_is_counted_and_stamped_by_the_store,
    test_an_object_that_comes_back_keeps_its_events,
    test_another_reason_message_or_object_is_another_event,
    test_equal_ones_are_counted_not_repeated,
    test_events_of_the_same_moment_keep_the_order_of_recording,
    test_events_outlive_their_object,
    test_of_all_removed_objects_a_thousand_events_are_kept_and_the_others_stay,
    test_of_one_object_of_a_namespace_or_all,
    test_recording_is_no_change_to_watch_for,
    test_the_oldest_of_an_objects_events_go_after_a_hundred,
    test_the_order_is_that_of_the_last_time,
    test_what_was_told_twice_is_counted,
)
from tests.contract.test_store_mirror import (
    test_it_follows_what_is_written,
    test_it_goes_over_to_another_store,
    test_it_lists_anew_when_the_history_was_trimmed,
)
from tests.contract.test_store_watch import TestWatch
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.stores import NAMESPACES, Bench


@pytest.fixture(scope="module")
def plane(kinds: ControlPlane) -> ControlPlane:
    for namespace in NAMESPACES:
        kinds.make_namespace(namespace)
    return kinds


@pytest.fixture(name="bench")
def kubernetes_bench(plane: ControlPlane) -> Iterator[StoreBench]:
    benches = Bench(plane)
    yield benches.bench()
    benches.close()
