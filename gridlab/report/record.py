"""What a run found, as data: the record, its figures, and their files."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.files import replacing
from gridlab.schema import validate

SCHEMA_VERSION = 1
_DPI = 200
_VERDICT = ("what was asked", "the answer", "the number against its benchmark", "the main risk", "the data window")


@dataclass(frozen=True)
class Figure:
    """A figure as it will be printed: PNG bytes, a sentence for a title, and words for who cannot see it."""

    title: str
    alt: str
    png: bytes = field(repr=False)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Jupyter shows the picture; nbval, which skips pictures, compares the words."""
        return {"image/png": self.png, "text/plain": self.alt}


@dataclass(frozen=True)
class Record:
    """
    What a run found.

    Parameters
    ----------
    study : str
        Name of the study, as in its folder.
    question : str
        The question; the page's heading.
    verdict : sequence of str
        Five sentences: what was asked, the answer, the number against its benchmark with a confidence interval, the
        main risk, the data window.
    figures : sequence of Figure
        In the order of the argument.
    tables : mapping of str to DataFrame
        By title. Units stand in the column names, "profit [$/MW-year]" or ``energy_mwh``.
    headline : str
        Title of the table that is shown right after the verdict.
    method, limits : sequence of str
        What was done, and where the result does not reach; a sentence or a paragraph each.
    metrics : mapping of str to float
        Few numbers for the list of runs, units in their names; the first is shown large.
    simulated : bool
        Whether the prices are simulated; the page says so in a banner.
    parameters : mapping, optional
        The run's parameters, where no manifest will give them.
    ledgers : mapping of str to DataFrame, optional
        An `entries` table a strategy, kept beside the page for the study of risk and not shown on it; the files say
        whether the prices were simulated.

    Raises
    ------
    DataError
        If the verdict has not five sentences, `headline` is no table's title, two titles coincide, a table has
        columns in levels, or a ledger is no `entries` table.

    Examples
    --------
    >>> table = pd.DataFrame({"profit [$]": [0.0, 9.5]}, index=pd.Index(["idle", "lear"], name="policy"))
    >>> record = Record(
    ...     study="demo", question="What did it earn?", figures=[], tables={"Profit": table}, headline="Profit",
    ...     verdict=["We asked.", "It earned.", "9.5 $ against 0.", "One day.", "2024."],
    ...     method=["Backtest."], limits=["One day only."], metrics={"profit [$]": 9.5}, simulated=True,
    ... )
    >>> record.headline
    'Profit'
    """

    study: str
    question: str
    verdict: Sequence[str]
    figures: Sequence[Figure]
    tables: Mapping[str, pd.DataFrame]
    headline: str
    method: Sequence[str]
    limits: Sequence[str]
    metrics: Mapping[str, float]
    simulated: bool
    parameters: Mapping[str, Any] = field(default_factory=dict)
    ledgers: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.verdict, str) or len(self.verdict) != len(_VERDICT):
            raise DataError(f"verdict must have five sentences ({', '.join(_VERDICT)}), got {self.verdict!r}")
        if empty := [what for what, sentence in zip(_VERDICT, self.verdict, strict=True) if not sentence.strip()]:
            raise DataError(f"verdict does not say {empty[0]}: write the sentence")
        if self.headline not in self.tables:
            raise DataError(f"headline must be the title of a table ({', '.join(self.tables)}), got '{self.headline}'")
        for title, table in self.tables.items():
            if table.columns.nlevels > 1:
                raise DataError(f"table '{title}' has columns in levels: give each column one name")
        _refuse_same_names("figures", [item.title for item in self.figures])
        _refuse_same_names("tables", list(self.tables))
        _refuse_same_names("ledgers", list(self.ledgers))
        for entries in self.ledgers.values():
            validate(entries, "entries")


