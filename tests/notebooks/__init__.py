"""Tiny notebooks and the project that holds them, for the tests of what runs notebooks."""

import json
from pathlib import Path

PARAMETERS = """
days: int = 3  # days to sum
share: float | None = None  # a share # of it
label: str = "a # b"  # what it is called
models: list[str] = ["naive", "lear"]
prices_path: str = ""  # price file
out_dir: str = "reports/scratch"  # where the record goes
"""
REPORTED = """
# Write the record
import pandas as pd
from gridlab import report

table = pd.DataFrame({"profit [$]": [0.0, 1234.5 * days]}, index=pd.Index(["idle", label], name="policy"))
report.write(
    report.Record(
        study="good", question="What did it earn?", verdict=["We asked.", "It earned.", "More.", "Little.", "2024."],
        figures=[], tables={"Profit by policy": table}, headline="Profit by policy", method=["Summed."],
        limits=["Tiny."], metrics={"profit [$]": 1234.5 * days}, simulated=True,
    ),
    out_dir,
)
"""
SLEEPS = """
# Sleep
import os
import pathlib
import time
pathlib.Path(label).write_text(str(os.getpid()))
time.sleep(600)
"""
DIES_ONCE = """
import os
import pathlib
flag = pathlib.Path(label)
if not flag.exists():
    flag.touch()
    os._exit(1)
"""
WRITES_JSON = """
import json
import pathlib
if days == 13:
    raise ValueError(f"no model for {days} days:\\n  choose fewer")
pathlib.Path(out_dir, "result.json").write_text(json.dumps([days, share, label, models]))
"""
KILLS_PARENT = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"
KILLS_DASK = """
# Kill the Dask worker that started the process of this notebook
import os
import pathlib
import signal
if days == 13:
    worker = int(pathlib.Path(f"/proc/{os.getppid()}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(worker, signal.SIGKILL)
"""


def write_notebook(path: Path, *sources: str, parameters: str = PARAMETERS, title: str = "# What is it?") -> Path:
    """A notebook whose cells are the title, the tagged parameters, and the sources."""
    cells = [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"Words.\n{title}"},
        {**_code("parameters", parameters.strip()), "metadata": {"tags": ["parameters"]}},
        *(_code(f"cell{number}", source.strip()) for number, source in enumerate(sources)),
    ]
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def make_project(folder: Path) -> Path:
    """A checkout with the notebooks above."""
    (folder / "notebooks").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    for name, source in {
        "good": REPORTED,
        "quick": WRITES_JSON,
        "sleeps": SLEEPS,
        "dies_once": DIES_ONCE,
        "kills_parent": KILLS_PARENT,
        "kills_dask": KILLS_DASK,
    }.items():
        write_notebook(folder / "notebooks" / f"{name}.ipynb", source, title=f"# Is it {name}?")
    return folder


def _code(name: str, source: str) -> dict[str, object]:
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }
