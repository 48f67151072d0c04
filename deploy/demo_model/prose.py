"""Short sentences about a few given words, always the same for the same seed."""

_OPENINGS = (
    "{a} has more to it than it seems at first.",
    "Start with {a}, and the rest follows.",
    "The short of it: {a} is worth a second look.",
    "Few things say as much about {b} as {a}.",
    "Think of {a} as the door, and of {b} as the room behind it.",
    "{a} earns its place.",
    "There is a quiet logic to {a}.",
)
_MIDDLES = (
    "What stays in the mind is how lightly it carries {b}.",
    "It gets {b} right, and takes its time doing so.",
    "Where {b} comes in, it becomes personal.",
    "The best of it is {b}: plain, patient, a little funny.",
    "Only {b} could have used a steadier hand.",
    "You notice {b} late, and then you cannot look away.",
    "It leaves {b} open, which is the right thing to do.",
    "Put next to {b}, it makes good sense.",
)
_CLOSINGS = (
    "A good place to begin.",
    "I would come back for more.",
    "That is reason enough.",
    "Not perfect, but honest.",
    "The details repay attention.",
)


def sentence(words: list[str], seed: int) -> str:
    """One sentence that mentions a word or two."""
    a, b = _pair(words, seed)
    return _begun(_OPENINGS[seed // 7 % len(_OPENINGS)].format(a=a, b=b))


def paragraph(words: list[str], seed: int) -> str:
    """Three short sentences."""
    middle = _MIDDLES[seed // 11 % len(_MIDDLES)].format(b=_pair(words, seed)[1])
    return f"{sentence(words, seed)} {_begun(middle)} {_CLOSINGS[seed // 13 % len(_CLOSINGS)]}"


def _pair(words: list[str], seed: int) -> tuple[str, str]:
    """The most telling word, and one of the others."""
    if len(words) == 1:
        return words[0], "the details"
    return words[0], words[1 + seed % (len(words) - 1)]


def _begun(text: str) -> str:
    return text[0].upper() + text[1:]
