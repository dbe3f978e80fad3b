import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gridlab.errors import DataError
from gridlab.forecast.intraday import MEMBERS, Beliefs, State, observe, observe_all, predict, start
from gridlab.forecast.intraday_core import CENTRE, DIRECT_PRIOR, FORGET, N_WINDOW, NOW, SCORED, SLOW, VAR_PRIOR

LEADS = np.array([1, 2, 3, 6, 12, 24])
DAY = 288

cells = st.one_of(
    st.floats(0.5, 4.0),
    st.just(1.0),
    st.just(np.nan),
    st.sampled_from([0.0, -50.0, 1e300, -1e308, np.inf, 5e-324]),
)
days = st.integers(1, 45).flatmap(lambda n: arrays(float, (n, 3), elements=cells))


def slots(n, first=0):
    return (first + np.arange(n)) % DAY


def reverting(n, seed, phi=0.9, n_series=3, scale=0.1, level=2.0):
    noise = np.random.default_rng(seed).normal(0.0, scale, (n, n_series))
    x = np.zeros((n, n_series))
    for t in range(1, n):
        x[t] = phi * x[t - 1] + noise[t]
    return level + x


def after(rows, first=0, **options):
    return observe_all(start(rows.shape[1], **options), rows, slots(len(rows), first))


def same(a: Beliefs, b: Beliefs) -> bool:
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a.state, b.state, strict=True))


def rolled(rows):
    """Forecasts of every origin, made one row at a time: mean (n, series, leads) and quantiles."""
    beliefs, means, quantiles = start(rows.shape[1]), [], []
    for t, row in enumerate(rows):
        beliefs = observe(beliefs, row, t % DAY)
        outlook = predict(beliefs)
        means.append(outlook.mean)
        quantiles.append(outlook.quantiles)
    return np.array(means), np.array(quantiles)


@given(days, st.integers(0, DAY - 1), st.integers(0, 45))
def test_beliefs_are_the_same_to_the_last_bit_whatever_the_batches(rows, first, cut):
    which = slots(len(rows), first)
    at_once = observe_all(start(3), rows, which)
    in_two = observe_all(observe_all(start(3), rows[:cut], which[:cut]), rows[cut:], which[cut:])
    one_by_one = start(3)
    for row, slot in zip(rows, which, strict=True):
        one_by_one = observe(one_by_one, row, int(slot))
    assert same(at_once, in_two) and same(at_once, one_by_one)


def test_observing_and_predicting_leave_what_they_were_given_as_it_was():
    beliefs, row = after(reverting(60, 1)), np.array([2.0, np.nan, 1.9])
    before, given_row = pickle.dumps(beliefs.state), row.copy()
    observe(beliefs, row, 60)
    predict(beliefs)
    assert pickle.dumps(beliefs.state) == before and np.array_equal(row, given_row, equal_nan=True)


@given(st.integers(0, 10**6))
def test_forecasts_of_an_origin_do_not_change_when_noise_replaces_all_that_comes_after(seed):
    rows, origin = reverting(150, 2), 90
    noise = np.random.default_rng(seed).normal(0.0, 100.0, (60, 3))
    changed = np.vstack([rows[:origin], noise])
    kept, seen = after(rows[:origin]), after(changed[: origin + 1])
    assert same(kept, after(changed[:origin]))
    longest = slice(
        24 + (origin - 1) % 24, 24 + (origin - 1) % 24 + 1
    )  # the ring of lead 24 follows 1 + 2 + 3 + 6 + 12
    assert np.array_equal(kept.state.issued[:, longest], seen.state.issued[:, longest])


def test_what_is_scored_later_is_what_was_predicted():
    rows, beliefs = reverting(130, 3), start(3)
    ring = np.concatenate([[0], np.cumsum(LEADS)[:-1]])
    for t, row in enumerate(rows):
        beliefs = observe(beliefs, row, t % DAY)
        outlook = predict(beliefs)
        issued = beliefs.state.issued[:, ring + t % LEADS]
        np.testing.assert_allclose(issued[..., 0], outlook.mean[:, LEADS - 1], rtol=1e-12)
        np.testing.assert_allclose(np.sort(issued[..., 2:]), outlook.quantiles[:, LEADS - 1], rtol=1e-9)


