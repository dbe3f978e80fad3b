"""The runs of a study, checked and complete before the first begins, and what each is known by."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gridlab.batch import manifest
from gridlab.batch.declared import resolve
from gridlab.batch.studies import Study, check
from gridlab.files import make_folder, project_path


@dataclass(frozen=True)
class Case:
    """
    A run to be: plain values alone, so that it travels to another process.

    Parameters
    ----------
    study, name : str
        The study's folder, and the case's name in it.
    notebook : Path
        The notebook.
    params : dict
        Every parameter's value.
    out_dir, cwd : Path
        The folder of all reports, and the one that the notebook runs in.
    timeout_s : float
        Wall-clock limit. [s]
    force : bool
        Whether to run even where the same run stands.
    facts : dict
        What the manifest says of the run before it begins: hash, fingerprints, versions.
    token : str
        The sweep that it belongs to.
    """

    study: str
    name: str
    notebook: Path
    params: dict[str, Any]
    out_dir: Path
    cwd: Path
    timeout_s: float
    force: bool
    facts: dict[str, Any]
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def hash(self) -> str:
        """Of the parameters, the data and the code."""
        return str(self.facts["hash"])

    @property
    def parent(self) -> Path:
        """The study's folder."""
        return self.out_dir / self.study


def prepare(study: Study, out_dir: str | Path, *, force: bool = False) -> list[Case]:
    """
    The cases of a study, in the grid's order.

    Raises
    ------
    DataError
        If one of them could not be run, or the output folder cannot be written.
    """
    check(study)
    root = project_path(".").absolute()
    code = manifest.code_fingerprint(study.notebook)
    shared = {"code_sha256": code, **manifest.environment(study.notebook)}
    folder = make_folder(project_path(out_dir)).absolute()
    plain = Case(study.name, "", study.notebook, {}, folder, root, study.timeout_s, force, shared)
    names = [_name(point or study.params) for point in study.points]
    params = [resolve(study.notebook, {**study.params, **point}) for point in study.points]
    data = manifest.data_fingerprints(params)
    return [_complete(replace(plain, name=n, params=p), d) for n, p, d in zip(names, params, data, strict=True)]


def _complete(case: Case, data: dict[str, dict[str, str]]) -> Case:
    found = manifest.run_hash(case.params, data, case.facts["code_sha256"])
    return replace(case, facts={"hash": found, "data": data, **case.facts})


def _name(values: Mapping[str, Any]) -> str:
    """``days=14,prices=PJM`` from the values that tell a case from others, in letters that a file name may have."""
    shown = (f"{name.removesuffix('_path')}={_shown(name, value)}" for name, value in values.items())
    name = ",".join(shown) or "defaults"
    return re.sub(r"[^A-Za-z0-9=,.+_-]", "_", name)[:60]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value))
    return Path(value).stem if name.endswith("_path") and value else str(value)
