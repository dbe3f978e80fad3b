"""YAML as people mean it: the scalars of version 1.2, no key twice, errors in one sentence."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from gridlab.errors import DataError


def read_yaml(source: str, where: str) -> Any:
    """
    Read YAML by the rules of its version 1.2: dates, ``NO`` and ``12:30`` stay text, ``1e3`` is a number.

    Raises
    ------
    DataError
        If it is malformed or has a key twice; the message has the line.

    Examples
    --------
    >>> read_yaml("{day: 2024-03-01, zone: NO, tolerance: 1e-3}", "example")
    {'day': '2024-03-01', 'zone': 'NO', 'tolerance': 0.001}
    """
    try:
        return yaml.load(source, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it holds characters that YAML does not allow"
        raise DataError(f"{where} is not YAML{line} ({problem}): correct it") from error


class _Loader(yaml.SafeLoader):
    """Plain YAML: the scalars of version 1.2's core schema, and no key twice."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way to replace version 1.1's

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping, refused where a key stands twice."""
        keys: set[str] = set()
        for key, _ in node.value:
            if key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"|~|null|Null|NULL", ["", "~", "n", "N"]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)