@given(days)
@example(np.full((40, 3), 1.0))
@example(np.tile([[0.0], [1e300]], (20, 3)))
@example(np.zeros((45, 3)))
def test_once_a_value_is_known_forecasts_are_finite_and_quantiles_do_not_cross_whatever_comes(rows):
    outlook = predict(after(rows), levels=(0.01, 0.05, 0.3, 0.5, 0.9, 0.999))
    known = np.isfinite(rows).any(axis=0)
    assert np.isfinite(outlook.mean[known]).all() and np.isnan(outlook.mean[~known]).all()
    if np.nanmax(np.abs(np.where(np.isfinite(rows), rows, 0.0))) < 1e100:
        assert np.isfinite(outlook.quantiles[known]).all()
        assert (np.diff(outlook.quantiles[known], axis=-1) >= 0).all()
    np.testing.assert_allclose(outlook.weights[known].sum(axis=1), 1.0)
    assert all(bool(reason) for reason, is_known in zip(outlook.fallback, known, strict=True) if not is_known)


def test_quantiles_do_not_cross_even_where_the_adapted_levels_have():
    beliefs = after(reverting(200, 27))
    crossed = Beliefs(
        beliefs.state._replace(theta=beliefs.state.theta[..., ::-1].copy()), beliefs.leads, beliefs.levels
    )
    assert (np.diff(predict(crossed).quantiles, axis=-1) >= 0).all()


def test_levels_may_come_in_any_order():
    beliefs = after(reverting(200, 4))
    up, down = predict(beliefs, levels=(0.1, 0.5, 0.9)), predict(beliefs, levels=(0.9, 0.5, 0.1))
    assert np.array_equal(up.quantiles, down.quantiles[..., ::-1])


@given(st.integers(1, 12))
def test_with_few_rows_it_is_the_naive_and_says_so(n):
    rows = reverting(n, 5)
    outlook = predict(after(rows))
    assert np.array_equal(outlook.mean, np.repeat(rows[-1][:, None], 24, axis=1))
    assert all("naive" in reason for reason in outlook.fallback)
    assert (outlook.weights[:, 0] == 1).all()


def test_the_fallback_ends_by_itself_lead_by_lead():
    rows = reverting(60, 6, n_series=1)
    said = [predict(after(rows[:n])).fallback[0] for n in (10, 20, 40, 60)]
    assert said == [
        "on the naive: 9 of 12 forecasts one row ahead scored",
        "on the naive from lead 12 on: fewer than 12 forecasts scored",
        "",
        "",
    ]


def test_a_missing_row_moves_time_on_and_teaches_nothing():
    beliefs = after(reverting(400, 7))
    gone = observe(beliefs, [np.nan, np.nan, np.nan], 400 % DAY)
    learned = ("means", "bank", "var", "direct", "regret", "tally", "window", "theta")
    assert all(np.array_equal(getattr(gone.state, name), getattr(beliefs.state, name)) for name in learned)
    assert (gone.n_rows, gone.slot, gone.age.tolist()) == (401, 400 % DAY, [1, 1, 1])
    assert np.isnan(gone.last_error).all() and np.array_equal(gone.expected_error, beliefs.expected_error)


def test_the_first_value_after_a_gap_is_no_one_step_error_but_scores_what_was_forecast_before_it():
    beliefs = after(reverting(400, 25))
    gone = observe(beliefs, [np.nan, np.nan, np.nan], 400 % DAY)
    back = observe(gone, [2.5, 2.5, 2.5], 401 % DAY)
    scored = back.state.tally[:, :, SCORED] - beliefs.state.tally[:, :, SCORED]
    assert (scored == [0, 1, 1, 1, 1, 1]).all()
    assert np.isnan(back.last_error).all() and np.array_equal(back.expected_error, beliefs.expected_error)
    later = observe_all(back, np.full((2, 3), 2.5), [402 % DAY, 403 % DAY])
    scored = later.state.tally[:, :, SCORED] - back.state.tally[:, :, SCORED]
    assert (scored == [2, 1, 1, 2, 2, 2]).all() and np.isfinite(later.last_error).all()


