"""Notices reach who should hear them, never delay or stop a step, and no secret goes with them; nor into the log."""

import json
import logging
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pandas as pd
import pytest

from gridlab.errors import DataError
from gridlab.live.alerts import Webhook, deliver, events, to_log
from gridlab.live.logs import JsonLines, open_log
from gridlab.live.monitor_records import Notice
from gridlab.sources.mara.keys import ApiKey

TIME = pd.Timestamp("2025-06-21 12:00", tz="UTC")
NOTICE = Notice("clock", "warning", "raised", "the server's clock is 61 s ahead of ours", 1)
OVER = Notice("clock", "warning", "ended", "over after 3 intervals (15 min)", 3)
SECRET = "3f2b8c4e-0000-4000-8000-5d1f6a7b9c01"
KEY = ApiKey(SECRET)


@contextmanager
def listener(*statuses, wait=None):
    """A server on a free port that answers with each status in turn, and keeps what it was told."""
    told, left = [], list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append(json.loads(body))
            if wait is not None:
                wait.wait(10)
            self.send_response(left.pop(0) if left else 200)
            self.send_header("X-Echo", SECRET)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook/T0secret", told
    finally:
        if wait is not None:
            wait.set()
        server.shutdown()
        server.server_close()
        thread.join()


def hook(url, **options):
    return Webhook(url, **{"timeout_s": 2.0, "backoff_s": 0.01, **options})


def hooks_alive():
    return [one for one in threading.enumerate() if one.name == "gridlab-webhook"]


def test_notices_are_posted_in_order_with_a_text_that_chat_services_show():
    with listener() as (url, told):
        with hook(url, site="north", simulated=True) as one:
            assert one.send([NOTICE], TIME)
            assert one.send([OVER], TIME + pd.Timedelta("5min"))
            assert one.send([], TIME)
        assert (one.sent, one.failed, one.dropped, one.problem) == (2, 0, 0, None)
    assert [each["notices"][0]["phase"] for each in told] == ["raised", "ended"]
    assert told[0]["text"].startswith("SIMULATED north 2025-06-21 12:00 UTC\n[warning] clock raised: the server's")
    assert told[0]["simulated"] and told[0]["notices"][0]["count"] == 1
    assert not hooks_alive()


@pytest.mark.parametrize(
    ("statuses", "tries", "sent"), [([500, 200], 2, 1), ([429, 503], 2, 0), ([404], 1, 0), ([302], 1, 0)]
)
def test_a_post_is_tried_once_more_where_its_failure_may_pass(statuses, tries, sent):
    with listener(*statuses) as (url, told):
        with hook(url) as one:
            one.send([NOTICE], TIME)
        assert (len(told), one.sent, one.failed) == (tries, sent, 1 - sent)
        assert (one.problem is None) == bool(sent)
    assert one.problem is None or "T0secret" not in one.problem


def test_a_server_that_does_not_answer_delays_no_step_and_what_does_not_fit_is_dropped_and_counted():
    stuck = threading.Event()
    with listener(wait=stuck) as (url, told):
        one = hook(url, queue_size=2, timeout_s=0.3)
        before = time.perf_counter()
        taken = [one.send([NOTICE], TIME) for _ in range(50)]
        assert time.perf_counter() - before < 0.3
        assert 2 <= sum(taken) <= 3
        one.close(wait_s=0)
        assert one.sent + one.failed + one.dropped == 50
        assert not one.send([NOTICE], TIME)
        assert not hooks_alive()
        assert len(told) <= 3


def test_a_webhook_that_nobody_hears_fails_in_words_without_its_address():
    with listener() as (url, _):
        pass
    with hook(url) as one:
        one.send([NOTICE], TIME)
    assert one.failed == 1
    assert one.problem == "the webhook at 127.0.0.1 could not be reached: ConnectError"
    assert "T0secret" not in repr(one)


