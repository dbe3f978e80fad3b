import pytest
from conftest import PROJECT

from gridlab import features
from gridlab.errors import DataError
from gridlab.features.document import FIRST_MARK, LAST_MARK, markdown, update
from gridlab.schema import mock_prices

PAGE = PROJECT / "docs" / "features.md"


def test_the_page_lists_every_column_as_the_registry_has_it():
    text = PAGE.read_text(encoding="utf-8")
    between = text.split(FIRST_MARK)[1].split(LAST_MARK)[0].strip()
    assert between == markdown(), "run python -m gridlab.features docs/features.md"
    assert all(f"| `{name}` |" in between for name in features.describe().index)


def test_the_pages_figures_are_those_of_the_library():
    assert f"more than {features.MEMORY_DAYS} days" in PAGE.read_text(encoding="utf-8")


def test_the_pages_example_runs():
    code = PAGE.read_text(encoding="utf-8").split("```python")[1].split("```")[0]
    names = {"prices": mock_prices(days=90)}
    exec(code, names)
    assert list(names["X"].columns) == names["chosen"]
    assert 0 < len(names["chosen"]) <= 30


def test_writing_the_page_again_changes_nothing(tmp_path):
    copy = tmp_path / "features.md"
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    update(copy)
    assert copy.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


def test_a_page_without_a_place_for_the_table_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# No marks")
    with pytest.raises(DataError, match="no place for the table"):
        update(page)