def test_a_missing_cell_teaches_nothing_of_its_series_and_the_others_learn():
    beliefs, row = after(reverting(400, 8)), np.array([2.1, np.nan, 1.8])
    one = observe(beliefs, row, 400 % DAY)
    for name in ("means", "bank", "var", "direct", "regret", "tally", "window", "theta"):
        old, new = getattr(beliefs.state, name), getattr(one.state, name)
        assert np.array_equal(old[1], new[1]) and not np.array_equal(old[0], new[0])
    assert one.age.tolist() == [0, 1, 0]


def test_leads_count_from_the_last_known_row_across_a_gap():
    t = np.arange(5 * DAY + 100)
    wave = 30 + 10 * np.sin(2 * np.pi * t / DAY)[:, None] + reverting(len(t), 9, n_series=1, scale=0.02, level=0.0)
    before = after(wave)
    gone = before
    for k in range(6):
        gone = observe(gone, [np.nan], (len(t) + k) % DAY)
    ahead, found = predict(before).mean[0], predict(gone).mean[0, :18]
    assert np.abs(found - ahead[6:]).max() < 0.25 * np.abs(found - ahead[:18]).max()


def test_bands_widen_over_a_gap_and_close_after_it():
    beliefs = after(reverting(600, 10, n_series=1))
    width = []
    for k in range(60):
        quantiles = predict(beliefs).quantiles[0, 0]
        width.append(quantiles[-1] - quantiles[0])
        beliefs = observe(beliefs, [np.nan], (600 + k) % DAY)
    assert width[24] > 1.7 * width[0] and width[59] > 1.3 * width[24]
    quantiles = predict(observe(beliefs, [2.0], 660 % DAY)).quantiles[0, 0]
    assert quantiles[-1] - quantiles[0] < 2 * width[0]


def test_errors_are_value_less_the_forecast_one_row_ahead_and_their_mean_size():
    rows = reverting(300, 11)
    means, _ = rolled(rows[:-1])
    beliefs = after(rows)
    errors = rows[1:] - means[:, :, 0]
    np.testing.assert_allclose(beliefs.last_error, errors[-1], rtol=1e-9)
    np.testing.assert_allclose(beliefs.expected_error, np.abs(errors).mean(axis=0), rtol=1e-9)


def test_the_window_holds_the_last_standardised_errors_in_order_of_size():
    window = after(reverting(700, 12)).state.window
    assert np.array_equal(np.sort(window[:, :, 0]), window[:, :, 1]) and np.isfinite(window).all()
    assert window.shape[-1] == N_WINDOW


def test_the_recursive_regression_is_the_discounted_ridge_solved_at_once():
    rows, beliefs = reverting(60, 13, n_series=1), start(1)
    moments, products = np.eye(2) / VAR_PRIOR, np.zeros(2)
    for t, row in enumerate(rows):
        if t >= 3:
            point, centre = beliefs.state.point[0], beliefs.state.means[0, CENTRE]
            x = (np.array([rows[t - 1, 0], rows[t - 2, 0]]) - centre) / point[SLOW]
            assert point[NOW] == rows[t - 1, 0]
            moments = FORGET * moments + np.outer(x, x)
            products = FORGET * products + x * (row[0] - rows[t - 1, 0]) / point[SLOW]
        beliefs = observe(beliefs, row, t)
    np.testing.assert_allclose(beliefs.state.var[0, 0], np.linalg.solve(moments, products), rtol=1e-8)
    np.testing.assert_allclose(beliefs.state.var[0, 1:], np.linalg.inv(moments), rtol=1e-8)


