"""A site's settings from a YAML file: the fields of `Config`, nested as its records are, unknown names refused."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gridlab.errors import DataError
from gridlab.live.config import Config


def read_config(path: str | Path) -> Config:
    """
    A site's configuration from a file.

    Parameters
    ----------
    path : path
        A YAML file: the fields of `Config`, such as ``cap_power: 1000000``; records such as `battery` as mappings.

    Returns
    -------
    Config

    Raises
    ------
    DataError
        If the file cannot be read, a name is not a field, or a value is of the wrong type or outside its range.
    """
    try:
        values = yaml.load(Path(path).read_text(encoding="utf-8"), _Strict)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}): give a YAML file of settings") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"{path} is not YAML ({' '.join(str(error).split())}): correct it") from error
    return config_of({} if values is None else values, where=str(path))


class _Strict(yaml.SafeLoader):
    """Reads YAML as the safe loader does, and takes a name that is there twice for a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twice = next((key for key, _ in node.value if names.count(key.value) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice.value!r} is there twice", twice.start_mark)
        return super().construct_mapping(node, deep)


def config_of(values: Mapping[str, Any], *, where: str = "the settings") -> Config:
    """
    A site's configuration from nested mappings.

    Examples
    --------
    >>> config_of({"cap_power": 500000, "battery": {"power_mw": 0.1, "energy_mwh": 0.2}}).battery.energy_mwh
    0.2
    >>> config_of({"cap_powr": 5})
    Traceback (most recent call last):
    gridlab.errors.DataError: the settings have no field 'cap_powr', did you mean 'cap_power'?
    """
    made: Config = _record(Config, values, where)
    return made


def as_mapping(config: Config) -> dict[str, Any]:
    """
    A configuration as nested mappings, what `config_of` takes.

    Examples
    --------
    >>> config_of(as_mapping(Config(risk=0.25))) == Config(risk=0.25)
    True
    """
    return _plain(config)  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _record(kind: type, values: Any, where: str) -> Any:
    """A frozen record from a mapping, its fields made as their types say."""
    if not isinstance(values, Mapping):
        raise DataError(f"{where} must be a mapping of {kind.__name__}'s fields, got {values!r}")
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    for name in values:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            hint = f", did you mean {near[0]!r}?" if near else f": the fields are {', '.join(names)}"
            raise DataError(f"{where} have no field {name!r}{hint}")
    hints = typing.get_type_hints(kind)
    made = {name: _value(hints[name], value, f"{name} of {where}") for name, value in values.items()}
    try:
        return kind(**made)
    except TypeError as error:
        raise DataError(f"{where} lack a field of {kind.__name__} ({error}): add it") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and types.NoneType in kinds:
        return None
    kind = next(one for one in kinds if one is not types.NoneType)
    origin = typing.get_origin(kind) or kind
    if dataclasses.is_dataclass(kind):
        return _record(typing.cast(type, kind), value, where)
    if origin is tuple:
        return _items(kind, value, where)
    if origin is Mapping:
        of = typing.get_args(kind)[1]
        if not isinstance(value, Mapping):
            raise DataError(f"{where} must be a mapping, got {value!r}")
        return {str(name): _value(of, one, f"{name} of {where}") for name, one in value.items()}
    return _scalar(kind, value, where)


def _items(kind: Any, value: Any, where: str) -> tuple[Any, ...]:
    of = typing.get_args(kind)
    if not isinstance(value, list | tuple) or (Ellipsis not in of and len(value) != len(of)):
        raise DataError(f"{where} must be a list of {'some' if Ellipsis in of else len(of)} values, got {value!r}")
    kinds = [of[0]] * len(value) if Ellipsis in of else list(of)
    return tuple(_value(one, item, where) for one, item in zip(kinds, value, strict=True))


def _scalar(kind: Any, value: Any, where: str) -> Any:
    """A number, a word or a flag; a whole number may stand for a float, a word only for a word."""
    if kind is float and isinstance(value, str) and value.strip().lower() in ("inf", ".inf"):
        return float("inf")
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise DataError(f"{where} must be {'a number' if kind is float else f'of type {kind.__name__}'}, got {value!r}")
    return float(value) if kind is float else value
