"""
Reports: a record of what a run found, and the page made from it.

A notebook ends with ``report.write(Record(...), out_dir)``. The record is data (``record.json``, one parquet file a
table, one PNG a figure), so that the page can be made again from it at any time: `render`. `index` lists all runs.
"""

from gridlab.report.page import index, render, write
from gridlab.report.record import Figure, Record, figure, load
from gridlab.report.words import counted, percent

__all__ = ["Figure", "Record", "counted", "figure", "index", "load", "percent", "render", "write"]
