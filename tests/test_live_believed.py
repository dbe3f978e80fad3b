"""A table of prices is believed row by row: no absurd, stale or future price is acted upon, and every hold ends."""

from copy import deepcopy
from itertools import pairwise
from statistics import median

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.live.believed import LEARNING, MEMORY, RECENT, SERIES, Known, believed, known_rows, rows_of
from gridlab.live.config import STEP, Bounds, Config
from gridlab.sources.mara import Quote

NOON = pd.Timestamp("2025-06-21 12:00", tz="UTC")
CONFIG = Config()
SECONDS_5 = pd.Timedelta("5s")


def table(values, start=NOON):
    """A prices table of rows of three prices, or of one that stands for all three; None is a missing row."""
    rows = [
        (np.nan,) * 3 if row is None else tuple(row) if isinstance(row, (list, tuple)) else (row,) * 3 for row in values
    ]
    times = pd.date_range(start, periods=len(rows), freq="5min", name="time")
    return pd.DataFrame(np.array(rows, dtype=float).reshape(-1, 3), index=times, columns=list(SERIES))


def at(row, seconds=5):
    return NOON + row * STEP + pd.Timedelta(seconds=seconds)


def calm(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    return (2 + rng.uniform(-0.1, 0.1, (n_rows, 3))).tolist()


def slow_scale(rows):
    """The scale of one series from (row, price) pairs, written as the docstring has it."""
    if len(rows) <= LEARNING:
        return np.inf
    moves = [abs(b - a) / ((j - i) ** 0.5) for (i, a), (j, b) in pairwise(rows)][-MEMORY:]
    middles = [median([m for m in some if m > 0] or [0.0]) for some in (moves, moves[-RECENT:])]
    return 1.4826 * max(middles)


def slow(values, accepted, last, bounds):
    """Rows accepted among those newer than `accepted` and up to `last`, one at a time."""
    start = accepted[-1] if accepted else -1
    limits = (bounds.energy, bounds.hash, bounds.token)

    def inside(i):
        return all(np.isfinite(v) and low <= v <= high for v, (low, high) in zip(values[i], limits, strict=True))

    good = [i for i in range(start + 1, last + 1) if inside(i)]
    known = accepted if len(accepted) > LEARNING else accepted + good
    scales = [slow_scale([(i, values[i][s]) for i in known[-MEMORY - 1 :]]) for s in range(3)]

    def near(i, j):
        most = [bounds.jump * s * (j - i) ** 0.5 for s in scales]
        return all(abs(values[j][s] - values[i][s]) <= most[s] * (1 + 1e-12) for s in range(3))

    new, waiting, level = [], [], (accepted or [None])[-1]
    for i in good:
        if level is None or near(level, i):
            new.append(i)
        elif waiting and near(waiting[-1], i):
            new += [waiting[-1], i]
        elif len(waiting) == 2:
            new.append(i)
        else:
            waiting.append(i)
            continue
        level, waiting = i, []
    return new


prices = st.one_of(
    st.floats(1.9, 2.1),
    st.sampled_from([2.0, 2.0, 50.0, 51.0, 400.0, -1.0, 5000.0, np.nan, np.inf]),
)
rows = st.one_of(st.none(), st.tuples(prices, st.floats(1.9, 2.1), st.floats(1.9, 2.1)))


@given(tail=st.lists(rows, min_size=1, max_size=25), head=st.integers(0, 40))
def test_step_by_step_the_same_rows_are_believed_as_by_the_slow_and_obvious_rule(tail, head):
    whole = table(calm(head) + tail)
    values = whole.to_numpy()
    known, accepted = None, []
    for row in range(len(whole)):
        got = believed(whole[: row + 1], at(row), CONFIG, known)
        new = slow(values, accepted, row, CONFIG.bounds)
        assert [int((t - NOON.value) // STEP.value) for t in got.times] == new
        assert (got.values == values[new]).all()
        known, accepted = got.known, accepted + new


@given(tail=st.lists(rows, min_size=1, max_size=25), head=st.integers(0, 40), ahead=st.integers(0, 3))
def test_a_quote_is_a_row_of_the_table_in_bounds_young_and_not_of_the_future(tail, head, ahead):
    whole = table(calm(head) + tail)
    now = at(len(whole) - 1 - ahead)
    got = believed(whole, now, CONFIG)
    assert got.kind == "fresh" or got.problem
    assert (got.quote is None) == (got.kind in ("stale", "absurd") or not len(got.known.times))
    if got.quote is not None:
        row = got.quote
        assert (row.energy_price, row.hash_price, row.token_price) == tuple(whole.loc[row.time])
        assert max(row.energy_price, row.hash_price, row.token_price) <= 1000 and row.energy_price >= 0
        assert pd.Timedelta(seconds=-30) <= now - row.time <= pd.Timedelta(minutes=CONFIG.stale_minutes)


@given(tail=st.lists(rows, min_size=1, max_size=12), head=st.integers(0, 20))
def test_the_same_input_gives_the_same_output_and_is_not_changed(tail, head):
    first = believed(table(calm(head)), at(head), CONFIG).known if head else None
    whole = table(calm(head) + tail)
    kept, known = whole.copy(), deepcopy(first)
    one, other = (believed(whole, at(len(whole)), CONFIG, first) for _ in range(2))
    pd.testing.assert_frame_equal(whole, kept)
    assert first is known or (first.values == known.values).all()
    assert (one.quote, one.kind, one.problem, one.refused) == (other.quote, other.kind, other.problem, other.refused)
    assert (one.times == other.times).all() and one.known.scale == other.known.scale


def test_a_loop_that_begins_again_from_the_rows_it_accepted_knows_what_it_knew():
    values = calm(400)
    values[350], values[200] = [900.0] * 3, None
    whole, known, seen = table(values), None, []
    for row in range(len(whole)):
        got = believed(whole[: row + 1], at(row), CONFIG, known)
        known, seen = got.known, seen + got.times.tolist()
    again = known_rows(whole.loc[pd.to_datetime(seen, utc=True)])
    assert len(known.times) == MEMORY + 1
    assert (again.times == known.times).all() and (again.values == known.values).all()
    assert again.scale == known.scale


def test_one_wild_row_waits_and_is_dropped_when_the_next_is_back():
    whole = table([*calm(30), 90.0, 2.0])
    known = believed(whole[:30], at(29), CONFIG).known
    wild = believed(whole[:31], at(30), CONFIG, known)
    assert (wild.quote, wild.kind, len(wild.times)) == (None, "absurd", 0)
    assert "price went from" in wild.problem and "it waits for the next row to confirm it" in wild.problem
    back = believed(whole, at(31), CONFIG, wild.known)
    assert (back.kind, back.quote.energy_price, len(back.times)) == ("fresh", 2.0, 1)
    assert back.refused[0].time == NOON + 30 * STEP


def test_two_rows_alike_confirm_a_new_level_and_both_are_believed():
    whole = table([*calm(30), 90.0, 90.05])
    wild = believed(whole[:31], at(30), CONFIG, believed(whole[:30], at(29), CONFIG).known)
    new = believed(whole, at(31), CONFIG, wild.known)
    assert (new.kind, new.quote.hash_price, len(new.times), new.refused) == ("fresh", 90.05, 2, ())


def test_a_market_gone_wild_is_believed_at_the_third_row():
    whole = table([*calm(30), 90.0, 500.0, 300.0])
    known, kinds = believed(whole[:30], at(29), CONFIG).known, []
    for row in range(30, 33):
        got = believed(whole[: row + 1], at(row), CONFIG, known)
        known, kinds = got.known, [*kinds, got.kind]
    assert kinds == ["absurd", "absurd", "fresh"]


@settings(max_examples=20)
@given(values=st.lists(st.floats(0, 1000), min_size=25, max_size=25))
def test_within_bounds_no_hold_lasts_longer_than_two_intervals_whatever_the_prices_do(values):
    whole, known, held = table([*calm(20), *values]), None, 0
    for row in range(len(whole)):
        got = believed(whole[: row + 1], at(row), CONFIG, known)
        known, held = got.known, held + 1 if got.quote is None else 0
        assert held <= 2


def test_prices_that_hold_for_an_hour_may_step_as_they_have_before():
    steps = np.repeat([2.0, 2.4, 2.1, 2.6, 2.2, 2.5], 12).tolist()
    whole, known, held = table(steps), None, []
    for row in range(len(whole)):
        got = believed(whole[: row + 1], at(row), CONFIG, known)
        known, held = got.known, held + [row] * (got.quote is None)
    assert held == []  # the first step comes before twelve changes are known


def test_the_row_of_the_interval_missing_is_late_and_what_is_older_than_allowed_is_stale():
    whole = table([*calm(5), None, None, None])
    ages = {row: believed(whole[: row + 1], at(row), CONFIG) for row in range(4, 8)}
    assert [ages[row].kind for row in ages] == ["fresh", "late", "stale", "stale"]
    assert ages[5].quote.time == NOON + 4 * STEP
    assert ages[5].problem == "the row of 12:25 is missing and that of 12:20 is used"
    assert ages[6].problem == "the newest row believed is that of 12:20, 10.1 min old, over the limit of 10 min"
    assert believed(whole, NOON + 6 * STEP, CONFIG).quote is not None
    assert believed(whole, at(4, 90), CONFIG).age_minutes == pytest.approx(1.5)


def test_rows_ahead_of_the_clock_are_left_for_later():
    whole = table(calm(10))
    early = believed(whole, at(6), CONFIG)
    assert (early.kind, early.quote.time, len(early.times)) == ("future", NOON + 6 * STEP, 7)
    assert early.problem == "3 rows up to 2025-06-21 12:45 are ahead of our clock and left for later"
    later = believed(whole, at(9), CONFIG, early.known)
    assert (later.kind, len(later.times)) == ("fresh", 3)
    none = believed(whole, NOON - pd.Timedelta("1h"), CONFIG)
    assert (none.quote, none.kind) == (None, "future")
    assert believed(whole, at(9, -29), CONFIG).quote.time == NOON + 9 * STEP
    assert believed(whole, at(9, -31), CONFIG).kind == "future"


def test_a_clock_that_was_set_back_makes_no_old_future_row_a_quote():
    known = believed(table(calm(20)), at(19), CONFIG).known
    back = believed(table(calm(20)), at(9), CONFIG, known)
    assert (back.kind, back.quote.time, len(back.times)) == ("future", NOON + 9 * STEP, 0)


@pytest.mark.parametrize(("skew", "said"), [(-31, "31 s behind ours"), (31, "31 s ahead of ours"), (30, None)])
def test_clocks_that_differ_are_said(skew, said):
    got = believed(table(calm(3)), at(2), CONFIG, server_time=at(2) + pd.Timedelta(seconds=skew))
    assert got.quote is not None
    assert (got.kind, got.problem is None) == (("skewed", False) if said else ("fresh", True))
    assert said is None or said in got.problem


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((-0.5, 2, 2), "the energy price of 12:15 is -0.5, below the least believed, 0: where a market pays for using"),
        ((2, 1001, 2), "the hash price of 12:15 is 1001, outside what is believed, 0 to 1000: widen bounds.hash"),
        ((2, 2, np.nan), "the token price of 12:15 is missing: the row is not used"),
        ((2, np.inf, 2), "the hash price of 12:15 is inf: the row is not used"),
    ],
)
def test_an_absurd_row_moves_nothing_and_its_reason_has_the_remedy(row, words):
    got = believed(table([*calm(3), row]), at(3), CONFIG)
    assert (got.quote, got.kind, len(got.times)) == (None, "absurd", 3)
    assert got.problem.startswith(words)
    assert got.refused[0].time == NOON + 3 * STEP


def test_an_absurd_row_that_is_old_itself_is_stale():
    whole = table([*calm(3), -1.0])
    assert [believed(whole, at(row), CONFIG).kind for row in (3, 4, 5, 6)] == ["absurd", "absurd", "stale", "stale"]


def test_over_a_gap_a_price_may_move_as_far_as_the_root_of_its_length():
    limit = CONFIG.bounds.jump * 1.4826 * 0.1
    saw = [2.0, 2.1] * 15  # every change is 0.1
    for factor, kind in ((1.9, "fresh"), (2.1, "absurd")):
        whole = table([*saw, None, None, None, 2.1 + factor * limit])
        known = believed(whole[:30], at(29), CONFIG).known
        assert believed(whole, at(33), CONFIG, known).kind == kind


def test_negative_prices_are_believed_where_the_bounds_say_so():
    config = Config(bounds=Bounds(energy=(-50, 1000)))
    assert believed(table([*calm(3), (-0.5, 2, 2)]), at(3), config).quote.energy_price == -0.5


def test_no_rows_give_no_quote_and_what_was_known_holds_until_it_is_stale():
    empty = table([])
    assert (believed(empty, at(0), CONFIG).kind, believed(table([None]), at(0), CONFIG).kind) == ("empty", "empty")
    known = believed(table(calm(3)), at(2), CONFIG).known
    held = believed(empty, at(3), CONFIG, known)
    assert (held.kind, held.quote.time) == ("empty", NOON + 2 * STEP)
    assert believed(empty, at(5), CONFIG, known).quote is None
    old = believed(table(calm(2)), at(2, 60), CONFIG, known)
    assert (old.kind, old.quote.time) == ("fresh", NOON + 2 * STEP)


def test_a_revised_row_is_said_and_its_new_price_is_used():
    values = calm(20)
    known = believed(table(values), at(19), CONFIG).known
    values[18], values[19] = [2.01] * 3, [2.02] * 3
    got = believed(table(values), at(19, 60), CONFIG, known)
    assert got.revised == (NOON + 18 * STEP, NOON + 19 * STEP)
    assert (got.kind, got.quote.energy_price, len(got.times)) == ("fresh", 2.02, 0)
    assert got.problem == "2 rows from 13:30 on were revised by the server"
    assert believed(table(values), at(19, 90), CONFIG, got.known).problem is None
    values[19] = [700.0] * 3
    assert believed(table(values), at(19, 90), CONFIG, got.known).kind == "absurd"


def test_rows_older_than_the_memory_make_no_difference():
    values = calm(400)
    known = believed(table(values), at(399), CONFIG).known
    values[3] = [900.0] * 3
    assert believed(table(values), at(399), CONFIG, known).kind == "fresh"


def test_every_row_of_the_recorded_day_is_believed_as_it_comes(data_dir):
    day = pd.read_csv(data_dir / "mara" / "prices_2025-06-21.csv", index_col=0)
    day.index = pd.DatetimeIndex(pd.to_datetime(day.index, utc=True), name="time")
    day = day.set_axis(list(SERIES), axis=1).asfreq("5min")
    known = Known()
    for row, time in enumerate(day.index):
        got = believed(day[: row + 1], time + SECONDS_5, CONFIG, known)
        assert got.quote == Quote(time, *day.iloc[row]), got.problem
        known = got.known
    shifted = known.times, known.values
    assert (known_rows(day).times == shifted[0]).all() and (known_rows(day).values == shifted[1]).all()


def test_rows_as_arrays_are_believed_as_the_table_is_in_any_order_of_its_columns_and_unit_of_its_times():
    whole = table([*calm(20), 90.0, None, 2.0])
    other = whole[list(SERIES[::-1])].assign(note="")
    other.index = other.index.as_unit("s")
    one, two, three = (believed(some, at(22), CONFIG) for some in (whole, rows_of(whole), other))
    assert one.quote == two.quote == three.quote and one.problem == two.problem == three.problem
    assert np.array_equal(one.known.values, two.known.values) and np.array_equal(one.known.times, three.known.times)


def test_a_row_that_was_accepted_and_is_revised_to_an_absurd_one_is_not_new_again():
    values = calm(20)
    known = believed(table(values), at(19), CONFIG).known
    absurd = believed(table([*values[:19], -1.0]), at(19, 60), CONFIG, known)
    assert (len(absurd.known.times), absurd.known.newest) == (19, known.newest)
    assert absurd.problem.endswith("the row of 13:35 was revised by the server")
    back = believed(table([*values, 2.0]), at(20), CONFIG, absurd.known)
    assert back.times.tolist() == [(NOON + 20 * STEP).value]
    assert len(back.known.times) == 21


def test_what_is_no_prices_table_is_refused_in_one_sentence():
    with pytest.raises(DataError, match="prices has no column 'token_price'"):
        believed(table(calm(3)).drop(columns="token_price"), at(3), CONFIG)
    with pytest.raises(DataError, match="the index of prices must be UTC times"):
        believed(table(calm(3)).reset_index(drop=True), at(3), CONFIG)
    with pytest.raises(DataError, match="now must have a time zone"):
        believed(table(calm(3)), pd.Timestamp("2025-06-21 12:00"), CONFIG)
