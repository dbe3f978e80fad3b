"""The page that people keep: whole, self-contained, honest about its data, readable by everyone."""

import base64
import dataclasses
import html
import json
import shutil
import struct
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from gridlab import report
from gridlab.errors import DataError
from gridlab.report import words
from gridlab.report.record import plain
from gridlab.schema import mock_entries

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

MANIFEST = {
    "study": "backtest",
    "case": "days=56",
    "notebook": "notebooks/backtest.ipynb",
    "status": "done",
    "error": None,
    "started": "2026-03-01T12:00:00+00:00",
    "duration_s": 75.2,
    "parameters": {"days": 56, "models": ["naive", "lear"], "prices_path": "<script>alert(1)</script>"},
    "seed": 7,
    "hash": "ab" * 32,
    "data": {"prices_path": {"file": "PJM.csv", "sha256": "cd" * 32}},
    "packages": {"numpy": "2.4.6", "pandas": "3.0.6"},
    "git_commit": "89be47f0a1b2",
    "git_dirty": True,
    "cells": [{"number": 3, "name": "Read the prices", "duration_s": 1.22, "status": "completed"}],
    "report": "report.html",
}


def axes(width=3, height=2):
    from matplotlib.figure import Figure

    ax = Figure(figsize=(width, height), layout="constrained").subplots()
    ax.plot([0, 1], [1, 0])
    return ax


def a_record(**changes):
    index = pd.Index(["idle", "mpc lear", "perfect foresight"], name="policy")
    head = pd.DataFrame({"profit [$/MW-year]": [0.0, 41234.56, 50000.4], "capture_ratio": [np.nan, 0.8247, 1.0]}, index)
    days = pd.date_range("2024-03-01", periods=60, name="day")
    by_day = pd.DataFrame({"price [$/MWh]": np.linspace(-5.25, 90, 60), "hours": np.arange(60)}, index=days)
    fields = {
        "study": "backtest",
        "question": "What did the battery earn?",
        "verdict": ["We asked this.", "It earned 41,235.", "0.82 of perfect foresight.", "One spike.", "March 2024."],
        "figures": [
            report.figure(axes(), "The price falls.", "A line from 1 down to 0."),
            report.figure(axes(), "The price falls again & again.", 'A "line" from 1 down to 0 <again>.'),
        ],
        "tables": {"Profit by policy": head, "Price by day": by_day},
        "headline": "Profit by policy",
        "method": ["Rolling origin."],
        "limits": ["A price taker."],
        "metrics": {"profit [$/MW-year]": 41234.56, "capture_ratio": 0.8247},
        "simulated": False,
        "parameters": {"days": 60},
    }
    return report.Record(**{**fields, **changes})


