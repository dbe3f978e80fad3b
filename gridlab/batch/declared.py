"""
Notebooks and the parameters that they declare.

The parameters are read here from the source of the tagged cell, because papermill misreads a type such as
``float | None`` and a ``#`` inside a string, and only warns about a name that no cell declares.
"""

import ast
import difflib
import io
import json
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridlab.batch.plain_yaml import read_yaml
from gridlab.errors import DataError
from gridlab.files import project_path

TAG = "parameters"
FORM = "`name: type = default  # help`"
OUT_DIR = "out_dir"
_PLAIN: Mapping[str, type] = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook, as its tagged cell declares it: the type is the annotation's text."""

    name: str
    type: str
    default: Any
    help: str


@dataclass(frozen=True)
class Notebook:
    """A notebook, the question that its first heading asks, and its parameters, or the problem that they have."""

    name: str
    path: Path
    question: str
    parameters: tuple[Parameter, ...]
    problem: str | None = None


def notebooks(folder: str | Path | None = None) -> list[Notebook]:
    """
    The notebooks of a folder, in order of name.

    Parameters
    ----------
    folder : str or Path, optional
        Where they lie; the project's ``notebooks`` when omitted.

    Returns
    -------
    list of Notebook
        One for each ``*.ipynb``. One that cannot be run has no parameters and says in `problem` why.

    Raises
    ------
    DataError
        If there is no such folder.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as empty:
    ...     notebooks(empty)
    []
    """
    folder = project_path("notebooks") if folder is None else Path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: name one that holds notebooks, or call from the checkout")
    return [_describe(path) for path in sorted(folder.glob("*.ipynb"))]


def find(notebook: str | Path) -> Path:
    """
    The file of a notebook, given as a path or as the bare name of one in the project's ``notebooks``.

    Raises
    ------
    DataError
        If there is none; the message lists the notebooks that there are.
    """
    is_path = Path(notebook).suffix == ".ipynb" or len(Path(notebook).parts) > 1
    tries = [Path(notebook), project_path(notebook)] if is_path else [project_path("notebooks") / f"{notebook}.ipynb"]
    found = next((path.absolute() for path in tries if path.is_file()), None)
    if found is None:
        names = sorted(path.stem for path in project_path("notebooks").glob("*.ipynb"))
        if not names:
            here = f"there are no notebooks in {project_path('notebooks')}"
            raise DataError(
                f"there is no notebook {str(notebook)!r}, for {here}: call from the checkout, or name a file"
            )
        raise DataError(f"there is no notebook {str(notebook)!r}{_hint(str(notebook), names, 'notebooks')}")
    return found


