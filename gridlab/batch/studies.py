"""Studies: params files in YAML, read strictly, each naming a notebook, its parameters and a grid of them."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridlab.batch import declared
from gridlab.batch.plain_yaml import read_yaml
from gridlab.errors import DataError

TIMEOUT_S = 3600.0
_KEYS = ("notebook", "params", "grid", "timeout_s")


@dataclass(frozen=True)
class Study:
    """
    A notebook, the parameters that all its runs share, and the values that the grid gives to others.

    Parameters
    ----------
    name : str
        The study's folder below the output folder.
    notebook : Path
        The notebook's file.
    params : mapping
        Values that every run shares.
    grid : mapping
        Lists of values by parameter; there is a run for each member of their product.
    timeout_s : float
        Wall-clock limit of one run. [s]

    Examples
    --------
    >>> study = Study("sizes", Path("backtest.ipynb"), {"seed": 7}, {"power_mw": [1.0, 2.0], "days": [14]})
    >>> study.points
    [{'power_mw': 1.0, 'days': 14}, {'power_mw': 2.0, 'days': 14}]
    """

    name: str
    notebook: Path
    params: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, list[Any]] = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S

    @property
    def points(self) -> list[dict[str, Any]]:
        """The product of the grid: one point when it is empty."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]


def load_study(path: str | Path, notebook: str | Path | None = None) -> Study:
    """
    Read a params file and check it against its notebook.

    Parameters
    ----------
    path : str or Path
        A YAML file with the keys `params` (a mapping), and optionally `notebook` (a path or a name), `grid` (lists of
        values by parameter) and `timeout_s`.
    notebook : str or Path, optional
        The notebook, for a file that names none.

    Returns
    -------
    Study
        Named after the file.

    Raises
    ------
    DataError
        If the file is missing or malformed (the message has the line), has other keys, or names another notebook; or
        its parameters are not those of the notebook in name and type.

    Examples
    --------
    >>> load_study("params/none.yaml")
    Traceback (most recent call last):
    gridlab.errors.DataError: there is no params file params/none.yaml: correct the path
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no params file {path}: correct the path")
    try:
        content = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text ({error.reason}): give a YAML file") from error
    _check_shape(content, path)
    study = Study(
        path.stem,
        _notebook(content.get("notebook"), notebook, path),
        content.get("params") or {},
        content.get("grid") or {},
        float(content.get("timeout_s", TIMEOUT_S)),
    )
    check(study)
    return study


def check(study: Study) -> None:
    """
    Hold a study against its notebook.

    Raises
    ------
    DataError
        If a parameter is not declared, has a value of another type, stands in both `params` and `grid`, or has no
        values or one twice in the grid; or the time limit is not positive.
    """
    if not study.timeout_s > 0:
        raise DataError(f"{study.name}: timeout_s must be above 0 s, got {study.timeout_s}")
    for name, values in study.grid.items():
        if not isinstance(values, list) or not values:
            raise DataError(f"{study.name}: the grid's {name!r} must be a list of values, got {values!r}")
        if name in study.params:
            raise DataError(f"{study.name}: {name!r} is in both params and grid: keep one")
        twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
        if twice is not None:
            raise DataError(f"{study.name}: the grid's {name!r} has {twice!r} twice: keep one")
    for point in study.points:
        declared.resolve(study.notebook, {**study.params, **point})


def _check_shape(content: Any, path: Path) -> None:
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold the keys {', '.join(_KEYS)}, got {type(content).__name__}")
    unknown = [str(key) for key in content if key not in _KEYS]
    if unknown:
        raise DataError(f"{path} has the key {unknown[0]!r}: the keys are {', '.join(_KEYS)}")
    for key in ("params", "grid"):
        if not isinstance(content.get(key) or {}, dict):
            raise DataError(f"{path}: {key} must map names to values, got {content[key]!r}")
    if not isinstance(content.get("notebook", ""), str):
        raise DataError(f"{path}: notebook must be a name or a path, got {content['notebook']!r}")
    if not isinstance(content.get("timeout_s", TIMEOUT_S), int | float):
        raise DataError(f"{path}: timeout_s must be a number of seconds, got {content['timeout_s']!r}")


def _notebook(named: str | None, asked: str | Path | None, path: Path) -> Path:
    if named is None and asked is None:
        raise DataError(f"{path} names no notebook: add `notebook: <name>`")
    found = declared.find(asked if named is None else named)  # type: ignore[arg-type]
    if asked is not None and declared.find(asked) != found:
        raise DataError(f"{path} is for the notebook {found.stem}, not for {Path(asked).stem}: give it to that one")
    return found