def test_secrets_leave_neither_in_a_post_nor_in_what_httpx_logs(caplog):
    caplog.set_level(logging.DEBUG)
    with listener() as (url, told), hook(url, redact=[KEY.redact]) as one:
        one.send([NOTICE.__class__("api", "warning", "raised", f"sent with {SECRET}", 1)], TIME)
    assert "[redacted]" in told[0]["text"]
    assert SECRET not in json.dumps(told)
    assert "HTTP Request: POST 127.0.0.1" in caplog.text
    assert "T0secret" not in caplog.text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hooks.example.com/T0secret", "must be https://, or http:// to this machine"),
        ("http://localhost.example.com/T0secret", "must be https://"),
        ("http://localhost@example.com/T0secret", "the webhook at example.com must be https://"),
        ("ftp://127.0.0.1/T0secret", "must begin with https://"),
        ("T0secret", "must begin with https://"),
        ("http://[::1/T0secret", "cannot be read"),
        ("https://exa\x00mple.com/T0secret", "cannot be read"),
    ],
)
def test_an_address_that_would_send_in_the_clear_is_refused_without_being_shown(url, words):
    with pytest.raises(DataError, match=words) as caught:
        Webhook(url)
    assert "T0secret" not in str(caught.value)


def test_numbers_that_cannot_be_are_refused():
    for options in ({"timeout_s": 0}, {"backoff_s": -1}, {"queue_size": 0}):
        with pytest.raises(DataError, match="timeout_s above 0"):
            Webhook("https://example.com/", **options)


def test_a_sink_that_fails_keeps_no_other_from_the_notices_and_its_words_are_not_passed_on():
    heard = []

    def full(notices, interval):
        raise OSError(f"no space for {SECRET}")

    sinks = {"journal": full, "page": lambda notices, interval: heard.append((notices, interval))}
    problems = deliver([NOTICE, OVER], TIME, sinks)
    assert problems == ("2 notices did not reach journal: OSError",)
    assert heard == [([NOTICE, OVER], TIME)]
    assert deliver([], TIME, sinks) == () and len(heard) == 1


def test_the_journals_rows_have_the_columns_of_its_events():
    row = events([OVER], TIME)[0]
    assert row == {
        "interval": TIME,
        "kind": "alert",
        "name": "clock",
        "severity": "warning",
        "phase": "ended",
        "text": OVER.text,
    }


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_log_has_one_json_object_a_line_in_utc_with_its_fields(tmp_path):
    path = tmp_path / "loop.log"
    with open_log(path) as log:
        fields = {"mw": np.float64(np.nan), "n": np.int64(3), "at": TIME, "of": (1, {"a": np.arange(2)}), "level": "x"}
        log.info("one\ntwo %s", "three", extra={"fields": fields})
        to_log(log)([NOTICE, OVER], TIME)
        log.debug("not at this level")
    first, raised, ended = lines(path)
    assert first["message"] == "one\ntwo three" and first["at"].endswith("+00:00")
    assert (first["mw"], first["n"], first["of"], first["level_"]) == (None, 3, [1, {"a": [0, 1]}], "x")
    assert (raised["level"], raised["alert"], ended["level"], ended["count"]) == ("warning", "clock", "info", 3)
    assert abs(pd.Timestamp(first["at"]) - pd.Timestamp.now("UTC")) < pd.Timedelta("1min")
    assert path.stat().st_mode & 0o077 == 0


def test_the_log_rotates_by_size_and_keeps_so_many_files_and_no_line_is_cut(tmp_path):
    path = tmp_path / "loop.log"
    with open_log(path, max_bytes=1000, backups=2) as log:
        for i in range(50):
            log.info("%d", i)
    files = sorted(tmp_path.iterdir())
    assert [one.name for one in files] == ["loop.log", "loop.log.1", "loop.log.2"]
    assert all(one.stat().st_size <= 1000 for one in files)
    kept = [int(line["message"]) for one in reversed(files) for line in lines(one)]
    assert kept == list(range(kept[0], 50))


