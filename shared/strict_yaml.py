"""YAML that means what the same JSON would: no aliases, no tags, no dates, no key twice."""

import re
from typing import Any

import yaml

from shared import strict_json

#: YAML 1.2's core types: `no` and `12:30` are texts, whatever YAML 1.1 made of them. Each with its first characters.
_TYPES: tuple[tuple[str, str, list[str]], ...] = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("tag:yaml.org,2002:float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-+0123456789")),
)


class _Loader(yaml.SafeLoader):
    """A loader for JSON's types; a time stays the text that was written."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Refuse a key that is given twice."""
        seen: set[str] = set()
        for key in (self.construct_object(key, deep=True) for key, _ in node.value):
            # Keys that are no texts are refused as such.
            if isinstance(key, str):
                if key in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key} is given twice", node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _firsts in _TYPES:
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _firsts)


def loads(text: str, *, max_depth: int = strict_json.MAX_DEPTH) -> Any:
    """Read one YAML document; ValueError names what is wrong and where."""
    try:
        _check(text, max_depth)
        # Once through JSON: whatever is none (a key that is a number) is told by its own reader.
        found = _plain(yaml.load(text, Loader=_Loader))  # noqa: S506
        return strict_json.loads(strict_json.dumps(found), max_depth=max_depth)
    except yaml.MarkedYAMLError as error:
        place = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{error.problem}{place}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError("it cannot be read") from error


def _check(text: str, max_depth: int) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"aliases are not read, line {line}")  # noqa: TRY004
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"tags are not read, line {line}")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > max_depth:
                raise ValueError(f"nested deeper than {max_depth} levels, line {line}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _plain(found: Any) -> Any:
    if isinstance(found, dict):
        if wrong := [key for key in found if not isinstance(key, str)]:
            raise ValueError(f"the key {wrong[0]!r} is no text")
        return {key: _plain(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_plain(value) for value in found]
    return found
