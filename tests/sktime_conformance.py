"""sktime's own tests on every class of ours: ``make sktime-conformance``, which takes an hour."""

import warnings

import pytest
from sktime.utils.estimator_checks import check_estimator

from gridlab.forecast import MODELS

CLASSES = {type(MODELS[name]()).__name__: type(MODELS[name]()) for name in MODELS}


@pytest.mark.parametrize("name", CLASSES)
def test_sktimes_own_tests_pass(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sktime's tests warn of its own changes to come
        outcomes = check_estimator(CLASSES[name], raise_exceptions=False, verbose=False)
    failed = {test: outcome for test, outcome in outcomes.items() if outcome != "PASSED"}
    assert len(outcomes) > 300
    assert not failed
