"""What an object says about being understood: a condition while it is refused, a record of what was accepted last. Pure.

    accepted ──> annotation hikube.cloud/accepted: class, generation, and its spec in normal form   from the first finalizer on
    refused  ──> condition Accepted=False, with the words of `hikube validate`                       gone when it is mended

CRD rules cannot say everything, so a user may edit an object that runs into one that nobody understands. It is read as the
record says then: what runs goes on, and nothing is torn down. Its class stays the one that it was accepted in, too, or nobody
would look after what runs. A record counts while a finalizer of ours is there, so an object that was never worked on has none,
and can be deleted at once.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

from provisioner.model.classes import CLASS_LABEL
from provisioner.model.errors import Conflict
from provisioner.model.mistake_lines import told_of_an_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioner.model.errors import HikubeError

ACCEPTED = "hikube.cloud/accepted"
"""Annotation."""
CONDITION, REASON, CLASS_REASON = "Accepted", "InvalidInput", "ClassChanged"
FIELD_MANAGER = "hikube-acceptance"
"""Of the condition alone: whoever writes the rest of the status takes nothing from it."""
OUR_FINALIZERS = "hikube.cloud/"
MESSAGE_MAX_CHARS = 8_000
PLAIN_MAX_CHARS = 32 << 10
"""A longer spec is kept compressed."""
RECORD_MAX_CHARS = 200 << 10
"""All annotations of an object together may have 256 KiB."""
_TEXT_MAX_BYTES = 4 << 20
_HEAD = re.compile(r'\{"class":"([^"\\]*)","generation":(\d+),')

Document = dict[str, Any]


def is_worked_on(document: Mapping[str, Any]) -> bool:
    """Whether a finalizer of ours holds it: something was made for it."""
    return any(name.startswith(OUR_FINALIZERS) for name in _metadata(document).get("finalizers") or ())


def record_text(spec: Document, *, generation: int, class_name: str) -> str:
    """The annotation for that spec; empty if it is too long to be kept."""
    text = json.dumps(spec, ensure_ascii=False, separators=(",", ":"))
    kept = text if len(text) <= PLAIN_MAX_CHARS else json.dumps(base64.b64encode(zlib.compress(text.encode())).decode())
    record = f'{{"class":"{class_name}","generation":{generation},"spec":{kept}}}'
    return record if len(record) <= RECORD_MAX_CHARS else ""


def is_recorded(document: Mapping[str, Any]) -> bool:
    """Whether its record is of its present generation. Cheap: it is asked of every object that is read."""
    head = _HEAD.match(_record(document))
    return head is not None and int(head[2]) == int(_metadata(document).get("generation") or 0)


def class_of(document: Mapping[str, Any]) -> str:
    """The class that serves it: the one that it was accepted in, before that the one that its label says."""
    head = _HEAD.match(_record(document)) if is_worked_on(document) else None
    return head[1] if head is not None else labelled(document)


def labelled(document: Mapping[str, Any]) -> str:
    """The class that its label says; empty: none."""
    return str((_metadata(document).get("labels") or {}).get(CLASS_LABEL) or "")


def class_change(document: Mapping[str, Any]) -> Conflict | None:
    """Why its label has no effect; None if it says what is so."""
    wanted, served = labelled(document), class_of(document)
    if wanted == served:
        return None
    asked, working = (f"class {name}" if name else "no class" for name in (wanted, served))
    what = f"the label {CLASS_LABEL} asks for {asked}, and the controller of {working} has begun to work on it"
    return Conflict(f"{what}: that one goes on until it is deleted; put the label back, or delete it and make it anew")


def as_accepted(document: Mapping[str, Any]) -> Document | None:
    """The object with the spec and generation that were accepted last; None if nothing is known of that."""
    if not is_worked_on(document):
        return None
    metadata = _metadata(document)
    try:
        record = json.loads(_record(document))
        generation, spec = int(record["generation"]), record["spec"]
        spec = json.loads(_unpacked(spec)) if isinstance(spec, str) else spec
    except (ValueError, TypeError, KeyError, zlib.error, binascii.Error):
        return None  # somebody has written into it
    return {**document, "metadata": {**metadata, "generation": generation}, "spec": spec} if isinstance(spec, dict) else None


def condition_of(error: HikubeError, document: Mapping[str, Any], *, now: str) -> Document:
    """The condition that says why it is refused; its transition time stays while it does."""
    before = _condition(document) or {}
    since = before.get("lastTransitionTime") if before.get("status") == "False" else None
    message = told_of_an_object(error)[:MESSAGE_MAX_CHARS]
    generation = int(_metadata(document).get("generation") or 0)
    reason = CLASS_REASON if isinstance(error, Conflict) else REASON
    facts = {"type": CONDITION, "status": "False", "reason": reason, "message": message, "observedGeneration": generation}
    return {**facts, "lastTransitionTime": since or now}


def says(document: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    """Whether the object bears that condition already."""
    return _condition(document) == condition


def is_marked(document: Mapping[str, Any]) -> bool:
    """Whether the object bears the condition that it is refused."""
    return _condition(document) is not None


def status_of_refused(document: Mapping[str, Any], condition: Document) -> Document:
    """What is applied: of an object that nobody has worked on, nobody else says that it is not Ready, nor why."""
    conditions = [condition] if is_worked_on(document) else [condition, {**condition, "type": "Ready"}]
    return {"conditions": conditions}


def message_of(document: Mapping[str, Any]) -> str:
    """Why it was said to be refused last; empty if it was not."""
    return str((_condition(document) or {}).get("message") or "")


def _record(document: Mapping[str, Any]) -> str:
    return str((_metadata(document).get("annotations") or {}).get(ACCEPTED) or "")


def _unpacked(text: str) -> str:
    return zlib.decompressobj().decompress(base64.b64decode(text), _TEXT_MAX_BYTES).decode()


def _condition(document: Mapping[str, Any]) -> Document | None:
    conditions = (document.get("status") or {}).get("conditions") or ()
    return next((dict(each) for each in conditions if each.get("type") == CONDITION), None)


def _metadata(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return document.get("metadata") or {}
