"""Definitions as hypothesis makes them: of every kind, well formed, and often not what their author meant."""

from typing import Any

from hypothesis import strategies as st

#: Models that are good, that fail in several ways, and that nobody offers.
MODELS = (
    *(None, "demo", "paid/small", "paid/large", "demo:mode=bad_json", "demo:mode=refusal", "demo:mode=length"),
    *("demo:status=400", "paid/none"),
)
EXPRESSIONS = (
    "@",
    "[0]",
    "length(@)",
    "to_string(@)",
    "{a: @, b: @}",
    "join('-', @)",
    "sort(@)",
    "nothing(@)",
    "sort()",
)
CONDITIONS = ("text", "items", "count > `2`", "items[5]", "length(items) > `1`")
OUTPUTS = ("text", "list", "json", {"type": "json_schema", "schema": {"type": "array", "items": {"type": "string"}}})
NOTE = {"type": "emit", "name": "note", "params_schema": {"properties": {"text": {"type": "string"}}}}
WORDS = st.sampled_from(["", "Say it. ", "Écoute « ça » ", "{not} a {{ reference ", "\\n\"'", "word " * 40])


@st.composite
def texts(draw: Any, names: list[str]) -> str:
    """A text with references to some of the names."""
    found = draw(st.lists(st.tuples(WORDS, st.sampled_from(names), st.sampled_from(["", "[0]", ".a"])), max_size=3))
    return draw(WORDS) + "".join(f"{words}{{{{{name}{path}}}}}" for words, name, path in found) + "."


@st.composite
def prompts(draw: Any, names: list[str]) -> dict[str, Any]:
    """A layer that asks a model."""
    found: dict[str, Any] = {"kind": "prompt", "prompt": draw(texts(names)), "output": draw(st.sampled_from(OUTPUTS))}
    found["retry"] = {"attempts": draw(st.integers(1, 2))}
    optional = {
        "model": st.sampled_from([each for each in MODELS if each]),
        "fallback": st.lists(st.sampled_from([each for each in MODELS if each]), min_size=1, max_size=2),
        "max_tokens": st.integers(1, 60),
        "system": texts(names),
        "tools": st.sampled_from([[NOTE], [NOTE, {**NOTE, "name": "other", "fail_fast": True}]]),
        "max_rounds": st.integers(1, 3),
    }
    return found | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def layers(draw: Any, names: list[str], depth: int = 0) -> dict[str, Any]:
    """A layer of any kind but those that reach outside."""
    kinds = ["prompt", "text", "extract", "merge", "assert", "pipeline", *(["map", "loop"] if depth < 2 else [])]
    kind = draw(st.sampled_from(kinds))
    one = f"{{{{{draw(st.sampled_from(names))}}}}}"
    made: dict[str, Any] = {
        "prompt": lambda: draw(prompts(names)),
        "text": lambda: draw(operations(names)),
        "extract": lambda: {"value": one, "expression": draw(st.sampled_from(EXPRESSIONS))},
        "merge": lambda: {"values": [one, f"{{{{{draw(st.sampled_from(names))}}}}}"]},
        "assert": lambda: {"value": one, "condition": draw(st.sampled_from(CONDITIONS)), "on_failure": "warn"},
        "pipeline": lambda: {"handle": "inner", "inputs": {"topic": draw(texts(names)), "many": one}},
        "map": lambda: {
            "items": one,
            "max_items": draw(st.integers(1, 5)),
            "layers": draw(chains([*names, "item", "previous"], depth + 1)),
            "on_error": draw(st.sampled_from(["fail", "null", "drop"])),
        },
        "loop": lambda: {
            "until": "round > `1`",
            "max_rounds": draw(st.integers(1, 4)),
            "layers": draw(chains([*names, "previous"], depth + 1)),
            "if_exhausted": "keep",
        },
    }[kind]()
    when = draw(st.none() | st.sampled_from([*CONDITIONS, *names]))
    return {"kind": kind, **made} | ({"when": when} if when else {})


@st.composite
def operations(draw: Any, names: list[str]) -> dict[str, Any]:
    """Settings of a `text` layer."""
    operation = draw(st.sampled_from(["format", "join", "split", "replace", "case"]))
    rest = {"find": draw(st.sampled_from([" ", "o"])), "case": draw(st.sampled_from(["upper", "title"]))}
    return {"operation": operation, "value": draw(texts(names)), "replacement": draw(texts(names)), **rest}


@st.composite
def chains(draw: Any, names: list[str], depth: int = 0) -> list[dict[str, Any]]:
    """Layers, each of which may use what the one before gives."""
    found = [draw(layers(names, depth))]
    return found + draw(st.lists(layers([*names, "previous"], depth), max_size=2))


@st.composite
def definitions(draw: Any) -> dict[str, Any]:
    """A definition with the inputs `text`, `items` and `count`."""
    names, properties = ["text", "items", "count"], []
    for number in range(draw(st.integers(1, 3))):
        found: dict[str, Any] = {"name": f"p{number}", "layers": draw(chains(list(names)))}
        optional = {
            "when": st.sampled_from(CONDITIONS),
            "on_error": st.sampled_from([None, "omit", {"default": ["x"]}]),
        }
        properties.append(found | draw(st.fixed_dictionaries({}, optional=optional)))
        names.append(f"p{number}")
    declared = [{"name": "text"}, {"name": "items", "type": "array"}, {"name": "count", "type": "integer"}]
    return {"inputs": declared, "properties": properties}


INPUTS = st.fixed_dictionaries(
    {},
    optional={
        "text": WORDS,
        "items": st.lists(st.sampled_from(["a", "two words", 3, None, {"a": "x"}]), max_size=6),
        "count": st.integers(-1, 5),
    },
)
