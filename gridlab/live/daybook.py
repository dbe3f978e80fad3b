"""A journal in tables that a person reads: what was earned, what happened, how long it took."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

STAGES = ("fetch", "forecast", "auction", "plan", "protect", "dispatch", "journal", "send")


def profits(outcomes: pd.DataFrame) -> pd.DataFrame:
    """
    What was earned, beside what simpler ways would have earned at the same prices.

    Parameters
    ----------
    outcomes : DataFrame
        The reader's, or a replay's. [$]

    Returns
    -------
    DataFrame
        By way to run the site, ``profit [$]`` and ``share of hindsight [-]``, NaN where hindsight earns nothing.

    Examples
    --------
    >>> outcomes = pd.DataFrame({"profit": [3.0, 5.0], "best_machine": [3.0, 4.0], "hindsight": [3.0, 7.0]})
    >>> profits(outcomes)["share of hindsight [-]"].tolist()
    [0.8, 0.7, 0.0, 1.0]
    """
    total = outcomes[["profit", "best_machine", "hindsight"]].sum()
    earned = pd.Series(
        {
            "the loop": total["profit"],
            "all on the best machine": total["best_machine"],
            "doing nothing": 0.0,
            "machines in hindsight": total["hindsight"],
        }
    )
    share = earned / total["hindsight"] if total["hindsight"] > 0 else earned * float("nan")
    return pd.DataFrame({"profit [$]": earned, "share of hindsight [-]": share}).rename_axis("way")


def machine_hours(decisions: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """
    How the intervals were spent: machine-hours by type, ``hours [h]`` and ``mean [machines]``.

    Examples
    --------
    >>> times = pd.date_range("2025-06-21 12:00", periods=2, freq="5min", tz="UTC")
    >>> machine_hours(pd.DataFrame({"gpu_compute": [6, 0]}, index=times), ("gpu_compute",)).to_numpy().tolist()
    [[0.5, 3.0]]
    """
    counts = decisions[list(names)]
    return pd.DataFrame({"hours [h]": counts.sum() / 12, "mean [machines]": counts.mean()}).rename_axis("machines")


def happened(events: pd.DataFrame, until: pd.Timestamp) -> pd.DataFrame:
    """
    What happened, by kind and name.

    Parameters
    ----------
    events : DataFrame
        The reader's.
    until : Timestamp
        When what still stands is counted to.

    Returns
    -------
    DataFrame
        By kind and name: ``times``, ``minutes [min]`` for which it stood, 0 of what only happened, whether it
        ``stands`` still, and the first ``text``; the longest first.

    Examples
    --------
    >>> noon = pd.Timestamp("2025-06-21 12:00", tz="UTC")
    >>> events = pd.DataFrame({
    ...     "at": [noon, noon + pd.Timedelta("10min")], "kind": "fallback", "name": "prices",
    ...     "phase": ["raised", "ended"], "text": ["no prices", "over"],
    ... })
    >>> happened(events, noon + pd.Timedelta("1h"))[["times", "minutes [min]", "stands"]].values.tolist()
    [[1, 10.0, False]]
    """
    rows = [(*of, *_told(ours, until)) for of, ours in events.groupby(["kind", "name"], sort=False)]
    columns = ["kind", "name", "times", "minutes [min]", "stands", "text"]
    table = pd.DataFrame(rows, columns=columns).sort_values("minutes [min]", ascending=False, kind="stable")
    return table.reset_index(drop=True)


def latencies(decisions: pd.DataFrame) -> pd.DataFrame:
    """
    How long each stage took from prices to the allocation sent.

    Parameters
    ----------
    decisions : DataFrame
        The reader's. [ms]

    Returns
    -------
    DataFrame
        By stage and in ``total``: ``median [ms]``, ``95 of 100 below [ms]`` and ``share [-]`` of the mean total.

    Examples
    --------
    >>> told = latencies(pd.DataFrame({f"ms_{stage}": [1.0, 3.0] for stage in (*STAGES, "total")}))
    >>> float(told.loc["send", "median [ms]"])
    2.0
    """
    ms = pd.DataFrame({stage: decisions[f"ms_{stage}"] for stage in (*STAGES, "total")})
    mean = ms.mean()
    table = {"median [ms]": ms.median(), "95 of 100 below [ms]": ms.quantile(0.95), "share [-]": mean / mean["total"]}
    return pd.DataFrame(table).rename_axis("stage")


def calls(replies: pd.DataFrame) -> pd.DataFrame:
    """
    What was asked of the server: by call ``requests``, ``failed``, and ``median [ms]`` of those answered.

    Examples
    --------
    >>> replies = pd.DataFrame({"call": "GET /prices", "latency_ms": [4.0, 9.0], "problem": [None, "it broke"]})
    >>> calls(replies).values.tolist()
    [[2.0, 1.0, 4.0]]
    """
    failed = replies["problem"].notna()
    counted = failed.groupby(replies["call"]).agg(["size", "sum"]).set_axis(["requests", "failed"], axis=1)
    return counted.assign(**{"median [ms]": replies[~failed].groupby("call")["latency_ms"].median()})


def lost(decisions: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """
    What the site earned less than machines could have in hindsight, by what was in force.

    Parameters
    ----------
    decisions, outcomes : DataFrame
        The reader's. [$]

    Returns
    -------
    DataFrame
        By mode of the decision, ``not sent`` where it was not applied: ``intervals``, ``lost [$]``, negative where more
        was earned than by machines alone.

    Examples
    --------
    >>> times = pd.date_range("2025-06-21 12:00", periods=2, freq="5min", tz="UTC")
    >>> decisions = pd.DataFrame({"mode": ["normal", "hold"], "status": ["failed", "confirmed"]}, index=times)
    >>> outcomes = pd.DataFrame({"profit": [1.0, 2.0], "hindsight": [5.0, 2.5]}, index=times)
    >>> lost(decisions, outcomes)["lost [$]"].to_dict()
    {'not sent': 4.0, 'hold': 0.5}
    """
    ours = decisions.reindex(outcomes.index)
    why = ours["mode"].where(ours["status"].isin(("confirmed", "recovered", "kept")), "not sent")
    gap = (outcomes["hindsight"] - outcomes["profit"]).groupby(why).agg(["size", "sum"])
    gap = gap.set_axis(["intervals", "lost [$]"], axis=1).rename_axis("in force")
    return gap.sort_values("lost [$]", ascending=False)


def forecast_errors(
    fans: Mapping[pd.Timestamp, pd.DataFrame], prices: pd.DataFrame, leads: Sequence[int] = (1, 3, 6, 12, 24)
) -> pd.DataFrame:
    """
    How the forecasts kept with the decisions erred, beside the last price known.

    Parameters
    ----------
    fans : mapping of Timestamp to DataFrame
        The reader's forecasts, by the interval of their decision.
    prices : DataFrame
        The prices that came.
    leads : sequence of int
        Intervals ahead of the last row known.

    Returns
    -------
    DataFrame
        By series and lead: ``forecasts``, mean absolute errors of the ``ensemble`` and the ``naive``, and the share
        ``in 90 % band [-]``.
    """
    rows = [
        (series, lead, *_erred([fan[series] for fan in fans.values() if len(fan) >= lead], prices[series], lead))
        for series in ("price", "hash_price", "token_price")
        for lead in leads
    ]
    columns = ["series", "lead [intervals]", "forecasts", "ensemble", "naive", "in 90 % band [-]"]
    return pd.DataFrame(rows, columns=columns).set_index(["series", "lead [intervals]"])


def _erred(fans: list[pd.DataFrame], price: pd.Series, lead: int) -> tuple[int, float, float, float]:
    """How many forecasts of a lead can be judged, their errors, those of the last price, and the share in the band."""
    step = pd.Timedelta(minutes=5)
    fan = pd.DataFrame([one.iloc[lead - 1] for one in fans])
    actual = price.reindex([one.index[lead - 1] for one in fans]).to_numpy(float)
    last = price.reindex([one.index[0] - step for one in fans]).to_numpy(float)
    known = np.isfinite(actual) & np.isfinite(last)
    if not known.any():
        return 0, np.nan, np.nan, np.nan
    fan, actual, last = fan[known], actual[known], last[known]
    inside = (actual >= fan["q05"]) & (actual <= fan["q95"])
    return (
        len(fan),
        float(np.abs(fan["mean"] - actual).mean()),
        float(np.abs(last - actual).mean()),
        float(inside.mean()),
    )


def _told(events: pd.DataFrame, until: pd.Timestamp) -> tuple[int, float, bool, str]:
    """How often, for how many minutes in all, whether still, and the first words."""
    begun, ended = (events.loc[events["phase"] == phase, "at"].tolist() for phase in ("raised", "ended"))
    stands = len(begun) > len(ended)
    ends = [*ended[: len(begun)], *([until] if stands else [])]
    lasted = sum(((end - at).total_seconds() / 60 for at, end in zip(begun, ends, strict=False)), 0.0)
    said = events.loc[events["phase"] != "ended", "text"].tolist()
    return len(said), lasted, stands, said[0] if said else ""