def test_a_direct_regression_is_the_discounted_ridge_of_moves_over_its_lead():
    k, lead, n = 1, 2, 6
    rows = 2 + np.cumsum(np.random.default_rng(26).uniform(-0.1, 0.1, (60, 1)), axis=0)
    beliefs, known = start(1), []
    moments, products = np.eye(n) * lead / DIRECT_PRIOR, np.zeros(n)
    for t, row in enumerate(rows):
        if t >= lead and known[t - lead][n + 1] > 0:
            x, unit = known[t - lead][:n], known[t - lead][n + 1]
            x[n - 1] = known[t - lead][n + 2 + k]
            moments = FORGET * moments + np.outer(x, x)
            products = FORGET * products + x * (row[0] - rows[t - lead, 0]) / unit
        beliefs = observe(beliefs, row, t)
        known.append(beliefs.state.regressors[0, t % 24].copy())
    np.testing.assert_allclose(beliefs.state.direct[0, k, 0], np.linalg.solve(moments, products), rtol=1e-7, atol=1e-12)


def test_it_beats_the_naive_where_prices_revert_and_hardly_loses_where_they_wander():
    ratio = {}
    for phi in (0.85, 1.0):
        rows = reverting(1500, 14, phi=phi)
        means, _ = rolled(rows)
        ratio[phi] = [
            np.abs(rows[lead:] - means[:-lead, :, lead - 1])[100:].mean()
            / np.abs(rows[lead:] - rows[:-lead])[100:].mean()
            for lead in (1, 6, 24)
        ]
    assert ratio[0.85][0] < 0.98 and ratio[0.85][1] < 0.88 and ratio[0.85][2] < 0.80
    assert max(ratio[1.0]) < 1.03


def test_bands_hold_their_share_when_the_noise_grows_fourfold():
    rows = reverting(1200, 15, n_series=1, scale=0.1)
    rows = np.vstack([rows, 2 + 4 * (reverting(1200, 16, n_series=1, scale=0.1) - 2)])
    _, quantiles = rolled(rows)
    for lead, slack in ((1, 0.02), (6, 0.03), (24, 0.06)):
        inside = (rows[lead:, 0] >= quantiles[:-lead, 0, lead - 1, 0]) & (
            rows[lead:, 0] <= quantiles[:-lead, 0, lead - 1, -1]
        )
        assert abs(inside[100:].mean() - 0.9) < slack and abs(inside[1200:1500].mean() - 0.9) < 0.1


def test_one_spike_is_forgotten():
    rows = reverting(700, 17)
    spiked = rows.copy()
    spiked[600, 0] += 500.0
    plain, shaken = predict(after(rows)), predict(after(spiked))
    assert np.abs(plain.mean - shaken.mean).max() < 0.25  # of prices whose standard deviation is 0.23
    band = [x.quantiles[0, :, -1] - x.quantiles[0, :, 0] for x in (plain, shaken)]
    assert (band[1] < 2 * band[0]).all()


def test_a_price_at_its_floor_for_days_is_followed_when_it_leaves_it():
    rows = np.vstack([np.full((700, 1), 1.0), reverting(60, 18, n_series=1, level=5.0)])
    at_floor = predict(after(rows[:700]))
    assert (at_floor.mean == 1.0).all() and (at_floor.quantiles == 1.0).all()
    off_floor = predict(after(rows))
    assert abs(off_floor.mean[0, 0] - 5.0) < 0.5 and (off_floor.mean > 3.0).all()
    assert off_floor.quantiles[0, 0, 0] < rows[-1, 0] < off_floor.quantiles[0, 0, -1]


def broken(beliefs, *names):
    spoilt = {name: np.full_like(getattr(beliefs.state, name), np.nan) for name in names}
    return Beliefs(beliefs.state._replace(**spoilt), beliefs.leads, beliefs.levels)


def test_a_member_whose_sums_are_not_finite_is_dropped_said_and_comes_back():
    rows = reverting(460, 19)
    beliefs = broken(after(rows[:400]), "direct")
    assert (
        np.isfinite(predict(beliefs).mean).all()
        and (predict(beliefs).weights[:, MEMBERS.index("multiscale")] == 0).all()
    )
    beliefs = observe(beliefs, rows[400], 400 % DAY)
    assert predict(beliefs).fallback[0] == "dropped, as their sums were not finite: multiscale"
    beliefs = observe_all(beliefs, rows[401:], slots(59, 401))
    assert predict(beliefs).fallback == ("", "", "") and np.isfinite(beliefs.state.direct).all()


