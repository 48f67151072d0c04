"""Takes secrets out of what is told: in clear, as JSON or a URL has them, and in base64, wherever in it they begin.

A secret is a value of eight characters and more; a shorter one is a word that any text may have.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

#: Values of fewer characters are not looked for.
LEAST_CHARACTERS = 8


class Redactor:
    """Puts `[NAME]` in the place of each value; without values it gives everything back as it is."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        found = {form: name for name, value in (values or {}).items() for form in _forms(value)}
        # The longest that begins at a place gives the name.
        self._forms = sorted(found.items(), key=lambda each: -len(each[0]))
        self._shortest = min(map(len, found), default=0)

    def __bool__(self) -> bool:
        """True where there is anything to look for."""
        return bool(self._forms)

    def text(self, found: str) -> str:
        """A text without the secrets."""
        if not self._forms or len(found) < self._shortest:
            return found
        return "".join(self._pieces(found, self._places(found)))

    def value(self, found: Any) -> Any:
        """A JSON value without the secrets, in its names, texts and numbers."""
        if not self._forms or found is None or isinstance(found, bool):
            return found
        if isinstance(found, str):
            return self.text(found)
        if isinstance(found, Mapping):
            return {self.text(key): self.value(inner) for key, inner in found.items()}
        if isinstance(found, list | tuple):
            return [self.value(inner) for inner in found]
        written = str(found)
        told = self.text(written)
        return found if told == written else told

    def stream(self) -> "Stream":
        """For a text that comes in pieces."""
        return Stream(self)

    def settled(self, found: str) -> int:
        """How much of a text stays as `text` has it, whatever follows: up to where a secret may have begun."""
        cut = min((_begun(found, form) for form, _ in self._forms), default=len(found))
        for start, end, _ in self._places(found):
            if start < cut < end:
                return start
        return cut

    def _places(self, found: str) -> list[tuple[int, int, str]]:
        """Where secrets stand, in order; those that overlap are one."""
        places = sorted(
            ((start, start + len(form), name) for form, name in self._forms for start in _starts(found, form)),
            key=lambda each: (each[0], -each[1]),
        )
        merged: list[tuple[int, int, str]] = []
        for start, end, name in places:
            if merged and start < merged[-1][1]:
                first = merged[-1]
                merged[-1] = (first[0], max(first[1], end), first[2])
            else:
                merged.append((start, end, name))
        return merged

    @staticmethod
    def _pieces(found: str, places: list[tuple[int, int, str]]) -> Iterator[str]:
        after = 0
        for start, end, name in places:
            yield found[after:start]
            yield f"[{name}]"
            after = end
        yield found[after:]


class Stream:
    """A text that comes in pieces, and leaves as `text` would have the whole; holds back what may become a secret."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def add(self, piece: str) -> str:
        """What can leave now."""
        if not self._redactor:
            return piece
        self._held += piece
        cut = self._redactor.settled(self._held)
        leaves, self._held = self._held[:cut], self._held[cut:]
        return self._redactor.text(leaves)

    def rest(self) -> str:
        """What was held back, once nothing follows."""
        leaves, self._held = self._held, ""
        return self._redactor.text(leaves)


#: Of no variables.
NOTHING = Redactor()


def is_secret(value: str) -> bool:
    """True for a value that is looked for."""
    return len(value) >= LEAST_CHARACTERS


def _forms(value: str) -> set[str]:
    """Everything that a value is found by; none of a short one."""
    found: set[str] = set()
    # A value is often read from a file, and used without the line break at its end.
    for each in {value, value.strip()}:
        if is_secret(each):
            found |= {each, *_json(each), *_url(each), *_base64(each)}
    return {form for form in found if is_secret(form)}


def _json(value: str) -> Iterator[str]:
    for ascii_only in (True, False):
        written = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield written
        yield written.replace("/", "\\/")
        # JSON that is a text in other JSON, as many a provider's error is.
        yield json.dumps(written)[1:-1]


def _url(value: str) -> Iterator[str]:
    for safe in ("", "/", "/:@!$&'()*+,;="):
        for written in (quote(value, safe=safe), quote_plus(value, safe=safe)):
            yield written
            yield _small_escapes(written)


def _small_escapes(written: str) -> str:
    first, *escaped = written.split("%")
    return "%".join([first, *(each[:2].lower() + each[2:] for each in escaped)])


def _base64(value: str) -> Iterator[str]:
    """In base64 alone, and the characters of it that are the same wherever it stands among other bytes."""
    written = value.encode(errors="surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(written).decode()
        yield whole
        yield whole.rstrip("=")
        for before in range(3):
            bits = 8 * (before + len(written))
            yield encode(bytes(before) + written).decode()[-(-8 * before // 6) : bits // 6]


def _starts(found: str, form: str) -> Iterator[int]:
    at = found.find(form)
    while at >= 0:
        yield at
        at = found.find(form, at + len(form))


def _begun(found: str, form: str) -> int:
    """Where a text ends with a part of a form, its length where it does not."""
    at = found.find(form[0], max(0, len(found) - len(form) + 1))
    while at >= 0 and not form.startswith(found[at:]):
        at = found.find(form[0], at + 1)
    return len(found) if at < 0 else at
