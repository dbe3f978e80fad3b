"""API keys: used and never seen; where they come from, who may read them, and what is left of them in a text."""

import base64
import copy
import dataclasses
import json
import os
import pickle
import traceback
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.sources.mara.keys import ApiKey, key_from, redact

SECRET = "3f2b8c4e-0000-4000-8000-5d1f6a7b9c01"


def refused(error: type[Exception], call: object, *words: str) -> str:
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message
    return message


def everything_about(error: BaseException) -> str:
    """An error with its causes, and the values of the names in their frames."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def fragments(secret: str) -> set[str]:
    return {secret[i : i + 8] for i in range(len(secret) - 7)}


def test_a_key_shows_itself_only_when_asked():
    key = ApiKey(SECRET)

    @dataclasses.dataclass
    class Holder:
        key: ApiKey

    shown = [repr(key), str(key), f"{key}", f"{key:>40}", repr(Holder(key)), repr([key]),
             repr(dataclasses.asdict(Holder(key))), repr({key: key}), repr(dir(key))]  # fmt: skip
    with pytest.raises(TypeError) as no_json:
        json.dumps(key)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled") as no_pickle:
            pickle.dumps(key, protocol)
    with pytest.raises(TypeError):
        vars(key)
    shown += [everything_about(error.value) for error in (no_json, no_pickle)]
    shown += [repr(getattr(key, name)) for name in ApiKey.__slots__ if name != "__weakref__"]
    assert [part for part in fragments(SECRET) for text in shown if part in text] == []
    assert (copy.copy(key), copy.deepcopy(key), key.reveal()) == (key, key, SECRET)
    assert (key == ApiKey(SECRET), key == ApiKey(SECRET[:-1] + "2"), key == SECRET) == (True, False, False)
    with pytest.raises(AttributeError):
        key.origin = "elsewhere"


@pytest.mark.parametrize("bad", ["", "short", "two words here", "line\nbreak-key", "é" * 12, "x" * 600, b"bytes-key"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(bad):
    with pytest.raises(DataError) as caught:
        ApiKey(bad, origin="a test")
    assert "from a test" in str(caught.value)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack[1:]
    assert not bad or all(repr(bad)[1:-1] not in str(frame.locals) for frame in frames)


keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=64)
FORMS = (
    lambda key: key,
    str.upper,
    lambda key: quote(key, safe=""),
    quote_plus,
    lambda key: quote_plus(key).lower(),
    lambda key: json.dumps(key),
    lambda key: json.dumps(json.dumps(key))[2:-2] if "\\" not in key and '"' not in key else key,
    repr,
    lambda key: key.encode().hex(),
    lambda key: "".join(f"%{ord(c):02X}" for c in key),
    lambda key: key.replace("-", ""),
)


@given(key=keys, form=st.sampled_from(FORMS), before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_form_of_a_key_stays_in_a_text(key, form, before, after):
    seen = ApiKey(key).redact(before + form(key) + after)
    if len(form(key)) >= 8:
        assert form(key).lower() not in seen.lower()
        assert key not in seen
        assert "[redacted]" in seen


@given(key=keys, before=st.binary(max_size=20), after=st.binary(max_size=20), safe=st.booleans())
def test_no_base64_of_a_key_stays_in_a_text(key, before, after, safe):
    encode = base64.urlsafe_b64encode if safe else base64.b64encode
    inner = encode(before + key.encode() + after).decode()
    alone = encode(key.encode()).decode()
    assert ApiKey(key).redact(inner) != inner
    assert alone.rstrip("=") not in ApiKey(key).redact(f"Basic {alone}")


@given(key=keys, cut=st.integers(8, 64))
def test_a_key_cut_short_does_not_stay_in_a_text(key, cut):
    assert key[:cut] not in ApiKey(key).redact(f"wrong key {key[:cut]}")


@given(st.text(st.characters(exclude_characters="abcdef0123456789ABCDEF"), max_size=200))
def test_a_text_without_a_key_stays_as_it_is(text):
    assert ApiKey("a0b1c2d3-e4f5").redact(text) == text


@pytest.mark.parametrize(
    "text",
    [f'{{"api_key": "{SECRET}"}}', '{"api_key":"plain-words-1"}', f"X-Api-Key: {SECRET}", "x-api-key=plain-words-1",
     f"site {SECRET.upper()} is", SECRET.replace("-", ""), '{\\"api_key\\": \\"plain-words-1\\"}'],
)  # fmt: skip
def test_whatever_is_named_or_looks_like_a_key_goes(text):
    seen = redact(text)
    assert "[redacted]" in seen
    assert SECRET not in seen.lower()
    assert "plain-words" not in seen


# Where keys come from


def test_the_key_comes_from_the_environment_or_from_the_file_that_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("MARA_API_KEY", raising=False)
    assert key_from() is None
    monkeypatch.setenv("MARA_API_KEY", " \n")
    assert key_from() is None
    monkeypatch.setenv("MARA_API_KEY", f"{SECRET}\n")
    assert key_from().reveal() == SECRET
    assert "MARA_API_KEY" in repr(key_from())
    path = tmp_path / "key"
    path.write_text("another-key-1\n")
    path.chmod(0o600)
    assert key_from(path=path).reveal() == "another-key-1"
    assert key_from(env=None) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620, 0o610, 0o601, 0o777])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path, mode):
    path = tmp_path / "key"
    path.write_text(SECRET)
    path.chmod(mode)
    assert SECRET not in refused(DataError, lambda: key_from(path=path), f"chmod 600 {path}", f"{mode:o}")
    link = tmp_path / "link"
    link.symlink_to(path)
    refused(DataError, lambda: key_from(path=link), "chmod 600")


def test_a_file_that_holds_no_key_is_refused(tmp_path):
    refused(DataError, lambda: key_from(path=tmp_path / "none"), "there is no file")
    refused(DataError, lambda: key_from(path=tmp_path), "cannot read")
    refused(DataError, lambda: key_from(path=os.devnull), "no regular file")
    path = tmp_path / "key"
    for content in (b"", b"two words here", b"\xff" * 20, b"x" * 10_000):
        path.write_bytes(content)
        path.chmod(0o600)
        refused(DataError, lambda: key_from(path=path), str(path))
