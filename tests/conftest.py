"""Shared by all tests: where the real data lies, hypothesis and interrupts that do the same on every machine."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("gridlab", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("gridlab")

# a shell that starts the tests in the background has interrupts ignored, here and in every process begun from here
signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data: GRIDLAB_DATA, or ../shared/data beside the checkout; the test is skipped without it."""
    folder = Path(os.environ.get("GRIDLAB_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set GRIDLAB_DATA to run this test")
    return folder
