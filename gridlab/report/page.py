"""The pages made from records: one report for each run, and one list of all runs."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gridlab.files import make_folder, project_path, replacing
from gridlab.report import words
from gridlab.report.record import Record, load, save

_MOST_ROWS = 40  # of a table on the page; all are in its file
_VERDICT = ("Asked", "Answer", "Against the benchmark", "Main risk", "Data")
_SHOWN_APART = {"parameters", "packages", "cells", "report", "study"}


def write(record: Record, out_dir: str | Path) -> Path:
    """
    Write a record, its figures and tables, and the page made from them; an earlier record there is replaced.

    Parameters
    ----------
    record : Record
        What the run found.
    out_dir : str or Path
        The run's folder, taken from the project's root when relative. It gets ``record.json``, ``report.html``,
        ``figures/*.png``, ``tables/*.parquet`` and ``ledger/*.parquet``, each whole or not at all.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    DataError
        If the folder cannot be written.

    Examples
    --------
    >>> write(record, "reports/scratch").name  # doctest: +SKIP
    'report.html'
    """
    folder = make_folder(project_path(out_dir))
    save(record, folder)
    return render(folder, manifest={})


def render(folder: str | Path, manifest: Mapping[str, Any] | None = None) -> Path:
    """
    Make ``report.html`` from a run's record and figures: one file that needs no other and no network.

    Parameters
    ----------
    folder : str or Path
        The run's folder, taken from the project's root when relative.
    manifest : mapping, optional
        Where, when and with what it ran, for the section "This run"; ``manifest.json`` beside the record when omitted.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    DataError
        If there is no record, or the folder cannot be written.
    """
    folder = project_path(folder)
    record = load(folder)
    manifest = _manifest_of(folder) if manifest is None else manifest
    tables = {table["title"]: _shown_table(table) for table in record["tables"]}
    page = _template("page.html").render(
        record=record,
        simulated=record["simulated"],
        metrics=[_metric(name, value) for name, value in record["metrics"].items()],
        verdict=list(zip(_VERDICT, record["verdict"], strict=True)),
        headline=tables.pop(record["headline"]),
        figures=[{**item, "uri": _data_uri(folder / item["file"])} for item in record["figures"]],
        tables=list(tables.values()),
        run=_this_run(manifest),
        parameters=_pairs(manifest.get("parameters") or record["parameters"]),
        packages=_pairs(manifest.get("packages") or {}),
        cells=[
            (cell["name"], words.duration(cell["duration_s"]))
            for cell in manifest.get("cells") or []
            if cell["duration_s"]
        ],
        started=words.moment(manifest["started"]) if manifest.get("started") else "",
    )
    return _write_page(folder / "report.html", page)


def index(reports_dir: str | Path) -> Path:
    """
    Write ``index.html``, the list of the runs in a folder of reports; failed runs, which have no record, are there too.

    Parameters
    ----------
    reports_dir : str or Path
        The folder that holds ``<study>/<run>/manifest.json``, taken from the project's root when relative.

    Returns
    -------
    Path
        The page: a table a study, newest run first, with the parameters in which its runs differ.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    folder = make_folder(project_path(reports_dir))
    found = sorted(path.parent for path in folder.glob("*/*/manifest.json") if not path.parent.name.startswith("."))
    studies: dict[str, list[Path]] = {}
    for run in found:
        studies.setdefault(run.parent.name, []).append(run)
    listed = [_study(name, runs, folder) for name, runs in studies.items()]
    return _write_page(folder / "index.html", _template("index.html").render(studies=listed, n_runs=len(found)))


def _template(name: str) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(name)