def test_a_line_longer_than_a_file_is_written_whole(tmp_path):
    path = tmp_path / "loop.log"
    with open_log(path, max_bytes=100, backups=1) as log:
        log.info("x" * 500)
        log.info("y")
    assert [line["message"] for line in lines(path)] == ["y"]
    assert len(lines(tmp_path / "loop.log.1")[0]["message"]) == 500


def test_the_key_is_in_no_line_whatever_it_came_in(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "loop.log"

    class Thing:
        def __str__(self):
            return f"Thing({SECRET})"

    with open_log(path, redact=[KEY.redact], level=logging.DEBUG) as log:
        log.info("key %s", SECRET, extra={"fields": {SECRET: [Thing(), {"k": SECRET}]}})
        log.info(Thing())
        log.getChild("send").info("key %s", SECRET)
        try:
            raise ValueError(f"refused {SECRET}")
        except ValueError:
            log.exception("failed")
        log.warning("where", stack_info=True)
        logging.getLogger("httpcore.http11").debug("receive_response_headers %r", [(b"X-Echo", SECRET.encode())])
        with listener() as (url, _), httpx.Client() as client:
            client.post(url, json={}, headers={"X-Api-Key": SECRET}, params={"key": SECRET})
    text = path.read_text()
    assert "ValueError: refused [redacted]" in text and text.count("[redacted]") >= 7
    assert SECRET not in text
    assert "HTTP Request" in caplog.text and "X-Echo" in caplog.text
    ours = [one for one in caplog.records if one.name != "gridlab.live.send"]
    assert not any(SECRET in logging.Formatter().format(one) for one in ours)


def test_a_record_that_cannot_be_put_into_words_is_left_out_and_stops_nothing(tmp_path):
    path = tmp_path / "loop.log"

    def broken(text):
        raise RuntimeError(f"cannot clean {text}")

    with open_log(path) as log:
        log.info("%d", "no number")
        log.info("next")
    with open_log(path, redact=[broken]) as log:
        log.info(SECRET)
    words = "a record that could not be put into words was left out"
    assert [line["message"] for line in lines(path)] == [words, "next", words]


@pytest.mark.parametrize("where", ["/dev/full", "a file/loop.log"])
def test_a_full_disk_or_an_unwritable_folder_is_counted_said_once_and_stops_nothing(tmp_path, capsys, where):
    (tmp_path / "a file").write_text("")
    with open_log(tmp_path / where) as log:
        handler = next(one for one in log.handlers if isinstance(one, JsonLines))
        for i in range(5):
            log.info("%d %s", i, SECRET)
        assert handler.lost == 5
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cannot be kept as it should" in said and SECRET not in said


def test_after_a_disk_was_full_the_log_goes_on_with_whole_lines_and_says_how_many_were_lost(tmp_path, capsys):
    path = tmp_path / "loop.log"
    handler = JsonLines(path)

    def emit(text):
        handler.emit(logging.LogRecord("gridlab.live", logging.INFO, __file__, 1, text, None, None))

    class Full:
        def __init__(self, file):
            self.file = file

        def fileno(self):
            return self.file.fileno()

        def write(self, line):
            if len(line) > 20:
                return self.file.write(line[:20])
            raise OSError(28, "No space left on device")

    emit("before")
    whole, handler.stream = handler.stream, Full(handler.stream)
    emit("lost")
    emit("lost too")
    handler.stream = whole
    emit("after")
    handler.close()
    texts = path.read_text().splitlines()
    good = []
    for text in texts:
        try:
            good.append(json.loads(text)["message"])
        except json.JSONDecodeError:
            assert len(text) <= 200
    assert good == ["before", "2 lines of the log were lost", "after"]
    assert capsys.readouterr().err.count("\n") == 1


def test_closing_the_log_leaves_no_handler_filter_or_open_file(tmp_path):
    logger = logging.getLogger("gridlab.live")
    before = (list(logger.handlers), list(logger.filters), logger.level, list(logging.getLogger("httpx").filters))
    with open_log(tmp_path / "loop.log", redact=[KEY.redact]) as log:
        log.info("one")
    assert before == (logger.handlers, logger.filters, logger.level, logging.getLogger("httpx").filters)
