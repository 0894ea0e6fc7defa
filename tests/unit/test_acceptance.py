"""What an object says about being understood: records that survive what users do to them, conditions that are written once."""

from __future__ import annotations

import json
import random
import threading
from typing import Any

import pytest

from provisioner.clocks import ManualClock
from provisioner.model.classes import CLASS_LABEL
from provisioner.model.errors import Conflict, HikubeError, InvalidDocuments, InvalidInput, StoreUnavailable
from provisioner.model.metadata import Key
from provisioner.store.kubernetes import acceptance, answers
from provisioner.store.kubernetes.answers import Answers
from provisioner.store.protocol import Event

KEY = Key("VirtualMachine", "team", "train")
NOW = "2026-11-22T00:00:00Z"
MISTAKE = {
    "file": "x.yaml",
    "line": 3,
    "column": 7,
    "path": "spec.gpus[0].name",
    "message": "no such GPU",
    "did_you_mean": "L40S",
}

BROKEN = ("", "broken", "[]", '{"class":"","generation":1,"spec":7}', '{"class":"","generation":1,"spec":"x"}')
STATUS_OF_IT = "/apis/apps.cozystack.io/v1alpha1/namespaces/team/virtualmachines/train/status"


def document(*, generation: int = 1, worked_on: bool = True, label: str | None = None, **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": "train",
        "namespace": "team",
        "uid": "1",
        "resourceVersion": "7",
        "generation": generation,
    }
    metadata |= {"finalizers": ["hikube.cloud/teardown"]} if worked_on else {}
    metadata |= {"labels": {CLASS_LABEL: label}} if label is not None else {}
    return {"metadata": metadata, "spec": spec}


def recorded(known: dict[str, Any], spec: dict[str, Any], *, generation: int, class_name: str = "") -> dict[str, Any]:
    text = acceptance.record_text(spec, generation=generation, class_name=class_name)
    return {**known, "metadata": {**known["metadata"], "annotations": {acceptance.ACCEPTED: text}}}


def refused() -> InvalidDocuments:
    return InvalidDocuments("1 mistake in it", context={"mistakes": [MISTAKE]})


class TestRecord:
    @pytest.mark.parametrize("size", [10, 100_000])
    def test_it_brings_back_what_was_accepted(self, size):
        spec = {"cloudInit": "ä" * size}
        known = recorded(document(generation=5, cloudInit="broken"), spec, generation=3)
        accepted = acceptance.as_accepted(known)
        assert accepted is not None
        assert (accepted["spec"], accepted["metadata"]["generation"]) == (spec, 3)
        assert len(known["metadata"]["annotations"][acceptance.ACCEPTED]) <= acceptance.RECORD_MAX_CHARS

    def test_one_that_cannot_be_kept_is_none(self):

        noise = "".join(chr(random.Random(1).randrange(0x4E00, 0x9FFF)) for _ in range(10)) + str(
            [random.Random(number).random() for number in range(60_000)]
        )
        assert acceptance.record_text({"cloudInit": noise}, generation=1, class_name="") == ""

    @pytest.mark.parametrize("text", BROKEN)
    def test_one_that_somebody_has_written_into_is_none(self, text):
        known = document()
        known["metadata"]["annotations"] = {acceptance.ACCEPTED: text}
        assert acceptance.as_accepted(known) is None

    def test_without_a_finalizer_it_does_not_count(self):
        known = recorded(document(worked_on=False, label="b"), {"a": 1}, generation=1, class_name="a")
        assert acceptance.as_accepted(known) is None
        assert acceptance.class_of(known) == "b"

    def test_it_is_of_one_generation(self):
        assert acceptance.is_recorded(recorded(document(generation=2), {}, generation=2))
        assert not acceptance.is_recorded(recorded(document(generation=12), {}, generation=1))
        assert not acceptance.is_recorded(document())

    def test_its_class_outlives_a_change_of_the_label(self):
        known = recorded(document(label="b"), {}, generation=1, class_name="a")
        assert (acceptance.class_of(known), acceptance.labelled(known)) == ("a", "b")
        change = acceptance.class_change(known)
        assert change is not None and "asks for class b, and the controller of class a" in str(change)
        assert acceptance.class_change(recorded(document(label="a"), {}, generation=1, class_name="a")) is None