def _write_page(path: Path, page: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _manifest_of(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _shown_table(table: Mapping[str, Any]) -> dict[str, Any]:
    """A record's table as text: labels with units, cells by row, and which columns are numbers."""
    names = [table["index_name"], *table["columns"]]
    every = [[name, *row] for name, row in zip(table["index"], table["rows"], strict=True)]
    columns = [list(values) for values in zip(*every, strict=True)] or [[] for _ in names]
    cells = [[words.NONE if v is None else str(v) for v in columns[0]], *map(words.column, columns[1:])]
    return {
        "title": table["title"],
        "file": table["file"],
        "labels": [words.label(name) for name in names],
        "numeric": [_is_numeric(values) for values in columns],
        "rows": list(zip(*cells, strict=True))[:_MOST_ROWS],
        "left_out": max(0, len(every) - _MOST_ROWS),
    }


def _is_numeric(values: Sequence[Any]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(words.is_number(value) for value in present)


def _metric(name: str, value: Any) -> dict[str, str]:
    shown = words.label(name)
    return {"name": shown.name, "unit": shown.unit, "value": words.text(value)}


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values as text, nested values as JSON."""
    return [
        (str(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
        for name, value in values.items()
    ]


def _this_run(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a manifest says of the run, in words; what it does not know is left out."""
    told = {name: value for name, value in manifest.items() if name not in _SHOWN_APART and value not in (None, "")}
    if told.pop("git_dirty", False) and "git_commit" in told:
        told["git_commit"] += ", with changes that were not committed"
    if "started" in told:
        told["started"] = words.moment(told["started"])
    if "duration_s" in told:
        told["duration"] = words.duration(told.pop("duration_s"))
    if isinstance(told.get("data"), dict):
        told["data"] = "; ".join(f"{item['file']} (SHA-256 {item['sha256']})" for item in told["data"].values())
    return [(name.replace("_", " ").capitalize(), value) for name, value in _pairs(told) if value]


def _study(name: str, runs: Sequence[Path], root: Path) -> dict[str, Any]:
    """One study of the list: its columns, and a row a run, newest first."""
    told = [_told(run / "manifest.json") for run in runs]
    metrics = [_told(run / "record.json").get("metrics", {}) if (run / "record.json").is_file() else {} for run in runs]
    differing = _differing([one.get("parameters", {}) for one in told])
    measured = list(dict.fromkeys(metric for one in metrics for metric in one))
    rows = [
        {"cells": _row(one, measures, differing, measured), "links": _links(run, root), "name": run.name}
        for run, one, measures in sorted(zip(runs, told, metrics, strict=True), key=_when, reverse=True)
    ]
    labels = [words.Label(text, "") for text in ("started", "case", "status", "duration", *differing)]
    columns = zip(*(row["cells"] for row in rows), strict=True)
    numeric = [_is_numeric([cell["key"] for cell in column]) for column in columns]
    return {"name": name, "labels": [*labels, *map(words.label, measured)], "numeric": numeric, "rows": rows}


def _row(
    told: Mapping[str, Any], metrics: Mapping[str, Any], differing: Sequence[str], measured: Sequence[str]
) -> list[dict[str, Any]]:
    """The cells of one run: what is shown, and the key to sort by."""
    started, took, parameters = told.get("started", ""), told.get("duration_s"), told.get("parameters", {})
    shown = [
        {"text": words.moment(started) if started else words.NONE, "key": started},
        {"text": told.get("case") or words.NONE, "key": told.get("case") or ""},
        {"text": told.get("status", words.NONE), "key": told.get("status", ""), "why": told.get("error") or ""},
        {"text": words.NONE if took is None else words.duration(took), "key": took},
    ]
    values = [*(parameters.get(name) for name in differing), *(metrics.get(name) for name in measured)]
    return [{"why": "", **cell} for cell in [*shown, *({"text": _text(value), "key": value} for value in values)]]


def _text(value: Any) -> str:
    """A parameter or a metric as text: lists as JSON."""
    return words.text(json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value)


def _when(run: tuple[Path, Mapping[str, Any], Any]) -> tuple[str, str]:
    return str(run[1].get("started", "")), run[0].name


def _differing(parameters: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the parameters that are not the same in all runs."""
    names = dict.fromkeys(name for one in parameters for name in one)
    return [name for name in names if len({json.dumps(one.get(name), sort_keys=True) for one in parameters}) > 1]


def _links(run: Path, root: Path) -> list[tuple[str, str]]:
    """What there is to open of a run: words and relative address."""
    files = (("report", "report.html"), ("notebook", "notebook.ipynb"), ("log", "run.log"))
    return [(what, quote((run / file).relative_to(root).as_posix())) for what, file in files if (run / file).is_file()]


def _told(path: Path) -> dict[str, Any]:
    """The content of a run's file; one that cannot be read is listed as such, so that it hides no other run."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return {"status": "unreadable", "error": f"{path.name} is not JSON"}
