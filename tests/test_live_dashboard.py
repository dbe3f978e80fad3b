"""The page of a live site: what it says, what its controls ask for, and what a browser makes of it."""

import asyncio
import io
import json
import pickle
import shutil
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_mock import CAP_POWER, MockCommands, MockReader

from gridlab.errors import DataError
from gridlab.live import dashboard as module
from gridlab.live.config import Config
from gridlab.live.dashboard import dashboard
from gridlab.live.page import figures, serving, voila_command, voila_environment
from gridlab.live.page.controls import Controls, check_override, commands_html
from gridlab.live.page.seen import View, fingerprint, in_force, look, sensors_of
from gridlab.live.page.words import state_of
from gridlab.sources.mara import EVENT, MACHINES

NOW = pd.Timestamp("2025-06-21 18:02", tz="UTC")
VIEW = View(config=Config(cap_power=CAP_POWER), inventory=EVENT)
BADGE = np.array([0x5B, 0x2A, 0x86]) / 255

pytestmark = pytest.mark.filterwarnings("error")


def reader(n=60, **settings):
    return MockReader(n, now=NOW, **settings)


def page(source, **settings):
    given_settings = {"config": VIEW.config, "inventory": EVENT, "watch": False}
    return dashboard(source, **(given_settings | settings))


