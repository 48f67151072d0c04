"""The headers of Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks)."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID

_PREFIX = "whsec_"


def standard(uuid: UUID, body: bytes, secrets: Sequence[str], moment: int) -> dict[str, str]:
    """Name, time and signatures of a body, one by each secret; the key is what stands behind `whsec_`, decoded."""
    signed = f"{uuid}.{moment}.".encode() + body
    signatures = [_signature(base64.b64decode(secret.removeprefix(_PREFIX)), signed) for secret in secrets]
    return {
        "webhook-id": str(uuid),
        "webhook-timestamp": str(moment),
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def _signature(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
