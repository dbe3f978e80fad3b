"""The main study on a real file, end to end."""

import json

from gridlab import batch


def test_a_backtest_on_real_prices_names_the_day_of_the_gap_and_says_that_fewer_days_were_left(data_dir, tmp_path):
    prices = data_dir / "caiso_sp15" / "day_ahead.csv"
    asked = {"prices_path": str(prices), "models": ["naive", "wavelet"], "days": 56, "n_jobs": 1}
    done = batch.run("backtest", asked, tmp_path)
    assert (done.status, done.error) == ("done", None)
    page, record = done.report.read_text(encoding="utf-8"), json.loads((done.folder / "record.json").read_text())
    assert "2025-08-31" in page
    assert "32 days from 2025-08-29, 1 more left out for gaps (of 56 asked for" in record["verdict"][-1]
    assert record["simulated"] is False
