"""Embeddings: unit vectors in which texts that share words are near each other, always the same for the same text."""

import base64
import json
import math
import re
import sys
from array import array
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from deploy.demo_model import prompt as prompts
from deploy.demo_model import response
from deploy.demo_model.errors import Refused

_DEFAULT_DIMENSIONS = 1536
_OTHER_DIMENSIONS = {"text-embedding-3-large": 3072}
_MAX_DIMENSIONS = 16_384
_MAX_INPUTS = 2048
_WORD = re.compile(r"\w+")


def write(body: dict[str, Any], *, fields: str) -> tuple[bytes, dict[str, int]]:
    """The whole answer to a request's body, and its usage. Raises Refused."""
    texts = _texts(body.get("input"))
    dimensions = _dimensions(body)
    packed = body.get("encoding_format") == "base64"
    listed = [
        {"object": "embedding", "index": index, "embedding": _packed(found) if packed else found.tolist()}
        for index, found in enumerate(vector(text, dimensions) for text in texts)
    ]
    amount = sum(max(1, prompts.tokens(text)) for text in texts)
    usage = {"prompt_tokens": amount, "total_tokens": amount}
    answer = {"object": "list", "data": listed, "model": body["model"], "usage": usage}
    return response.document(200, answer, fields=fields), usage


def vector(text: str, dimensions: int) -> "array[float]":
    """A text's unit vector: each word adds itself at a few places that its hash names."""
    sums = [0.0] * dimensions
    for word in _WORD.findall(text.lower()) or [text]:
        for place in _places(word):
            sums[place % dimensions] += 1.0 if place & 0x8000_0000 else -1.0
    length = math.sqrt(sum(value * value for value in sums))
    if length == 0:
        # Words can cancel each other out where dimensions are few.
        sums[0] = length = 1.0
    return array("f", (value / length for value in sums))


@lru_cache(maxsize=65_536)
def _places(word: str) -> tuple[int, ...]:
    # Surrogates may come in JSON escapes, and cannot be encoded otherwise.
    return tuple(array("I", blake2b(word.encode("utf-8", "surrogatepass"), digest_size=32).digest()))


def _packed(found: "array[float]") -> str:
    """Little-endian 32-bit floats in base64."""
    if sys.byteorder == "big":
        found.byteswap()
    return base64.b64encode(found.tobytes()).decode()


def _texts(given: Any) -> list[str]:
    """Input may be a text, tokens, or a list of either."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not 1 <= len(given) <= _MAX_INPUTS:
        raise Refused(f"'input' must be a text or a list of 1 to {_MAX_INPUTS}")
    if all(isinstance(each, int) for each in given):
        return [json.dumps(given)]
    return [each if isinstance(each, str) else json.dumps(each) for each in given]


def _dimensions(body: dict[str, Any]) -> int:
    model = str(body["model"]).partition(":")[0]
    wanted = body.get("dimensions")
    if wanted is None:
        return _OTHER_DIMENSIONS.get(model, _DEFAULT_DIMENSIONS)
    if not isinstance(wanted, int) or not 1 <= wanted <= _MAX_DIMENSIONS:
        raise Refused(f"'dimensions' must be between 1 and {_MAX_DIMENSIONS}")
    return wanted
