"""A selection of sktime's own tests on LEAR; ``make sktime-conformance`` runs all of them on every class."""

import warnings

from sktime.utils.estimator_checks import check_estimator

from gridlab.forecast.lear import Lear

SELECTION = [
    "test_clone",
    "test_constructor",
    "test_create_test_instances_and_names",
    "test_deepcopy_fitted_predict",
    "test_fit_does_not_overwrite_hyper_params",
    "test_fit_idempotent",
    "test_get_test_params",
    "test_get_test_params_coverage",
    "test_hierarchical_with_exogenous",
    "test_methods_do_not_change_state",
    "test_non_state_changing_method_contract",
    "test_persistence_via_pickle",
    "test_predict_quantiles",
    "test_predict_series_name_preserved",
    "test_predict_time_index_with_X",
    "test_raises_not_fitted_error",
    "test_set_params",
    "test_update_predict_single",
    "test_update_with_exogenous_variables",
    "test__y_remember_data",
]


def test_a_selection_of_sktimes_own_tests_passes_on_lear():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sktime's tests warn of its own changes to come
        outcomes = check_estimator(Lear, tests_to_run=SELECTION, raise_exceptions=False, verbose=False)
    assert {test.split("[")[0] for test in outcomes} >= {
        "test_predict_time_index_with_X",
        "test_persistence_via_pickle",
    }
    assert {test: outcome for test, outcome in outcomes.items() if outcome != "PASSED"} == {}