def figure(drawing: Any, title: str, alt: str) -> Figure:
    """
    Turn axes into a figure of the report, and close them.

    Parameters
    ----------
    drawing : Axes, array of Axes or matplotlib Figure
        What a ``plot_*`` function returned.
    title : str
        A sentence that says what is to be seen.
    alt : str
        The same for who cannot see it: what is drawn, and its numbers.

    Returns
    -------
    Figure
        The picture as PNG at twice a screen's density.

    Raises
    ------
    DataError
        If `title` or `alt` is empty.

    Examples
    --------
    >>> from matplotlib.figure import Figure as Canvas
    >>> shown = figure(Canvas(figsize=(2, 1)).subplots(), "Nothing happened.", "Empty axes.")
    >>> shown.alt, shown.png[1:4]
    ('Empty axes.', b'PNG')
    """
    import matplotlib.pyplot as plt

    if not title.strip() or not alt.strip():
        raise DataError(f"a figure needs a sentence as title and alt text in words, got {title!r} and {alt!r}")
    canvas = _canvas(drawing)
    png = BytesIO()
    canvas.savefig(png, format="png", dpi=_DPI, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    plt.close(canvas)
    return Figure(title, alt, png.getvalue())


def save(record: Record, folder: Path) -> None:
    """Write figures, tables and ledgers, then the record that names them; those of an older record are removed."""
    content = _as_json(record)
    for item, described in zip(record.figures, content["figures"], strict=True):
        with replacing(folder / described["file"]) as path:
            path.write_bytes(item.png)
    for table, described in zip(record.tables.values(), content["tables"], strict=True):
        with replacing(folder / described["file"]) as path:
            table.rename(columns=str).to_parquet(path)
    for entries, described in zip(record.ledgers.values(), content["ledgers"], strict=True):
        with replacing(folder / described["file"]) as path:
            _with_facts(entries, record.simulated).to_parquet(path)
    with replacing(folder / "record.json") as path:
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    named = {folder / item["file"] for kind in ("figures", "tables", "ledgers") for item in content[kind]}
    for old in {
        path for kind in ("figures/*.png", "tables/*.parquet", "ledger/*.parquet") for path in folder.glob(kind)
    }:
        if old not in named:
            old.unlink()


def load(folder: str | Path) -> dict[str, Any]:
    """
    The content of a run's ``record.json``.

    Parameters
    ----------
    folder : str or Path
        The run's folder.

    Returns
    -------
    dict
        The record's fields; a table is ``{"title", "file", "columns", "index_name", "index", "rows"}``, a figure
        ``{"title", "alt", "file"}``.

    Raises
    ------
    DataError
        If there is no record, it is not JSON, or it has another schema version.
    """
    path = Path(folder) / "record.json"
    if not path.is_file():
        raise DataError(f"there is no record in {folder}: run the notebook to its last cell, which writes it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}): run the notebook again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(f"{path} has schema version {version}, this gridlab reads {SCHEMA_VERSION}: run it again")
    return dict(content)


def plain(value: Any) -> Any:
    """A value as JSON has it: NaN and NaT become None, infinities and all that JSON has no word for become text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray, pd.Index)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _time_as_text(value) if isinstance(value, pd.Timestamp) else str(value)


def _canvas(drawing: Any) -> Any:
    """The matplotlib figure of axes, of the first of several axes, or the figure itself."""
    if isinstance(drawing, (np.ndarray, list, tuple)):
        drawing = np.ravel(np.asarray(drawing, dtype=object))[0]
    return drawing if hasattr(drawing, "savefig") else drawing.figure


def _as_json(record: Record) -> dict[str, Any]:
    figures = [
        {"title": item.title, "alt": item.alt, "file": f"figures/{number:02d}-{_slug(item.title)}.png"}
        for number, item in enumerate(record.figures, start=1)
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "study": record.study,
        "question": record.question,
        "verdict": list(record.verdict),
        "figures": figures,
        "tables": [_table_as_json(title, table) for title, table in record.tables.items()],
        "ledgers": [{"title": name, "file": f"ledger/{_slug(name)}.parquet"} for name in record.ledgers],
        "headline": record.headline,
        "method": list(record.method),
        "limits": list(record.limits),
        "metrics": plain(record.metrics),
        "simulated": bool(record.simulated),
        "parameters": plain(record.parameters),
    }


def _with_facts(entries: pd.DataFrame, simulated: bool) -> pd.DataFrame:
    entries = entries.copy(deep=False)
    entries.attrs = {**entries.attrs, "simulated": bool(simulated)}
    return entries


def _table_as_json(title: str, table: pd.DataFrame) -> dict[str, Any]:
    """A table by rows; of an index in levels the first stays and the others become columns."""
    flat = table.reset_index(level=list(range(1, table.index.nlevels))) if table.index.nlevels > 1 else table
    columns = [flat[name].to_list() for name in flat.columns]
    return {
        "title": title,
        "file": f"tables/{_slug(title)}.parquet",
        "columns": [str(name) for name in flat.columns],
        "index_name": str(flat.index.name or ""),
        "index": plain(flat.index),
        "rows": [plain(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in flat.index],
    }


def _time_as_text(time: pd.Timestamp) -> str:
    """Midnight without a time zone is a date."""
    is_date = time.tz is None and time == time.normalize()
    return str(time.date()) if is_date else str(time.isoformat())


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:48].strip("-") or "untitled"


def _refuse_same_names(what: str, titles: Sequence[str]) -> None:
    slugs = [_slug(title) for title in titles]
    for title, slug in zip(titles, slugs, strict=True):
        if slugs.count(slug) > 1:
            raise DataError(f"two {what} would share the name '{slug}': change the title '{title}'")
