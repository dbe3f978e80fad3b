"""What a run is known by: fingerprints of its code, data and parameters, and where and with what it ran."""

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import gridlab
from gridlab.batch.declared import cell_name, cells, text

ERROR_TAG = "papermill-error-cell-tag"  # papermill's tag of the cells that say where a run failed


def data_fingerprints(params: Sequence[Mapping[str, Any]]) -> list[dict[str, dict[str, str]]]:
    """Name and SHA-256 of the files that the ``*_path`` parameters of each case name; each file is read once."""
    named = [{name: Path(path) for name, path in one.items() if name.endswith("_path") and path} for one in params]
    found = {path: _file_sha256(path) for files in named for path in files.values()}
    return [{name: {"file": path.name, "sha256": found[path]} for name, path in files.items()} for files in named]


def code_fingerprint(notebook: Path) -> str:
    """SHA-256 of gridlab's own sources and the notebook's cells, whatever their outputs are."""
    digest = hashlib.sha256()
    package = Path(gridlab.__file__).parent
    for path in sorted(path for suffix in ("py", "html") for path in package.rglob(f"*.{suffix}")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    sources = [[cell.get("cell_type"), cell.get("metadata", {}).get("tags"), text(cell)] for cell in cells(notebook)]
    digest.update(json.dumps(sources).encode())
    return digest.hexdigest()


def run_hash(params: Mapping[str, Any], data: Mapping[str, Mapping[str, str]], code: str) -> str:
    """
    One hash of all that decides a run's result; a data file counts by its name and content, not by its folder.

    Examples
    --------
    >>> same = [run_hash({"a_path": f"/{folder}/a.csv"}, {"a_path": {"file": "a.csv", "sha256": "00"}}, "11")
    ...         for folder in ("home", "data")]
    >>> same[0] == same[1]
    True
    """
    plain = {name: value for name, value in params.items() if name not in data}
    return hashlib.sha256(json.dumps([plain, data, code], sort_keys=True).encode()).hexdigest()


def environment(notebook: Path) -> dict[str, Any]:
    """Python, the versions of gridlab's requirements, and the state of the notebook's git checkout."""
    return {
        "python": platform.python_version(),
        "packages": _versions(),
        **_git(notebook.parent),
    }


def cell_durations(notebook: Path) -> list[dict[str, Any]]:
    """What papermill stored of each code cell that it began, numbered as the progress bar does."""
    run = [cell for cell in cells(notebook) if ERROR_TAG not in cell.get("metadata", {}).get("tags", [])]
    stored = [(number, cell, cell["metadata"].get("papermill") or {}) for number, cell in enumerate(run, start=1)]
    return [
        {"number": number, "name": cell_name(text(cell)), "duration_s": told["duration"], "status": told["status"]}
        for number, cell, told in stored
        if cell.get("cell_type") == "code" and told.get("start_time")
    ]


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> dict[str, str]:
    required = [line for line in metadata.requires("gridlab") or [] if "extra ==" not in line]
    names = sorted(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required)
    return {"gridlab": gridlab.__version__, **{name: metadata.version(name) for name in names}}


def _git(folder: Path) -> dict[str, Any]:
    """The commit, and whether the tree differs from it; both None outside git."""
    commit, status = _ask_git(folder, "rev-parse", "HEAD"), _ask_git(folder, "status", "--porcelain")
    return {"git_commit": commit, "git_dirty": None if commit is None else bool(status)}


def _ask_git(folder: Path, *question: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *question]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # git is not installed
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
