"""What a chat request's messages say: the last user message, words worth mentioning, a size and a seed."""

import re
import zlib
from dataclasses import dataclass
from typing import Any

from deploy.demo_model.errors import Refused

_WORD = re.compile(r"[^\W\d_]{3,24}")
# Enough of a text to find words in; the whole is only counted.
_READ_CHARACTERS = 2000
_DULL_WORDS = (
    "about above after again also always and answer any are ask been before being below best between but can could "
    "describe did does each every few find following for from get give has have here how into its json just keep "
    "like list long make many may me might more most must name need none not now object once one only or other our "
    "out over please put return say sentence sentences shall she short should some such summarise summarize tell "
    "than that the their them then there these they this those three two under use user using very want was well "
    "were what when where which while who why will with word words would write you your"
)
_DULL = frozenset(_DULL_WORDS.split())


@dataclass(slots=True)
class Prompt:
    """`words` are never empty, the most telling first; `tokens` are estimated from words."""

    text: str
    words: list[str]
    tokens: int
    seed: int


def read(messages: Any, seed: int) -> Prompt:
    """Read a chat's messages; content may be text or a list of parts. Raises Refused if they are no messages."""
    if not isinstance(messages, list) or not messages:
        raise Refused("'messages' must be a non-empty list")
    texts = [_content(message) for message in messages]
    said = [text for message, text in zip(messages, texts, strict=True) if message.get("role") == "user"]
    text = said[-1] if said else texts[-1]
    # The three are what OpenAI adds per message for role and separators.
    amount = sum(tokens(each) + 3 for each in texts)
    digest = zlib.crc32("\0".join(texts).encode("utf-8", "surrogatepass"), seed & 0xFFFFFFFF)
    return Prompt(text, telling_words(text), amount, digest)


def tokens(text: str) -> int:
    """About how many tokens a text has: four for every three words."""
    return -(-len(text.split()) * 4 // 3)


def beginning(text: str, most: int) -> str:
    """The first words of a text, as many as so many tokens have."""
    return " ".join(text.split()[: most * 3 // 4])


def telling_words(text: str) -> list[str]:
    """Up to eight words worth repeating: names first, then the longest."""
    start = text[:_READ_CHARACTERS]
    found = dict.fromkeys(word for word in _WORD.findall(start) if word.lower() not in _DULL)
    words = sorted(found, key=lambda word: (not word[0].isupper(), -len(word)))[:8]
    return words or ["the question"]


def _content(message: Any) -> str:
    if not isinstance(message, dict):
        raise Refused("a message is an object")
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if content is None:
        return ""
    raise Refused("a message's content is text or a list of parts")
