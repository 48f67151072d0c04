"""PromptJuggler's dialect: its events, exactly its keys, and its signature.

Its clients read one signature from the header, the last one. While two secrets are live the tries take turns, so that a
receiver with either of them verifies one of two.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

from shared.notices._notice import Notice
from shared.notices._signing import standard

NAME = "promptjuggler"
EVENTS = ("execution.ended", "document.ended", "knowledge.ended")


def body(notice: Notice) -> dict[str, Any]:
    """The keys that the vendor's clients require, and `event` only where the webhook asks for it."""
    event = {"event": _name(notice)} if notice.tells_event else {}
    return {**event, **_values(notice)}


def headers(notice: Notice, written: bytes, secrets: Sequence[str], moment: int) -> dict[str, str]:
    """The event's name, and a signature whose key is the secret's text as it was given out; beside the usual ones."""
    signed = f"{moment}.".encode() + written
    signatures = [hmac.new(each.encode(), signed, hashlib.sha256).hexdigest() for each in reversed(secrets)]
    return {
        **standard(notice.uuid, written, secrets, moment),
        "PromptJuggler-Event": _name(notice),
        "PromptJuggler-Signature": ",".join([f"t={moment}", *(f"v1={each}" for each in signatures)]),
    }


def _name(notice: Notice) -> str:
    if notice.event == "execution.ended":
        return "promptrun.finished" if notice.prompt else "workflowrun.finished"
    return {"document.ended": "knowledgedocument.finished", "knowledge.ended": "knowledgebase.finished"}.get(
        notice.event, notice.event
    )


def _values(notice: Notice) -> dict[str, Any]:
    found = notice.data
    match notice.event:
        case "execution.ended":
            return {
                "id": str(notice.subject),
                "status": "completed" if found.get("status") == "succeeded" else "failed",
            }
        case "document.ended":
            return {"id": found["id"], "status": found["status"], "chunkCount": found["chunks"]}
        case "knowledge.ended":
            return {
                "id": found["id"],
                "status": found["status"],
                "documentCount": found["documents"],
                "chunkCount": found["chunks"],
            }
    return {"id": str(notice.subject), "status": "completed"}