class TestCondition:
    def test_it_says_what_is_said_of_a_file_without_a_place_in_one(self):
        condition = acceptance.condition_of(refused(), document(), now=NOW)
        assert condition["message"] == "spec.gpus[0].name: no such GPU\n    did you mean L40S?"
        assert (condition["reason"], condition["observedGeneration"]) == ("InvalidInput", 1)
        assert acceptance.condition_of(Conflict("other class"), document(), now=NOW)["reason"] == "ClassChanged"

    def test_it_keeps_its_time_while_it_is_so(self):
        before = acceptance.condition_of(refused(), document(), now="2020-01-01T00:00:00Z")
        known = {**document(), "status": {"conditions": [before]}}
        assert acceptance.condition_of(refused(), known, now=NOW) == before
        assert acceptance.says(known, before)

    def test_only_of_an_object_that_nobody_works_on_it_is_also_said_that_it_is_not_ready(self):
        condition = acceptance.condition_of(refused(), document(), now=NOW)
        types = [each["type"] for each in acceptance.status_of_refused(document(worked_on=False), condition)["conditions"]]
        assert types == ["Accepted", "Ready"]
        assert len(acceptance.status_of_refused(document(), condition)["conditions"]) == 1


class Server:
    """Notes requests; the first so many are not answered."""

    def __init__(self, *, fails: int = 0) -> None:
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.fails = fails
        self.news = threading.Condition()

    def request(self, method: str, path: str, *, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        with self.news:
            self.requests.append((method, path, body))
            self.news.notify_all()
            self.fails -= 1
            if self.fails >= 0:
                raise StoreUnavailable("away")
        return {}

    def waits_for(self, count: int) -> bool:
        with self.news:
            return self.news.wait_for(lambda: len(self.requests) >= count, timeout=20)


class TestAnswers:
    def answers(self, server: Server, told: list[Event], *, class_name: str | None = "") -> Answers:
        made = Answers(server, clock=ManualClock(), tell=told.append)  # type: ignore[arg-type]
        if class_name is not None:
            made.begin(lambda: None, class_name=class_name)
        return made

    def test_what_the_server_did_not_answer_is_written_again(self):
        server, told = Server(fails=1), list[Event]()
        made = self.answers(server, told)
        made.refused(KEY, document(worked_on=False), refused())
        assert server.waits_for(2)
        made.close()
        assert {path for _, path, _ in server.requests} == {STATUS_OF_IT}

    def test_who_does_not_lead_notes_nothing(self):
        server, told = Server(), list[Event]()
        made = self.answers(server, told, class_name=None)
        made.refused(KEY, document(), refused())
        made.begin(lambda: None, class_name="")
        made.refused(Key("VirtualMachine", "team", "other"), document(), refused())
        assert server.waits_for(1)
        made.close()
        assert [path.split("/")[-2] for _, path, _ in server.requests] == ["other"]

    def test_others_classes_and_what_users_do_not_write_are_not_answered(self):
        server, told = Server(), list[Event]()
        made = self.answers(server, told)
        made.refused(KEY, document(label="cozystack"), refused())
        made.refused(Key("GPUClaim", "", "a"), document(), refused())
        made.refused(Key("Image", "", "mine"), document(worked_on=False), InvalidInput("no"))
        assert server.waits_for(1)
        made.close()
        assert [path for _, path, _ in server.requests] == ["/apis/hikube.cloud/v1alpha1/images/mine/status"]

    def test_what_waits_is_bounded(self):
        made = Answers(Server(), clock=ManualClock(), tell=lambda _event: None)  # type: ignore[arg-type]
        gate = threading.Event()

        def fence() -> None:
            gate.wait(timeout=20)

        made.begin(fence, class_name="")
        for number in range(answers.TASKS_MAX + 500):
            made.refused(Key("VirtualMachine", "team", f"vm-{number}"), document(), refused())
        assert len(made._tasks) == answers.TASKS_MAX
        made.close()
        gate.set()

    def test_an_error_that_will_not_pass_is_told_and_left(self, caplog):
        class Refusing(Server):
            def request(self, method: str, path: str, *, body: dict[str, Any], **_: Any) -> dict[str, Any]:
                super().request(method, path, body=body)
                raise HikubeError("no")

        server = Refusing()
        made = self.answers(server, [])
        made.refused(KEY, document(), refused())
        assert server.waits_for(1)
        made.refused(Key("VirtualMachine", "team", "next"), document(), refused())
        assert server.waits_for(2)
        made.close()


def test_a_record_is_json() -> None:
    record = json.loads(acceptance.record_text({"a": 1}, generation=2, class_name="c"))
    assert record == {"class": "c", "generation": 2, "spec": {"a": 1}}