@pytest.fixture
def asked(tmp_path):
    """A file of commands, what appends to it, a reader that shows it, and the controls."""
    path = tmp_path / "commands.jsonl"
    source = reader(commands=path)
    controls = Controls(MockCommands(path), VIEW, lambda: NOW, lambda: None)
    controls.show(look(source, None, VIEW))

    def rows():
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return source, controls, rows


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing, replaced by a count of how often it was asked for."""
    drawn = []

    def draw(seen, view):
        drawn.append(seen)
        return {name: figures.Picture(name, name, f"{name} in words", b"w", b"n") for name in figures.FIGURES}

    monkeypatch.setattr(module, "pictures", draw)
    return drawn


# What it says


@pytest.fixture(scope="module")
def drawn():
    """A page with its real figures."""
    return page(reader(n=30))


def test_the_static_page_names_the_site_and_shows_every_figure_with_words_and_no_script(drawn):
    bundle = drawn._repr_mimebundle_()
    html = bundle["text/html"]
    assert "Hill &lt;site&gt; &amp; sons" in html and "<site>" not in html
    assert html.count("<img ") == len(figures.FIGURES) == html.count('alt="Simulated. ')
    assert "GET /prices answered 500 &lt;html&gt;oops" in html
    assert "<script" not in html and "http://" not in html and "https://" not in html
    assert bundle["text/plain"] == "The page of Hill <site> & sons"


def test_simulated_stands_on_the_page_and_on_every_figure_in_both_widths(drawn):
    assert "gl-badge" in drawn._head.value
    for one in drawn._pictures.values():
        assert one.alt.startswith("Simulated. ")
        assert has_badge(one.wide) and has_badge(one.narrow), one.name


def test_a_real_site_is_nowhere_said_to_be_simulated():
    seen = look(reader(n=20, simulated=False), lambda: NOW, VIEW)
    assert "gl-badge" not in module.words.header_html(seen, VIEW, 1.0)
    one = figures.picture("latency", seen, VIEW)
    assert not one.alt.startswith("Simulated") and not has_badge(one.wide) and not has_badge(one.narrow)


def has_badge(png):
    pixels = matplotlib.image.imread(io.BytesIO(png))[..., :3]
    return (np.abs(pixels - BADGE) < 0.005).all(axis=-1).sum() > 200


def test_the_state_of_the_loop_is_the_worst_that_holds():
    source = reader()
    assert state_of(look(source, None, VIEW)).word == "running"
    source._decisions.iloc[-1, source._decisions.columns.get_loc("mode")] = "safe"
    assert state_of(look(source, None, VIEW))[:2] == ("safe state", "bad")
    source.paused = True
    assert state_of(look(source, None, VIEW)).word == "paused"
    source.running = False
    assert state_of(look(source, None, VIEW))[:2] == ("stopped", "bad")


def test_a_step_that_is_late_by_the_sites_clock_is_said_to_be_late(no_figures):
    shown = page(reader(), clock=lambda: NOW)
    assert "Last step 119 s ago" in shown._head.value and "LATE:" not in shown._head.value
    shown = page(reader(), clock=lambda: NOW + pd.Timedelta(minutes=10))
    assert 'gl-bad">LATE: last step 12 min ago' in shown._head.value


def test_a_simulated_sites_step_is_late_by_the_pace_that_was_seen_and_of_no_age_before_one_was(no_figures, monkeypatch):
    watch = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: watch[0])
    source = reader()
    source.n = 50
    shown = page(source)
    assert "Last step at 17:20:01" in shown._head.value and "ago" not in shown._head.value
    for source.n in (51, 52):
        watch[0] += 5
        shown.refresh()
    watch[0] += 29
    shown.refresh()
    assert "Last step 29 s ago" in shown._head.value
    watch[0] += 2
    shown.refresh()
    assert "LATE: last step 31 s ago" in shown._head.value


def test_alerts_in_force_are_those_raised_last_and_not_ended():
    events = reader().events()
    alerts = in_force(events)
    assert alerts["name"].tolist() == ["forecast_drift"]
    expected = {
        key
        for key, group in events.groupby(["kind", "name"])
        if (phases := group.loc[group["phase"] != "once", "phase"].tolist()) and phases[-1] == "raised"
    }
    assert set(zip(alerts["kind"], alerts["name"], strict=True)) == expected


def test_key_figures_are_the_days_profit_and_its_difference_to_the_best_machine(no_figures):
    source = reader(n=40)
    outcomes = source.outcomes(NOW.normalize())
    gain = outcomes["profit"].sum() - outcomes["best_machine"].sum()
    tiles = page(source, clock=lambda: NOW)._tiles.value.replace("\N{NO-BREAK SPACE}", " ")
    assert f"{outcomes['profit'].sum() / 1e6:,.1f} M $" in tiles
    assert f"{abs(gain):,.0f} $" in tiles or f"{abs(gain) / 1e6:,.1f} M $" in tiles
    assert "OVER THE CAP" not in tiles
    source._decisions["power_mw"] = 1.02
    assert "OVER THE CAP" in page(source, clock=lambda: NOW)._tiles.value


def test_a_page_of_a_journal_without_a_row_shows_that_nothing_is_recorded(tmp_path):
    from gridlab.live.journal import Journal

    path = tmp_path / "live.db"
    with Journal.open(path, site="site", simulated=True):
        shown = page(path)
        assert not shown._problem.value
        assert "The loop runs and has not decided yet" in shown._head.value
        assert set(shown._pictures) == set(figures.FIGURES) - {"state"}


def test_a_site_without_sensors_has_neither_their_tiles_nor_an_empty_figure_and_one_that_is_silent_says_so(no_figures):
    source = reader(n=20)
    source._decisions[["soc_share", "temperature_c"]] = np.nan
    tiles = page(source)._tiles.value
    assert "State of charge" not in tiles and "Hottest machine" not in tiles
    view = View(config=Config(cap_power=CAP_POWER, thermometer=True), inventory=EVENT)
    seen = look(source, None, view)
    assert sensors_of(seen, view) == ("temperature_c",) and sensors_of(seen, VIEW) == ()
    assert "no reading" in module.words.tiles_html(seen, view)
    source._decisions.iloc[3, source._decisions.columns.get_loc("soc_share")] = 0.5
    assert sensors_of(look(source, None, VIEW), VIEW) == ("soc_share",)


def test_services_sold_are_a_table_of_the_last_interval_and_no_word_where_there_are_none(no_figures, monkeypatch):
    source = reader(n=20)
    assert page(source)._services.value == "" and "Services today" not in page(source)._tiles.value
    last = source.status()["last_interval"]
    rows = [(last, "A <b>", "inference", 0.2, 3e7, 0.1, 123.0), (last, "B", "training", 0.4, 1e7, 0.0, 0.0)]
    bids = pd.DataFrame(rows, columns=source.bids().columns)
    monkeypatch.setattr(source, "bids", lambda since=None: bids[bids["time"] >= since])
    shown = page(source)
    assert shown._services.value.index("A &lt;b&gt;") < shown._services.value.index(">B<")
    assert "123 $" in shown._services.value and "nothing" in shown._services.value
    assert "Services today" in shown._tiles.value


def test_a_gain_that_rounding_made_is_no_gain(no_figures):
    source = reader(n=40)
    source._outcomes["profit"] = source._outcomes["best_machine"] * (1 + 1e-15)
    tile = page(source, clock=lambda: NOW)._tiles.value
    assert "<strong>0 $</strong>" in tile and "e\N{MINUS SIGN}" not in tile


def test_a_time_zone_or_a_pace_that_makes_no_sense_is_refused():
    with pytest.raises(DataError, match="no time zone 'Mars'"):
        page(reader(), market_tz="Mars")
    with pytest.raises(DataError, match="refresh_s must be at least"):
        page(reader(), refresh_s=0)


# Looking again


def test_figures_are_drawn_again_only_when_the_journal_has_changed(no_figures):
    source = reader()
    source.n = 50
    shown = page(source)
    shown.refresh()
    assert len(no_figures) == 1
    source.n = 51
    shown.refresh()
    assert len(no_figures) == 2
    assert fingerprint(no_figures[0]) != fingerprint(no_figures[1])


def test_whatever_a_figure_shows_changes_the_fingerprint_and_the_time_does_not():
    source = reader()
    seen = look(source, lambda: NOW, VIEW)
    assert fingerprint(look(source, lambda: NOW + pd.Timedelta(seconds=9), VIEW)) == fingerprint(seen)
    sent = seen.decisions.assign(status="sending")
    for changed in (
        seen._replace(decisions=sent),
        seen._replace(decisions=seen.decisions.iloc[:-1]),
        seen._replace(outcomes=seen.outcomes.iloc[:-1]),
        seen._replace(prices=seen.prices.iloc[:-1]),
        seen._replace(status={**seen.status, "simulated": False}),
    ):
        assert fingerprint(changed) != fingerprint(seen)


def test_a_failure_is_a_sentence_on_the_page_and_the_next_look_mends_it(no_figures, monkeypatch):
    source = reader()
    shown = page(source)
    read = source.decisions
    monkeypatch.setattr(source, "decisions", lambda since=None: 1 / 0)
    shown.refresh()
    assert (
        "The journal could not be read (division by zero); trying again. What is shown is from" in shown._problem.value
    )
    monkeypatch.setattr(source, "decisions", read)
    shown.refresh()
    assert shown._problem.value == ""


def test_figures_that_cannot_be_drawn_are_a_sentence_and_the_older_ones_stay(no_figures, monkeypatch):
    source = reader()
    source.n = 50
    shown = page(source)
    before = shown._figures["power"].value
    monkeypatch.setattr(module, "pictures", lambda seen, view: 1 / 0)
    source.n = 51
    shown.refresh()
    assert "The figures could not be drawn" in shown._problem.value
    assert shown._figures["power"].value == before


def test_it_looks_again_by_itself_until_it_is_closed(no_figures):
    async def watched():
        source = reader()
        source.n = 50
        shown = page(source, watch=True, refresh_s=0.5)
        assert shown.watching and "application/vnd.jupyter.widget-view+json" in shown._repr_mimebundle_()
        source.n = 51
        for _ in range(40):
            await asyncio.sleep(0.05)
            if len(no_figures) == 2:
                break
        shown.tree.close()
        source.n = 52
        await asyncio.sleep(0.7)
        return shown.watching, len(no_figures)

    assert asyncio.run(watched()) == (False, 2)


def test_a_second_page_of_a_journal_in_one_kernel_ends_the_first(no_figures):
    async def opened():
        source = reader()
        first = page(source, watch=True)
        second = page(source, watch=True)
        state = first.watching, second.watching
        second.close()
        await asyncio.sleep(0)
        return state

    assert asyncio.run(opened()) == (False, True)


def test_where_nobody_looks_on_nothing_runs_in_the_background(no_figures):
    assert not dashboard(reader(), config=VIEW.config, inventory=EVENT).watching


def test_a_page_that_is_not_heard_of_lets_its_kernel_rest(no_figures, monkeypatch):
    async def opened():
        monkeypatch.setenv(module.TEMPLATE_VARIABLE, "gridlab")
        monkeypatch.setattr(module, "UNHEARD_S", 0.2)
        shown = page(reader(), watch=True, refresh_s=0.5)
        await asyncio.sleep(0.7)
        rested = not shown.watching
        shown._heard()
        again = shown.watching
        shown.close()
        await asyncio.sleep(0)
        return rested, again

    assert asyncio.run(opened()) == (True, True)


# Controls


def test_each_control_appends_its_command(asked):
    source, controls, rows = asked
    controls.pause.click()
    controls.risk.value = 0.35
    source.paused = True
    controls.show(look(source, None, VIEW))
    controls.resume.click()
    source._decisions.iloc[-1, source._decisions.columns.get_loc("mode")] = "override"
    controls.show(look(source, None, VIEW))
    assert not controls.clear.disabled
    controls.clear.click()
    assert [(row["kind"], row["value"]) for row in rows()] == [
        ("pause", None),
        ("risk", 0.35),
        ("resume", None),
        ("clear_override", None),
    ]


def test_a_command_is_said_to_be_asked_until_the_loop_has_applied_it(asked):
    source, controls, _ = asked
    controls.pause.click()
    controls.show(look(source, None, VIEW))
    assert "the loop has not applied it yet" in controls.asked.value
    source.applied.add(0)
    controls.show(look(source, None, VIEW))
    assert "not applied" not in controls.asked.value and "applied at" in controls.asked.value


def test_the_slider_follows_another_viewer_and_asks_for_nothing_by_that(asked):
    source, controls, rows = asked
    MockCommands(source.path).risk(0.7, by="another")
    controls.show(look(source, None, VIEW))
    assert controls.risk.value == 0.7 and len(rows()) == 1
    assert not controls.risk.continuous_update


def test_an_override_is_sent_only_after_it_is_confirmed_and_says_what_it_will_do(asked):
    _, controls, rows = asked
    controls.counts["hydro_miners"].value = 120
    controls.counts["asic_compute"].value = 1
    controls.minutes.value = 30
    controls.confirm.click()
    assert rows() == []
    controls.review.click()
    assert rows() == [] and controls.confirmation.layout.display != "none"
    assert "will run 120 hydro miners and 1 ASIC compute" in controls.question.value
    assert "until 21 Jun 18:35:00 UTC (30 min)" in controls.question.value.replace("\n", " ")
    controls.confirm.click()
    (row,) = rows()
    assert row["kind"] == "override" and row["value"]["counts"]["hydro_miners"] == 120
    assert pd.Timestamp(row["value"]["until"]) == pd.Timestamp("2025-06-21 18:35", tz="UTC")
    controls.confirm.click()
    assert len(rows()) == 1


def test_changing_a_count_or_cancelling_withdraws_the_question(asked):
    _, controls, rows = asked
    for withdraw in (lambda: setattr(controls.counts["air_miners"], "value", 3), controls.cancel.click):
        controls.review.click()
        assert controls.confirmation.layout.display != "none"
        withdraw()
        assert controls.confirmation.layout.display == "none"
        controls.confirm.click()
    assert rows() == []


def test_an_override_over_the_cap_is_refused_in_words(asked):
    _, controls, rows = asked
    controls.counts["hydro_miners"].value = 201
    controls.counts["asic_compute"].value = 0
    assert "Over the cap by 5,000" in controls.check.value and controls.review.disabled
    controls.review.click()
    controls.confirm.click()
    assert rows() == []


@given(st.tuples(*[st.integers(0, 250)] * len(MACHINES)), st.integers(0, 2_000_000))
def test_an_override_fits_exactly_when_its_power_is_within_the_cap(counts, cap):
    counts = dict(zip(MACHINES, counts, strict=True))
    power = sum(counts[name] * EVENT.power[name] for name in MACHINES)
    assert check_override(counts, View(config=Config(cap_power=cap), inventory=EVENT)).fits is (power <= cap)


def test_without_cap_and_inventory_no_override_can_be_asked_for():
    assert not check_override(dict.fromkeys(MACHINES, 0), View()).fits


def test_boxes_are_prefilled_with_what_runs_until_the_person_types(asked):
    source, controls, _ = asked
    assert {name: box.value for name, box in controls.counts.items()} == {
        name: source.decisions()[name].iloc[-1] for name in MACHINES
    }
    controls.counts["gpu_compute"].value = 5
    source._decisions["gpu_compute"] = 9
    controls.show(look(source, None, VIEW))
    assert controls.counts["gpu_compute"].value == 5
    controls.cancel.click()
    assert controls.counts["gpu_compute"].value == 9


def test_a_command_that_cannot_be_written_is_a_sentence(asked):
    _, controls, _ = asked
    controls._commands.path = Path("/nonexistent/folder/commands")
    controls.pause.click()
    assert "Pause could not be asked for" in controls.message.value


def test_an_override_can_be_ended_before_the_loop_has_applied_it(asked):
    source, controls, rows = asked
    controls.review.click()
    controls.confirm.click()
    controls.show(look(source, None, VIEW))
    assert not controls.clear.disabled
    controls.clear.click()
    controls.show(look(source, None, VIEW))
    assert controls.clear.disabled and [row["kind"] for row in rows()] == ["override", "clear_override"]


def test_a_page_opened_before_the_loop_knew_its_site_learns_it_from_the_journal(tmp_path, no_figures):
    from gridlab.live.journal import Journal
    from gridlab.live.page.journal_page import page_of
    from gridlab.live.settings import as_mapping

    path = tmp_path / "live.db"
    with Journal.open(path, site="site", simulated=True) as journal:
        shown = page_of(path)
        assert shown._view.config is None and "does not know" in shown._controls.check.value
        journal.record_loop("start", NOW, as_mapping(Config(cap_power=7_000, risk=0.5)))
        shown.refresh()
        assert shown._view.config.cap_power == 7_000
        assert shown._controls.view is shown._view and shown._controls.risk.value == 0.5


def test_a_command_that_the_loop_refused_is_said_to_be_refused_and_why(asked):
    source, _, _ = asked
    row = (NOW, "override", "{}", "somebody", NOW, "not done: it <ended> already")
    commands = pd.DataFrame([row], columns=["at", "kind", "value", "by", "applied_at", "detail"])
    words = commands_html(look(source, None, VIEW)._replace(commands=commands), VIEW)
    assert "refused at 18:02:00, not done: it &lt;ended&gt; already" in words and "applied" not in words


def test_with_a_real_journal_a_click_reaches_the_loop_and_the_page_says_when_it_was_applied(tmp_path, no_figures):
    from gridlab.live.commands import Commands
    from gridlab.live.journal import Journal

    path = tmp_path / "live.db"
    with Journal.open(path, site="site", simulated=True) as journal:
        shown = page(path, commands=Commands(path))
        shown._controls.risk.value = 0.25
        (command,) = journal.commands()
        assert (command.kind, command.value) == ("risk", "0.25")
        assert "has not applied it yet" in shown._controls.asked.value
        journal.apply_command(command, NOW)
        shown.refresh()
        assert "applied at" in shown._controls.asked.value


# Voila and a browser


def test_the_server_listens_on_the_loopback_unless_it_is_said_to_be_exposed(tmp_path):
    notebook = write_notebook(tmp_path)
    assert "--Voila.ip=127.0.0.1" in voila_command(notebook)
    with pytest.raises(DataError, match="asks for no password"):
        voila_command(notebook, host="0.0.0.0")
    assert "--Voila.ip=0.0.0.0" in voila_command(notebook, host="0.0.0.0", exposed=True)
    for wrong in ({"notebook": tmp_path / "none.ipynb"}, {"notebook": notebook, "port": 0}):
        with pytest.raises(DataError):
            voila_command(**wrong)


def test_the_environment_leads_to_the_template_and_keeps_other_paths():
    folders = voila_environment({"JUPYTER_PATH": "/elsewhere", "HOME": "/home"})["JUPYTER_PATH"].split(":")
    assert (Path(folders[0]) / "voila" / "templates" / "gridlab" / "index.html.j2").is_file()
    assert folders[1] == "/elsewhere"


def write_notebook(folder, pictures=None):
    """The page of the mock as a notebook; its figures were drawn before, which takes the browser's test no time."""
    import nbformat

    (folder / "drawn").write_bytes(pickle.dumps(pictures))
    source = f"""
import pickle
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from live_mock import MockCommands, MockReader
from gridlab.live import dashboard as module
from gridlab.live.config import Config
from gridlab.sources.mara import EVENT
drawn = pickle.loads(Path({str(folder / "drawn")!r}).read_bytes())
module.pictures = lambda seen, view: drawn
path = {str(folder / "commands.jsonl")!r}
settings = {{"config": Config(), "inventory": EVENT, "refresh_s": 1}}
module.dashboard(MockReader(48, commands=path), commands=MockCommands(path), **settings)
"""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / "page.ipynb")
    (folder / "secret.py").write_text("secret = 1")
    return folder / "page.ipynb"