def test_with_all_members_gone_it_is_the_naive():
    rows = reverting(400, 20)
    beliefs = broken(after(rows), "means", "bank", "var", "direct", "daily")
    outlook = predict(beliefs)
    assert np.array_equal(outlook.mean, np.repeat(rows[-1][:, None], 24, axis=1))
    mended = observe_all(beliefs, reverting(60, 21), slots(60, 400))
    assert all(np.isfinite(part).all() for part in (mended.state.means, mended.state.bank, mended.state.var))
    assert np.isfinite(predict(mended).mean).all()


def test_beliefs_do_not_grow_and_survive_as_plain_arrays():
    rows = reverting(900, 22)
    beliefs = after(rows)
    assert beliefs.nbytes == start(3).nbytes < 200_000
    stored = [array.tobytes() for array in beliefs.state]
    shapes = [array.shape for array in beliefs.state]
    state = State(*(np.frombuffer(b).reshape(shape).copy() for b, shape in zip(stored, shapes, strict=True)))
    again = Beliefs(state, beliefs.leads, beliefs.levels)
    assert same(observe(again, [2.0, 2.0, 2.0], 900 % DAY), observe(beliefs, [2.0, 2.0, 2.0], 900 % DAY))
    assert same(pickle.loads(pickle.dumps(beliefs)), beliefs)


def test_it_scales_with_the_unit_of_the_prices():
    rows = reverting(400, 23)
    small, large = predict(after(rows)), predict(after(rows * 1024.0))
    np.testing.assert_allclose(large.mean, small.mean * 1024.0, rtol=1e-9)
    np.testing.assert_allclose(large.quantiles, small.quantiles * 1024.0, rtol=1e-9)


@pytest.mark.parametrize(
    "options", [{"n_leads": 1}, {"n_leads": 5, "steps_a_day": 24}, {"n_leads": 288, "levels": (0.5,)}]
)
def test_other_horizons_days_and_levels_work(options):
    rows = reverting(320, 24, n_series=2)
    beliefs = start(2, **options)
    beliefs = observe_all(beliefs, rows, np.arange(320) % beliefs.steps_a_day)
    outlook = predict(beliefs, levels=(0.25, 0.75))
    assert outlook.mean.shape == (2, options["n_leads"]) and outlook.quantiles.shape == (2, options["n_leads"], 2)
    assert np.isfinite(outlook.quantiles).all() and np.abs(outlook.mean - 2).max() < 1


def test_the_recorded_day_is_forecast_from_its_first_row(data_dir):
    table = pd.read_csv(data_dir / "mara" / "prices_2025-06-21.csv", parse_dates=["timestamp_utc"])
    rows = table[["energy_price", "hash_price", "token_price"]].to_numpy()
    means, quantiles = rolled(rows)
    assert np.isfinite(means).all() and np.isfinite(quantiles).all()
    for lead in LEADS:
        error = np.abs(rows[lead:] - means[:-lead, :, lead - 1]).mean(axis=0)
        assert (error < 1.25 * np.abs(rows[lead:] - rows[:-lead]).mean(axis=0)).all()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: start(0), "n_series must be at least 1"),
        (lambda: start(1, n_leads=300), r"n_leads in \[1, steps_a_day\]"),
        (lambda: start(1, levels=(0.5, 0.1)), r"levels must increase within \(0, 1\)"),
        (lambda: start(1, levels=()), "levels must increase"),
        (lambda: observe(start(2), [1.0], 0), "a row must have 2 values"),
        (lambda: observe(start(1), [1.0], 288), "slot of row 0 must be 0, got 288"),
        (lambda: observe(observe(start(1), [1.0], 5), [1.0], 7), "slot of row 0 must be 6, got 7"),
        (lambda: observe_all(start(1), [[1.0], [2.0]], [0]), "2 rows need as many slots"),
        (lambda: observe_all(start(1), [[1.0]], [0.5]), "whole numbers"),
        (lambda: predict(start(1), 25), r"n_leads must be in \[1, 24\]"),
        (lambda: predict(start(1), levels=(0.0,)), r"levels must lie in \(0, 1\)"),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, words):
    with pytest.raises(DataError, match=words):
        call()
