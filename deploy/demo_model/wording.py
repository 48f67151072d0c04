"""Strings and numbers that look as a property's name promises: `author_name` is a person, `review` a sentence."""

import re
from random import Random

from deploy.demo_model import prose

_CHOICES = {
    "person|author|writer|director|reviewer|actor|customer|user|speaker|owner|founder|contact|full name|last name": (
        "Ada Moreau", "Jonas Lindqvist", "Mina Okafor", "Tomás Herrera", "Clara Weiss", "Ravi Anand",
    ),
    "first name|nickname": ("Ada", "Jonas", "Mina", "Tomás", "Eleni", "Ravi", "Clara"),
    "country|nation": ("Portugal", "Japan", "Kenya", "Norway", "Chile", "Canada", "Vietnam"),
    "city|town|capital|location|place|origin|destination": ("Lisbon", "Kyoto", "Nairobi", "Bergen", "Montreal"),
    "address|street": ("12 Harbour Lane", "7 Orchard Street", "31 Mill Road", "4 Station Square"),
    "company|organi[sz]ation|brand|publisher|employer|vendor": ("Northwind Books", "Blue Heron", "Alder Works"),
    "language": ("English", "Portuguese", "Japanese", "Swahili", "Norwegian"),
    "currency": ("EUR", "USD", "JPY", "KES", "NOK"),
    "colou?r": ("teal", "amber", "crimson", "ivory", "indigo"),
    "genre|category|kind|type": ("drama", "adventure", "documentary", "comedy", "mystery"),
    "sentiment|tone|mood": ("positive", "neutral", "mixed", "warm"),
    "status|state": ("open", "active", "done"),
    "role|job|occupation|profession": ("editor", "engineer", "teacher", "architect", "nurse"),
    "e ?mail": ("ada@example.com", "jonas@example.com", "mina@example.org"),
    "phone|mobile": ("+351 21 555 0134", "+47 55 50 01 12", "+254 20 555 0187"),
    "url|uri|link|website|homepage": ("https://example.com/a", "https://example.com/b", "https://example.org/c"),
    "date|day|birthday": ("2026-03-14", "2025-11-02", "2024-06-21", "2023-09-30"),
    "time": ("09:30", "14:05", "18:45"),
}  # fmt: skip
_PROSE = (
    "review|summary|description|text|comment|reason|reasoning|explanation|content|answer|message|sentence|note|body|quote|"
    "opinion|abstract|plot|bio|rationale|thought|verdict|conclusion|question|advice|caption|paragraph"
)
_TITLE = "title|headline|subject|book|movie|film|song|album|heading|product"
_IDENTIFIER = "id|uuid|code|key|sku|slug|handle"
_KINDS = [(re.compile(rf"\b(?:{names})(?:e?s)?\b"), names) for names in (*_CHOICES, _PROSE, _TITLE, _IDENTIFIER)]
_TITLES = (
    "The Weight of {}",
    "A Season of {}",
    "{} at Dawn",
    "Letters about {}",
    "The Last {}",
    "{} and Other Stories",
)
# Name, lowest and highest sensible value.
_RANGES = [
    (re.compile(r"\b(?:score|rating|stars?|grade|rank|priority|importance|difficulty)\b"), 1, 10),
    (re.compile(r"\byear\b"), 1950, 2025),
    (re.compile(r"\bage\b"), 18, 80),
    (re.compile(r"\b(?:percent|percentage)\b"), 0, 100),
    (re.compile(r"\b(?:probability|confidence|likelihood|ratio|similarity|weight)\b"), 0, 1),
    (re.compile(r"\b(?:price|cost|amount|total|revenue|salary|budget)\b"), 5, 500),
    (re.compile(r"\b(?:population|views|followers)\b"), 10_000, 5_000_000),
]


def plain(name: str) -> str:
    """A property's name as words: `authorName` and `author_name` are `author name`."""
    return re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)).strip().lower()


def text(name: str, words: list[str], random: Random) -> str:
    """A string for a property; `words` are what it should be about."""
    known = plain(name)
    match _kind(known):
        case "":
            return random.choice(words)
        case kind if kind == _PROSE:
            return prose.sentence(words, random.getrandbits(30))
        case kind if kind == _TITLE:
            return random.choice(_TITLES).format(random.choice(words[:3]).title())
        case kind if kind == _IDENTIFIER:
            return f"{known.split()[0]}-{random.randrange(1000, 9999)}"
        case kind:
            return random.choice(_CHOICES[kind])


def _kind(known: str) -> str:
    """Which names a property's name ends with, nearest to its end: a `book_author` is an author; empty if with none."""
    ends = [(found.end(), kind) for pattern, kind in _KINDS for found in pattern.finditer(known)]
    if ends:
        return max(ends)[1]
    return next(iter(_CHOICES)) if re.search(r"\bnames?\b", known) else ""


def span(name: str) -> tuple[int, int]:
    """The lowest and highest value that look right for a number of this name."""
    known = plain(name)
    return next(((low, high) for pattern, low, high in _RANGES if pattern.search(known)), (1, 20))
