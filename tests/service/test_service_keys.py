"""Where keys come from, and how many requests each may send."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service_made import Index, serving, until

from panglot._errors import PanglotError
from panglot.service.errors import RequestError
from panglot.service.limits import Rates
from panglot.service.middleware import Access, is_allowed
from panglot.service.serve import read_keys

KEY = "0123456789abcdef"


def test_keys_come_from_a_file_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_keys() == ()
    monkeypatch.setenv("PANGLOT_SERVICE_KEYS", f"{KEY}1, {KEY}2")
    assert read_keys() == (f"{KEY}1", f"{KEY}2")
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\n {KEY}3 \n")
    assert read_keys(file) == (f"{KEY}3",)


@pytest.mark.parametrize("text", ["", "# none\n", "short\n", f"{KEY}é\n", f"{KEY} {KEY}\n"])
def test_a_file_without_proper_keys_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PanglotError) as caught:
        read_keys(file)
    assert KEY not in str(caught.value)
    with pytest.raises(PanglotError):
        read_keys(tmp_path / "none")


def test_only_a_whole_key_is_allowed() -> None:
    assert is_allowed(KEY, ("other", KEY))
    for wrong in ("", KEY[:-1], KEY + "0", KEY.upper(), f" {KEY}"):
        assert not is_allowed(wrong, (KEY,))


@settings(deadline=None)
@given(st.integers(1, 5), st.lists(st.floats(0, 30), min_size=1, max_size=40))
def test_a_key_sends_no_more_than_its_rate_allows_and_all_that_it_allows(most: int, pauses: list[float]) -> None:
    rates, now, taken = Rates(most), 0.0, list[float]()
    for pause in pauses:
        now += pause
        try:
            rates.take("key", now)
            taken.append(now)
        except RequestError as error:
            wait = int((error.headers or {})["Retry-After"])
            assert 1 <= wait <= 60 / most + 1
            # It would be too early a second before.
            with pytest.raises(RequestError):
                rates.take("key", now + max(0, wait - 1) * 0.99)
            now += wait
            rates.take("key", now)
            taken.append(now)
        rates.take(f"another {now} {len(taken)}", now)
    for first, begin in enumerate(taken):
        for last, end in enumerate(taken[first:], 1):
            assert last <= most + (end - begin) * most / 60 + 1e-3


def test_a_service_counts_requests_per_key() -> None:
    access = Access((f"{KEY}1", f"{KEY}2"), writable=True, write_keys=(f"{KEY}3",), key_rate=2)
    with serving(Index(), access=access) as url, httpx.Client(base_url=url, timeout=60) as client:

        def ask(key: str, path: str = "/about") -> httpx.Response:
            return client.get(path, headers={"Authorization": f"Bearer {key}"})

        for key in (f"{KEY}1", f"{KEY}2", f"{KEY}3"):
            assert [ask(key).status_code for _ in range(3)] == [200, 200, 429]
        refused = ask(f"{KEY}1").json()["error"]
        assert (refused["code"], refused["type"]) == ("key_rate", "rate_limit_error")
        assert 0 < int(ask(f"{KEY}1").headers["retry-after"]) <= 30
        # A wrong key is refused as such, and what needs no key is not counted.
        assert [ask("wrong").status_code for _ in range(5)] == [401] * 5
        assert [ask(f"{KEY}1", "/live").status_code for _ in range(5)] == [200] * 5
    with serving(Index(), access=Access((KEY,))) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert {client.get("/about", headers={"Authorization": f"Bearer {KEY}"}).status_code for _ in range(9)} == {200}
        assert 'reason="key_rate"' not in client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).text


def test_a_refusal_for_the_rate_has_a_figure_of_its_own() -> None:
    with serving(Index(), access=Access((KEY,), key_rate=60)) as url, httpx.Client(base_url=url, timeout=60) as client:
        headers = {"Authorization": f"Bearer {KEY}"}
        while client.get("/about", headers=headers).status_code == 200:
            pass
        until(lambda: client.get("/metrics", headers=headers).status_code == 200)
        until(lambda: 'panglot_rejected_total{reason="key_rate"}' in client.get("/metrics", headers=headers).text)


def test_a_rate_needs_keys() -> None:
    with pytest.raises(PanglotError, match="requests are counted per key, but there are no keys"):
        Access(key_rate=5)