def parameters(notebook: str | Path) -> list[Parameter]:
    """
    The parameters that a notebook declares, in its order.

    Parameters
    ----------
    notebook : str or Path
        A path, or the bare name of a notebook in the project's ``notebooks``.

    Returns
    -------
    list of Parameter

    Raises
    ------
    DataError
        If the notebook is missing or malformed, has not one cell tagged ``parameters``, or the cell holds anything but
        ``name: type = default  # help`` with a type made of str, int, float, bool, list, dict and None.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "days: int = 14  # days scored"}
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "study.ipynb"
    ...     _ = path.write_text(json.dumps({"cells": [cell]}))
    ...     parameters(path)
    [Parameter(name='days', type='int', default=14, help='days scored')]
    """
    path = find(notebook)
    tagged = [text(cell) for cell in cells(path) if TAG in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise DataError(
            f"{path.name} has {len(tagged) or 'no'} cells tagged '{TAG}': tag the one that holds {FORM} lines"
        )
    return _declared(tagged[0], path.name)


def resolve(notebook: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Every parameter's value for a run: those given, checked, and the defaults of the others.

    A parameter whose name ends in ``_path`` becomes absolute: a value given is taken from the current folder, a default
    from the project's. ``out_dir`` is left out, for the run sets it.

    Raises
    ------
    DataError
        If a name is not declared, a value is not JSON or not of the declared type, a file is not there, or the notebook
        does not declare ``out_dir``.
    """
    path = find(notebook)
    declared = {parameter.name: parameter for parameter in parameters(path)}
    if OUT_DIR not in declared:
        raise DataError(f"{path.name} declares no parameter {OUT_DIR}: add `{OUT_DIR}: str = ...` for its record")
    if OUT_DIR in given:
        raise DataError(f"{OUT_DIR} is set by the run itself: name the output folder in the call, or with --out")
    for name in given:
        if name not in declared:
            raise DataError(f"{path.name} declares no parameter {name!r}{_hint(name, declared, 'parameters')}")
    del declared[OUT_DIR]
    return {name: _value(parameter, given, path.name) for name, parameter in declared.items()}


def parse(text: str, parameter: Parameter) -> Any:
    """
    A value typed at a prompt, read as the parameter's type says: text as it is, all else as a YAML scalar or list.

    Examples
    --------
    >>> parse("007", Parameter("site", "str", "", ""))
    '007'
    >>> parse("[7, NO]", Parameter("days", "list", [], ""))
    [7, 'NO']
    """
    kinds = _members(ast.parse(parameter.type, mode="eval").body)
    if "str" not in kinds:
        return read_yaml(text, f"parameter {parameter.name!r}")
    return None if "None" in kinds and text == "null" else text


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook file, read as the JSON that it is: nbformat takes a second to import."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a notebook of format 4 ({error}): save it again from Jupyter") from error
    return list(found)


def text(cell: Mapping[str, Any]) -> str:
    """The source of a cell, which a file may hold as a list of lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def cell_name(source: str) -> str:
    r"""
    What a cell is called: its first heading or comment, or else its first line.

    Examples
    --------
    >>> cell_name("# Fit the models\nmodel.fit(y)"), cell_name("x = 1")
    ('Fit the models', 'x = 1')
    """
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    titled = (line.lstrip("#% ") for line in lines if line.startswith("#"))
    return (next(titled, "") or next(iter(lines), ""))[:60]


def _describe(path: Path) -> Notebook:
    try:
        return Notebook(path.stem, path, _question(path), tuple(parameters(path.absolute())))
    except DataError as error:
        return Notebook(path.stem, path, "", (), str(error))


def _question(path: Path) -> str:
    lines = (line for cell in cells(path) if cell.get("cell_type") == "markdown" for line in text(cell).splitlines())
    return next((line.removeprefix("# ").strip() for line in lines if line.startswith("# ")), "")


def _hint(name: str, known: Iterable[str], what: str) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return (f", did you mean {near[0]!r}?" if near else ":") + f" the {what} are {', '.join(known) or 'none'}"


def _declared(source: str, notebook: str) -> list[Parameter]:
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise DataError(
            f"{notebook}: the parameters cell is not Python in line {error.lineno} ({error.msg})"
        ) from error
    comments = {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return [_parameter(node, comments.get(node.end_lineno or 0, ""), notebook) for node in statements]


def _parameter(node: ast.stmt, comment: str, notebook: str) -> Parameter:
    if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None):
        raise DataError(f"{notebook}: line {node.lineno} of the parameters cell is not of the form {FORM}: rewrite it")
    parameter = Parameter(node.target.id, ast.unparse(node.annotation), _literal(node.value), comment)
    if not _is_type(node.annotation):
        known = "str, int, float, bool, list, dict, None, list[...], dict[str, ...] and unions of them"
        raise DataError(f"{notebook}: parameter {parameter.name!r} has the type {parameter.type}: use {known}")
    return Parameter(parameter.name, parameter.type, _checked(parameter, parameter.default, notebook), comment)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return node  # not a value, and so refused with its name by _checked


def _is_type(kind: ast.expr) -> bool:
    match kind:
        case ast.Name(id=name):
            return name == "float" or name in _PLAIN
        case ast.Constant(value=None):
            return True
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is_type(left) and _is_type(right)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return _is_type(item)
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), item])):
            return _is_type(item)
    return False


def _members(kind: ast.expr) -> list[str]:
    """The types of a union."""
    if isinstance(kind, ast.BinOp):
        return _members(kind.left) + _members(kind.right)
    return [ast.unparse(kind)]


def _value(parameter: Parameter, given: Mapping[str, Any], notebook: str) -> Any:
    is_given = parameter.name in given
    value = _checked(parameter, given[parameter.name], notebook) if is_given else parameter.default
    if not parameter.name.endswith("_path") or not value:
        return value
    file = (Path.cwd() if is_given else project_path(".")) / Path(value).expanduser()
    if not file.is_file():
        raise DataError(f"parameter {parameter.name!r} names no file {file}: correct the path")
    return str(file.resolve())


def _checked(parameter: Parameter, value: Any, notebook: str) -> Any:
    """The value as the declared type has it, or a refusal."""
    wanted = f"{notebook}: parameter {parameter.name!r} must be {parameter.type}"
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise DataError(f"{wanted}, got {_shown(value)}, which JSON cannot hold: give a plain value") from error
    if plain != value:
        raise DataError(f"{wanted}, got {_shown(value)}, which JSON changes: use lists and names as keys")
    try:
        return _cast(plain, ast.parse(parameter.type, mode="eval").body)
    except (TypeError, OverflowError) as error:
        raise DataError(f"{wanted}, got {_shown(value)}: correct the value") from error


def _shown(value: Any) -> str:
    if isinstance(value, ast.expr):
        return f"the expression {ast.unparse(value)}"
    return f"{str(value)!r:.60} ({type(value).__name__})"


def _cast(value: Any, kind: ast.expr) -> Any:
    """A JSON value as its type has it, an int made a float where one is declared; TypeError where it does not fit."""
    match kind:
        case ast.BinOp(left=left, right=right):
            try:
                return _cast(value, left)
            except TypeError:
                return _cast(value, right)
        case ast.Constant() if value is None:
            return None
        case ast.Name(id="float") if type(value) in (int, float):
            return float(value)
        case ast.Name(id=name) if type(value) is _PLAIN.get(name):
            return value
        case ast.Subscript(value=ast.Name(id="list"), slice=item) if isinstance(value, list):
            return [_cast(one, item) for one in value]
        case ast.Subscript(slice=ast.Tuple(elts=[_, item])) if isinstance(value, dict):
            return {name: _cast(one, item) for name, one in value.items()}
    raise TypeError