class Page(HTMLParser):
    """A page's tags in order, with attributes, and the text by tag; the slow, obvious way to read it."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags, self.texts, self._open = [], [], []
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "br"}:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self._open[-1] if self._open else "", " ".join(data.split())))

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def text(self, *tags):
        return [text for tag, text in self.texts if not tags or tag in tags]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    report.write(a_record(simulated=True), folder)
    return Page(report.render(folder, MANIFEST))


def test_a_record_is_written_as_a_page_its_data_and_its_figures(tmp_path):
    path = report.write(a_record(), tmp_path / "new" / "run")
    folder = path.parent
    assert path == folder / "report.html"
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "figures/01-the-price-falls.png",
        "figures/02-the-price-falls-again-again.png",
        "record.json",
        "report.html",
        "tables/price-by-day.parquet",
        "tables/profit-by-policy.parquet",
    ]


def test_tables_come_back_from_their_files_as_they_were(tmp_path):
    record = a_record()
    report.write(record, tmp_path)
    for title, file in (("Profit by policy", "profit-by-policy"), ("Price by day", "price-by-day")):
        table = pd.read_parquet(tmp_path / "tables" / f"{file}.parquet")
        pd.testing.assert_frame_equal(table, record.tables[title], check_freq=False)


def test_a_record_loads_as_it_was_written(tmp_path):
    record = a_record()
    report.write(record, tmp_path)
    content = report.load(tmp_path)
    for name in ("study", "question", "verdict", "headline", "method", "limits", "metrics", "simulated", "parameters"):
        assert content[name] == getattr(record, name)
    assert content["tables"][0] == {
        "title": "Profit by policy",
        "file": "tables/profit-by-policy.parquet",
        "columns": ["profit [$/MW-year]", "capture_ratio"],
        "index_name": "policy",
        "index": ["idle", "mpc lear", "perfect foresight"],
        "rows": [[0.0, None], [41234.56, 0.8247], [50000.4, 1.0]],
    }
    assert content["tables"][1]["index"][0] == "2024-03-01"
    assert [item["alt"] for item in content["figures"]] == [item.alt for item in record.figures]


def test_a_second_write_replaces_the_first_and_leaves_nothing_of_it(tmp_path):
    report.write(a_record(), tmp_path)
    (tmp_path / "flows.parquet").touch()
    table = pd.DataFrame({"profit [$]": [1.0]}, index=["idle"])
    report.write(a_record(figures=[], tables={"Other": table}, headline="Other"), tmp_path)
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"record.json", "report.html", "tables/other.parquet", "flows.parquet"}


def test_a_write_that_fails_leaves_the_old_files_whole(tmp_path, monkeypatch):
    path = report.write(a_record(), tmp_path)
    before = {p: p.read_bytes() for p in (path, tmp_path / "record.json")}
    monkeypatch.setattr(pd.DataFrame, "to_parquet", lambda table, path: path.write_text("half") / 0)
    with pytest.raises(ZeroDivisionError):
        report.write(a_record(question="Another?"), tmp_path)
    assert {p: p.read_bytes() for p in before} == before
    assert not list(tmp_path.rglob("*.partial"))


def test_a_relative_folder_lies_in_the_project_wherever_the_notebook_runs(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert report.write(a_record(), "reports/scratch") == tmp_path / "reports" / "scratch" / "report.html"
    assert report.index("reports") == tmp_path / "reports" / "index.html"


def test_the_record_is_json_whatever_it_holds():
    held = {
        "nan": float("nan"),
        "inf": np.array([np.inf, -np.inf]),
        "int": np.int64(5),
        "flag": np.bool_(True),
        "when": [pd.Timestamp("2024-03-01"), pd.Timestamp("2024-03-01T01:00Z"), pd.NaT],
        "path": ("a", None, {"b": pd.NA}),
    }
    assert json.loads(json.dumps(plain(held), allow_nan=False)) == {
        "nan": None,
        "inf": ["inf", "-inf"],
        "int": 5,
        "flag": True,
        "when": ["2024-03-01", "2024-03-01T01:00:00+00:00", None],
        "path": ["a", None, {"b": None}],
    }


def test_an_index_in_levels_becomes_columns_in_the_record(tmp_path):
    index = pd.MultiIndex.from_tuples([("lear", 0), ("lear", 1)], names=["model", "hour"])
    tables = {"Scores": pd.DataFrame({"MAE [$/MWh]": [3.0, 4.0]}, index=index), "Empty": pd.DataFrame(index=["a"])}
    report.write(a_record(tables=tables, headline="Scores"), tmp_path)
    scores, empty = report.load(tmp_path)["tables"]
    assert (scores["index_name"], scores["columns"]) == ("model", ["hour", "MAE [$/MWh]"])
    assert scores["rows"] == [[0, 3.0], [1, 4.0]]
    assert empty["rows"] == [[]]


def test_the_page_asks_nothing_of_the_network(page):
    assert not page.all("script")
    addresses = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href", "srcset")]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "url(" not in page.source
    assert "@import" not in page.source
    [policy] = [attrs["content"] for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_what_comes_from_outside_is_escaped(page, tmp_path):
    assert "<script" not in page.source
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.source
    bad = '"><script>x</script>'
    table = pd.DataFrame({bad: [bad]}, index=pd.Index([bad], name=bad))
    shown = a_record(question=bad, verdict=[bad] * 5, tables={bad: table}, headline=bad, metrics={bad: 1.0}, study=bad)
    assert "<script" not in Page(report.write(shown, tmp_path)).source


def test_the_page_has_one_first_heading_the_question_and_headings_in_order(page):
    levels = [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels == ["h1"] + ["h2"] * 6
    assert page.text("h1") == ["What did the battery earn?"]
    assert page.text("h2") == ["Verdict", "Figures", "Tables", "Method", "Limits", "This run"]


def test_the_page_says_its_language_title_and_description_and_fits_a_phone(page):
    meta = {attrs.get("name"): attrs.get("content") for attrs in page.all("meta")}
    assert page.all("html") == [{"lang": "en"}]
    assert page.text("title")[0].startswith("What did the battery earn?")
    assert meta["viewport"] == "width=device-width, initial-scale=1"
    assert meta["description"] == "It earned 41,235."


def test_every_figure_has_its_sentence_as_caption_and_alt_text_in_words(page):
    images = page.all("img")
    assert [image["alt"] for image in images] == ["A line from 1 down to 0.", 'A "line" from 1 down to 0 <again>.']
    assert page.text("figcaption") == ["The price falls.", "The price falls again & again."]
    for image in images:
        assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


def test_every_table_has_a_caption_and_scopes_and_units_in_its_headings(page):
    assert len(page.all("caption")) == len(page.all("table")) == 4
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    units = [text for tag, text in page.texts if tag == "span"]
    assert {"$/MW-year", "$/MWh"} <= set(units)


def test_the_verdict_comes_first_then_the_headline_then_figures_tables_and_the_rest(page):
    marks = ["SIMULATED DATA", "<h1", "We asked this.", "March 2024.", "Profit by policy", "Figure 1.", "Price by day",
             "Rolling origin.", "A price taker.", "notebooks/backtest.ipynb"]  # fmt: skip
    body = page.source[page.source.index("<body>") :]
    places = [body.index(mark) for mark in marks]
    assert places == sorted(places)
    assert page.text("dd")[:2] == ["41,235", "0.825"]


def test_only_simulated_data_has_the_banner(page, tmp_path):
    assert "SIMULATED DATA" in page.source
    assert "SIMULATED" not in Page(report.write(a_record(simulated=False), tmp_path)).source


def test_numbers_are_rounded_by_column_and_a_missing_one_is_a_dash(page):
    cells = page.text("td")
    assert cells[:6] == ["0", "–", "41,235", "0.825", "50,000", "1.000"]  # noqa: RUF001
    assert "−5.25" in cells  # noqa: RUF001
    numeric = [attrs for attrs in page.all("td") if attrs.get("class") == "number"]
    assert len(numeric) == 6 + 2 * 40


def test_a_long_table_is_cut_and_says_where_the_rest_is(page):
    assert "– the first 40 rows; 20 more in tables/price-by-day.parquet" in page.text("span")  # noqa: RUF001


def test_the_page_tells_the_run(page):
    told = page.text()
    for fact in ("89be47f0a1b2, with changes that were not committed", "1 min 15 s", "1 Mar 2026, 12:00 UTC",
                 f"PJM.csv (SHA-256 {'cd' * 32})", '["naive", "lear"]'):  # fmt: skip
        assert fact in told
    assert "numpy 2.4.6, pandas 3.0.6." in told
    assert "Read the prices: 1.2 s." in told


def test_a_page_can_be_made_again_from_the_folder_alone(tmp_path):
    written = report.write(a_record(), tmp_path)
    assert "no manifest of this run" in written.read_text(encoding="utf-8")
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    again = report.render(tmp_path).read_text(encoding="utf-8")
    assert again == report.render(tmp_path, MANIFEST).read_text(encoding="utf-8")
    assert "89be47f0a1b2" in again


def test_a_record_without_metrics_figures_or_more_tables_makes_a_page(tmp_path):
    tables = {"Profit": pd.DataFrame({"profit [$]": []}, index=pd.Index([], name="policy"))}
    record = a_record(metrics={}, figures=[], tables=tables, headline="Profit", parameters={})
    shown = Page(report.write(record, tmp_path))
    assert shown.text("h2") == ["Verdict", "Method", "Limits", "This run"]


REFUSED = {
    "five sentences": {"verdict": ["One."]},
    "must have five sentences .*'Only'": {"verdict": "Only"},
    "does not say the main risk": {"verdict": ["a", "b", "c", " ", "e"]},
    "headline must be the title of a table": {"headline": "Nothing"},
    "columns in levels": {"tables": {"Profit by policy": pd.DataFrame({("a", "b"): [1]})}},
    "two tables would share the name 'a-b'": {
        "tables": {"a b": pd.DataFrame(), "A: b": pd.DataFrame()},
        "headline": "a b",
    },
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_record_that_does_not_say_what_it_must_is_refused(message):
    with pytest.raises(DataError, match=message):
        a_record(**REFUSED[message])


def test_a_folder_without_a_readable_record_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no record in"):
        report.render(tmp_path)
    (tmp_path / "record.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        report.load(tmp_path)
    (tmp_path / "record.json").write_text('{"schema_version": 99}')
    with pytest.raises(DataError, match="schema version 99, this gridlab reads 1"):
        report.load(tmp_path)


def test_a_figure_shows_its_picture_and_is_compared_by_its_words():
    shown = report.figure(axes(), "The price falls.", "A line from 1 down to 0.")
    assert shown._repr_mimebundle_() == {"image/png": shown.png, "text/plain": "A line from 1 down to 0."}
    assert "PNG" not in repr(shown)


def test_a_figure_is_twice_as_dense_as_a_screen_and_the_same_each_time():
    pictures = [report.figure(axes(9, 4), "t", "a").png for _ in range(2)]
    assert pictures[0] == pictures[1]
    assert struct.unpack(">I", pictures[0][16:20])[0] > 1600


def test_a_figure_is_made_from_axes_from_several_and_from_a_whole_figure_and_then_closed():
    import matplotlib.pyplot as plt

    several = plt.subplots(3)[1]
    for drawing in (plt.subplots()[1], several, plt.figure()):
        assert report.figure(drawing, "t", "a").png
    assert not plt.get_fignums()


@pytest.mark.parametrize("words_of", [("", "alt"), ("title", " ")])
def test_a_figure_without_words_is_refused(words_of):
    with pytest.raises(DataError, match="a sentence as title and alt text"):
        report.figure(axes(), *words_of)


KNOWN = [
    ([0.0314, -0.2], ["0.031", "−0.200"]),  # noqa: RUF001
    ([0.00123456], ["0.00123"]),
    ([1e-9, 2.0], ["1.0e−09", "2.000"]),  # noqa: RUF001
    ([-0.0001, 12345.6], ["−1.0e−04", "12,346"]),  # noqa: RUF001
    ([0.0, -0.0, 99.994], ["0.00", "0.00", "99.99"]),
    (["inf", "-inf", 1], ["∞", "−∞", "1"]),  # noqa: RUF001
    ([True, False, ""], ["yes", "no", "–"]),  # noqa: RUF001
]


@pytest.mark.parametrize(("values", "shown"), KNOWN)
def test_numbers_are_printed_with_four_digits_and_a_true_minus(values, shown):
    assert words.column(values) == shown


def a_run(reports, study, name, record=None, **told):
    folder = reports / study / name
    folder.mkdir(parents=True)
    if record is not None:
        report.write(record, folder)
    (folder / "manifest.json").write_text(json.dumps({**MANIFEST, **told}))
    (folder / "run.log").touch()
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    reports = tmp_path_factory.mktemp("reports")
    bare = a_record(figures=[])
    a_run(reports, "backtest", "1-days=7-aa", dataclasses.replace(bare, metrics={"profit [$]": 70.5}), case="days=7",
          parameters={"days": 7, "seed": 1})  # fmt: skip
    a_run(reports, "backtest", "2-days=14-bb", dataclasses.replace(bare, metrics={"profit [$]": 9.25}), case="days=14",
          started="2026-03-02T12:00:00+00:00", parameters={"days": 14, "seed": 1})  # fmt: skip
    a_run(reports, "backtest", "3-days=1-cc-failed", case="days=1", status="failed", error="lear needs <56> days",
          started="2026-03-03T12:00:00+00:00", parameters={"days": 1, "seed": 1}, report=None)  # fmt: skip
    a_run(reports, "other", "1-defaults-dd", bare, case="defaults")
    a_run(reports, "other", ".2-defaults-ee.partial")
    (reports / "other" / "3-broken").mkdir()
    (reports / "other" / "3-broken" / "manifest.json").write_text("{")
    return Page(report.index(reports)), reports


def test_the_index_lists_every_run_newest_first_failed_ones_too_and_none_that_is_running(runs):
    page, _ = runs
    assert page.text("h1") == ["5 runs of 2 studies"]
    assert page.text("h2") == ["backtest", "other"]
    assert [attrs.get("title") for attrs in page.all("th") if attrs.get("scope") == "row"] == [
        "3-days=1-cc-failed", "2-days=14-bb", "1-days=7-aa", "1-defaults-dd", "3-broken",
    ]  # fmt: skip
    assert "lear needs <56> days" in page.text("span")
    assert "unreadable" in page.text("span")


def test_the_index_shows_the_parameters_that_differ_and_the_metrics_with_units(runs):
    page, _ = runs
    headings = page.text("button")
    assert headings[:6] == ["started", "case", "status", "duration", "days", "profit"]
    assert "seed" not in headings
    assert {"70.50", "9.250", "14"} <= set(page.text("td"))
    assert "$" in page.text("span")


def test_the_index_links_only_to_what_is_there_and_asks_nothing_of_the_network(runs):
    from urllib.parse import unquote

    page, reports = runs
    links = [attrs["href"] for attrs in page.all("a")]
    assert len(links) == 3 * 2 + 1 + 4
    assert all((reports / unquote(link)).is_file() for link in links)
    assert all("src" not in attrs for _, attrs in page.tags)
    assert [attrs["href"] for attrs in page.all("link")] == ["data:,"]


def test_an_empty_folder_has_an_index_that_says_what_to_do(tmp_path):
    assert "start one with" in " ".join(Page(report.index(tmp_path / "reports")).text())


MEASURE = """<!doctype html><meta charset="utf-8"><body>{frames}<pre id="out"></pre><script>
window.addEventListener("load", function () {{
  var out = [];
  document.querySelectorAll("iframe").forEach(function (frame) {{
    var page = frame.contentDocument, button = page.querySelectorAll("thead button")[5];
    var order = function () {{
      var rows = Array.from(page.querySelector("tbody").rows);
      return rows.map(function (row) {{ return row.cells[5].dataset.key; }});
    }};
    var sorted = button ? [button.click(), order(), button.click(), order()] : [];
    var loads = frame.contentWindow.performance.getEntriesByType("resource");
    out.push({{
      width: page.documentElement.scrollWidth,
      loaded: loads.map(function (entry) {{ return entry.name; }}),
      images: Array.from(page.images).map(function (image) {{ return image.naturalWidth; }}),
      sorted: [sorted[1], sorted[3]]
    }});
  }});
  document.getElementById("out").textContent = JSON.stringify(out);
}});
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install it to check the page in a browser")
def test_in_a_browser_the_pages_fit_a_phone_load_nothing_and_the_index_sorts(page, runs, tmp_path):
    frame = '<iframe style="width:375px;height:800px;border:0" srcdoc="{}"></iframe>'
    sources = (page.source, runs[0].source)
    wrapper = tmp_path / "wrapper.html"
    frames = "".join(frame.format(html.escape(source)) for source in sources)
    wrapper.write_text(MEASURE.format(frames=frames), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
             "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", wrapper.as_uri()]  # fmt: skip
    dom = subprocess.run([CHROMIUM, *flags], capture_output=True, text=True, timeout=60, check=True).stdout
    shown, listed = json.loads(html.unescape(dom.split('<pre id="out">')[1].split("</pre>")[0]))
    assert shown["width"] <= 375
    assert listed["width"] <= 375
    assert all(name.startswith("data:") for name in shown["loaded"] + listed["loaded"])
    assert len(shown["images"]) == 2
    assert min(shown["images"]) > 100
    assert listed["sorted"] == [["9.25", "70.5", ""], ["70.5", "9.25", ""]]


def test_ledgers_lie_beside_the_page_and_say_whether_they_are_simulated(tmp_path):
    entries = mock_entries(days=2)
    entries.attrs["market_tz"] = "UTC"
    record = a_record(ledgers={"mpc LEAR": entries, "idle": entries}, simulated=True)
    page = report.write(record, tmp_path).read_text()
    assert "ledger/" in page
    kept = pd.read_parquet(tmp_path / "ledger" / "mpc-lear.parquet")
    pd.testing.assert_frame_equal(kept, entries)
    assert kept.attrs == {"market_tz": "UTC", "simulated": True}
    assert entries.attrs == {"market_tz": "UTC"}
    report.write(a_record(ledgers={"idle": entries}), tmp_path)
    assert [path.name for path in (tmp_path / "ledger").iterdir()] == ["idle.parquet"]
    assert "ledger/" not in report.write(a_record(), tmp_path).read_text()


def test_a_ledger_that_is_none_is_refused():
    with pytest.raises(DataError, match="entries has no column"):
        a_record(ledgers={"idle": pd.DataFrame({"profit": [1.0]})})
