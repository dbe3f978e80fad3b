"""The table of all columns in Markdown, kept between two marks of a page: ``python -m gridlab.features <page>``."""

from pathlib import Path
from typing import get_args

from gridlab.errors import DataError
from gridlab.features.known import Category
from gridlab.features.table import describe, names

FIRST_MARK = "<!-- columns: made by python -m gridlab.features docs/features.md -->"
LAST_MARK = "<!-- end of columns -->"


def markdown() -> str:
    """
    The registry as Markdown: how many columns there are, and a table for each category.

    Examples
    --------
    >>> markdown().splitlines()[0].startswith("The table has")
    True
    """
    counts = [len(names([f"{name}_forecast" for name in "ab"[:n_inputs]])) for n_inputs in range(3)]
    title = f"The table has {counts[0]} columns without inputs, {counts[1]} with one and {counts[2]} with two."
    return "\n\n".join([title, *(_section(category) for category in get_args(Category))])


def update(page: Path | str) -> None:
    """
    Write the table between the marks of a page.

    Raises
    ------
    DataError
        If the page does not have both marks.
    """
    text = Path(page).read_text(encoding="utf-8")
    if FIRST_MARK not in text or LAST_MARK not in text:
        raise DataError(f"{page} has no place for the table: add the lines '{FIRST_MARK}' and '{LAST_MARK}'")
    head, tail = text.split(FIRST_MARK)[0], text.split(LAST_MARK)[1]
    Path(page).write_text(f"{head}{FIRST_MARK}\n\n{markdown()}\n\n{LAST_MARK}{tail}", encoding="utf-8")


def _section(category: str) -> str:
    table = describe()
    rows = table[table["category"] == category]
    lines = [f"| `{name}` | {_escaped(unit)} | {_escaped(formula)} |" for name, _, unit, formula in rows.itertuples()]
    return "\n".join([f"### {category.capitalize()}", "", "| column | unit | formula |", "|---|---|---|", *lines])


def _escaped(text: str) -> str:
    for character, escaped in (("<", "&lt;"), ("*", r"\*"), ("|", r"\|")):
        text = text.replace(character, escaped)
    return text
