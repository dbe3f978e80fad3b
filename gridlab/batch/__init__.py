"""
Running notebooks: one papermill run in a process of its own, or a grid of them here or on Dask.

A notebook declares its parameters in one cell tagged ``parameters``, a params file gives them values, and each run
leaves a folder ``<out_dir>/<study>/<utc>-<case>-<hash8>`` with the notebook, its record, the report and a manifest.
"""

from gridlab.batch.bars import cell_bar, run_bar
from gridlab.batch.declared import Notebook, Parameter, notebooks, parameters, parse
from gridlab.batch.process import Cell
from gridlab.batch.runner import Run, run
from gridlab.batch.studies import Study, load_study
from gridlab.batch.sweeps import sweep

__all__ = [
    "Cell",
    "Notebook",
    "Parameter",
    "Run",
    "Study",
    "cell_bar",
    "load_study",
    "notebooks",
    "parameters",
    "parse",
    "run",
    "run_bar",
    "sweep",
]
