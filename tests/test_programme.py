"""Programmes: the compiled form is cvxpy's, every answer is certified, and who answered is known."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError, PlanError
from gridlab.programme import Programme, Session
from gridlab.programme import session as sessions
from gridlab.programme.certificate import certificate

seeds = st.integers(0, 10_000)


def transport(n: int = 4, *, integer: bool = False) -> Programme:
    """Buy in each interval up to a limit, keep what is left, meet a demand; some limits hold one variable, some not."""
    p = {"price": cp.Parameter(n), "demand": cp.Parameter(n), "limit": cp.Parameter(n), "kept": cp.Parameter()}
    buy, store = cp.Variable(n, integer=integer, name="buy"), cp.Variable(n, nonneg=True, name="store")
    before = cp.hstack([2.0, p["kept"] * store[:-1]])
    limits = {
        "balance": store == before + buy - p["demand"],
        "buying": buy <= p["limit"],
        "half": 2 * buy <= p["limit"] + 1,
        "room": store <= 5,
        "together": cp.sum(buy) <= 2.5 * n,
    }
    problem = cp.Problem(cp.Maximize(-p["price"] @ buy + 0.1 * store[-1] + 7), [*limits.values(), buy >= 0])
    return Programme(problem, p, {"buy": buy, "store": store}, limits)


PROGRAMME, WHOLE = transport(), transport(integer=True)


def data_of(seed: int, n: int = 4) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    price, demand = rng.normal(5, 8, n), rng.uniform(0, 1.8, n)
    return {"price": price, "demand": demand, "limit": rng.uniform(2, 4, n), "kept": rng.choice([0.9, 1.0])}


def by_cvxpy(programme: Programme, data: dict[str, object], solver: str = "CLARABEL") -> float:
    for name, value in data.items():
        programme.parameters[name].value = value
    return float(programme.problem.solve(solver=solver))


@settings(max_examples=30)
@given(st.lists(seeds, min_size=1, max_size=4))
def test_a_hot_started_session_answers_as_cvxpy_does_whatever_it_was_asked_before(asked):
    session = Session(PROGRAMME)
    for seed in asked:
        answer = session.solve(data_of(seed))
        assert answer.objective == pytest.approx(by_cvxpy(PROGRAMME, data_of(seed)), abs=1e-5)
        for name, limit in PROGRAMME.limits.items():
            assert answer.shadow_prices[name].shape == limit.shape
    assert session.counts["HIGHS"] + session.counts["HIGHS_COLD"] == len(asked)


@settings(max_examples=30)
@given(seeds)
def test_a_shadow_price_lies_between_what_is_lost_by_tightening_and_gained_by_loosening(seed):
    session, data = Session(PROGRAMME), data_of(seed)
    answer = session.solve(data)
    for step in range(4):
        moved = 1e-5 * (np.arange(4) == step)
        more = session.solve({**data, "demand": data["demand"] + moved}).objective - answer.objective
        less = answer.objective - session.solve({**data, "demand": data["demand"] - moved}).objective
        said = -answer.shadow_prices["balance"][step]
        assert min(more, less) / 1e-5 - 1e-3 <= said <= max(more, less) / 1e-5 + 1e-3
        gained = session.solve({**data, "limit": data["limit"] + moved}).objective - answer.objective
        prices = answer.shadow_prices
        assert gained / 1e-5 <= prices["buying"][step] + prices["half"][step] + 1e-3


def slow_certificate(form, lp, x, y):
    A = form.matrix(lp).toarray()
    z, activity = lp.cost - A.T @ y, A @ x
    sides = np.r_[np.where(z > 0, lp.lower, lp.upper), np.where(y > 0, lp.row_lower, lp.row_upper)]
    prices, finite = np.r_[z, y], np.isfinite(sides)
    primal = max(0, (lp.lower - x).max(), (x - lp.upper).max(), (lp.row_lower - activity).max())
    primal = max(primal, (activity - lp.row_upper).max())
    bound = prices[finite] @ sides[finite]
    dual = np.abs(prices[~finite]).max(initial=0)
    scale = max(1, np.abs(sides[finite]).max(initial=0)), max(1, np.abs(lp.cost).max())
    return primal / scale[0], dual / scale[1], abs(lp.cost @ x - bound) / max(1, abs(lp.cost @ x))


@given(seeds)
def test_the_certificate_is_that_of_weak_duality_written_out(seed):
    form, rng = PROGRAMME.canonical, np.random.default_rng(seed)
    lp = form.data(form.vector(data_of(seed)))
    x, y = rng.normal(1, 2, form.n_columns), rng.normal(0, 3, len(form.kept))
    assert certificate(form, lp, x, y) == pytest.approx(slow_certificate(form, lp, x, y))


@given(seeds)
def test_the_linear_programme_is_the_map_times_the_parameters_with_single_rows_as_bounds(seed):
    form = PROGRAMME.canonical
    lp, entries = form.data(form.vector(data_of(seed))), form.map @ form.vector(data_of(seed))
    cost, offset, constant, coefficients = np.split(entries, form.ends)
    assert lp.cost == pytest.approx(cost)
    assert lp.coefficients == pytest.approx(coefficients)
    assert (lp.offset, lp.row_lower) == (pytest.approx(offset[0]), pytest.approx(-constant[form.kept]))
    assert (np.isfinite(lp.row_upper) == form.equal).all()
    for sides, bound, worse in ((form.above, lp.lower, max), (form.below, lp.upper, min)):
        stated = (form.lower if worse is max else form.upper).copy()
        for row, column, coefficient in zip(*sides, strict=True):
            stated[column] = worse(stated[column], -constant[row] / coefficient)
        assert bound == pytest.approx(stated)
    assert len(form.kept) + len(form.above.row) + len(form.below.row) == form.n_rows


@pytest.mark.parametrize("column", [0, 5])
def test_an_answer_that_is_not_the_optimum_fails_its_certificate(column):
    session, data = Session(PROGRAMME), data_of(3)
    session.solve(data)
    form = PROGRAMME.canonical
    lp, solution = form.data(form.vector(data)), session._highs.getSolution()
    x, y = np.array(solution.col_value), np.array(solution.row_dual)
    assert max(certificate(form, lp, x, y)) < 1e-9
    x[column] += 0.01
    assert max(certificate(form, lp, x, y)) > 1e-4


def test_a_refuted_answer_is_solved_cold_and_both_are_counted(monkeypatch):
    session, verdicts = Session(PROGRAMME), iter([True, False, True])
    monkeypatch.setattr(sessions, "_certified", lambda *_: next(verdicts))
    first, second = session.solve(data_of(1)), session.solve(data_of(2))
    assert (first.solver, second.solver) == ("HIGHS", "HIGHS_COLD")
    assert dict(session.counts) == {"HIGHS": 1, "HIGHS_COLD": 1, "refuted": 1}


def test_after_highs_clarabel_answers_then_scs_and_then_the_heuristic(monkeypatch):
    data, best = data_of(4), Session(PROGRAMME).solve(data_of(4)).objective
    monkeypatch.setattr(sessions, "_certified", lambda *_: False)
    rest = {"buy": np.zeros(4), "store": np.zeros(4)}
    session = Session(PROGRAMME, heuristic=lambda _: rest)
    by_clarabel = session.solve(data)
    monkeypatch.setitem(sessions._CONIC, "CLARABEL", {"max_iter": 1})
    by_scs = session.solve(data)
    monkeypatch.setitem(sessions._CONIC, "SCS", {"max_iters": 1})
    by_heuristic = session.solve(data)
    assert [a.solver for a in (by_clarabel, by_scs, by_heuristic)] == ["CLARABEL", "SCS", "HEURISTIC"]
    assert [by_clarabel.objective, by_scs.objective] == pytest.approx([best, best], abs=1e-3)
    assert by_heuristic.values is rest
    assert session.counts["refuted"] == 6
    with pytest.raises(PlanError, match=r"CLARABEL: .*; SCS: "):
        Session(PROGRAMME).solve(data)


@settings(max_examples=20)
@given(seeds)
def test_whole_numbers_are_as_good_as_the_best_of_all(seed):
    data = data_of(seed)
    session = Session(WHOLE)
    choices = np.stack(np.meshgrid(*[np.arange(3)] * 4), axis=-1).reshape(-1, 4)
    best = -np.inf
    for buy in choices[(2 * choices <= data["limit"] + 1).all(axis=1) & (choices <= data["limit"]).all(axis=1)]:
        store, now, fits = [], 2.0, True
        for step in range(4):
            now = (now if step == 0 else data["kept"] * now) + buy[step] - data["demand"][step]
            fits &= 0 <= now <= 5
            store.append(now)
        if fits and buy.sum() <= 10:
            best = max(best, -data["price"] @ buy + 0.1 * store[-1] + 7)
    if best == -np.inf:
        with pytest.raises(PlanError, match="infeasible"):
            session.solve(data)
        return
    answer = session.solve(data)
    assert answer.objective == pytest.approx(best, abs=1e-6)
    assert answer.solver == "HIGHS"
    assert (answer.shadow_prices["together"] >= 0).all()


def test_a_cone_is_solved_by_scs():
    aim, x = cp.Parameter(2), cp.Variable(2)
    ball = cp.norm(x) <= 1
    conic = Programme(cp.Problem(cp.Maximize(aim @ x), [ball]), {"aim": aim}, {"x": x}, {"ball": ball})
    answer = Session(conic).solve({"aim": [3.0, 4.0]})
    assert answer.solver == "SCS"
    assert answer.values["x"] == pytest.approx([0.6, 0.8], abs=1e-4)
    assert answer.shadow_prices["ball"] == pytest.approx(5.0, abs=1e-3)


def test_a_matrix_of_variables_comes_back_in_its_shape():
    cost, x = cp.Parameter((2, 3)), cp.Variable((2, 3))
    table = Programme(cp.Problem(cp.Maximize(cp.sum(cp.multiply(cost, x))), [x <= 1, x >= 0]), {"cost": cost}, {"x": x})
    sign = np.array([[1.0, -1, 1], [-1, 1, 1]])
    assert Session(table).solve({"cost": sign}).values["x"].tolist() == (sign > 0).astype(float).tolist()


def test_what_cannot_be_solved_says_why():
    session, data = Session(PROGRAMME), data_of(1)
    with pytest.raises(PlanError, match="infeasible: loosen one of its limits"):
        session.solve({**data, "demand": np.full(4, 9.0)})
    assert session.solve(data).solver in ("HIGHS", "HIGHS_COLD")
    with pytest.raises(DataError, match="price of the programme must be finite"):
        session.solve({**data, "price": np.array([1.0, np.nan, 1, 1])})
    x = cp.Variable(2)
    with pytest.raises(PlanError, match="unbounded"):
        Session(Programme(cp.Problem(cp.Maximize(cp.sum(x)), [x[0] <= 1]), {}, {"x": x})).solve({})
