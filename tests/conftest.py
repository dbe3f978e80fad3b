"""Shared by all tests: where the real data lies, and a hypothesis profile that does the same on every machine."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("gridlab", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("gridlab")

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data: GRIDLAB_DATA, or ../shared/data beside the checkout; the test is skipped without it."""
    folder = Path(os.environ.get("GRIDLAB_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set GRIDLAB_DATA to run this test")
    return folder