def test_a_browser_shows_the_page_at_both_widths_fetches_nothing_from_afar_and_its_click_is_a_command(tmp_path, drawn):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium or chrome on this machine: install one to run this test")
    requests, errors = [], []
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        server = pool.submit(stack.enter_context, serving(write_notebook(tmp_path, drawn._pictures)))
        with playwright.sync_playwright() as driver:
            chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            look_with(chromium, server.result(), requests, errors)
            chromium.close()
    (row,) = (json.loads(line) for line in (tmp_path / "commands.jsonl").read_text().splitlines())
    assert row["kind"] == "pause"
    assert errors == []
    assert {urlsplit(one).hostname for one in requests if not one.startswith("data:")} == {"127.0.0.1"}


def look_with(chromium, url, requests, errors):
    """Open the page, look at it at both widths, and click."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{url}voila/files/secret.py")
    refused.value.close()
    tab = chromium.new_page(viewport={"width": 1280, "height": 900})
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("console", lambda message: message.type == "error" and errors.append(message.text))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(url)
    tab.wait_for_selector(".gl-grid img", state="visible", timeout=60_000)
    for width in (1280, 390):
        tab.set_viewport_size({"width": width, "height": 844})
        check_page(tab)
    tab.get_by_role("button", name="Pause").click()
    tab.wait_for_selector("text=the loop has not applied it yet", timeout=10_000)


def check_page(tab):
    assert tab.locator(".gl-badge").is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    beyond = (
        "[...document.querySelectorAll('.gl-page *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    )
    assert tab.evaluate(f"{beyond}.map(e => e.outerHTML.slice(0, 80))") == []
    images = tab.locator(".gl-grid img")
    assert images.count() == len(figures.FIGURES)
    assert all(alt.startswith("Simulated. ") for alt in images.evaluate_all("all => all.map(one => one.alt)"))
    assert all(images.evaluate_all("all => all.map(one => one.complete && one.naturalWidth > 0)"))
