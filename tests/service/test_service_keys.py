"""Where keys come from, and how many requests each may send."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_made import Index, serving, until

from panglot._errors import PanglotError
from panglot.service.batcher import Rates
from panglot.service.errors import RequestError
from panglot.service.middleware import Access, Key, find_key
from panglot.service.serve import read_keys

KEY = "0123456789abcdef"


def test_keys_come_from_a_file_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_keys() == ()
    monkeypatch.setenv("PANGLOT_SERVICE_KEYS", f"{KEY}1, {KEY}2")
    assert read_keys() == (Key(f"{KEY}1"), Key(f"{KEY}2"))
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\n {KEY}3 \n{KEY}4  rate=600 name=web.site-1\n{KEY}5\trate=0\n")
    assert read_keys(file) == (Key(f"{KEY}3"), Key(f"{KEY}4", "web.site-1", 600), Key(f"{KEY}5", rate=0))
    monkeypatch.setenv("PANGLOT_SERVICE_KEYS", f"{KEY}1 rate=5,{KEY}2")
    assert read_keys() == (Key(f"{KEY}1", rate=5), Key(f"{KEY}2"))


@pytest.mark.parametrize("text", [
    "", "# none\n", "short\n", f"{KEY}é\n", f"{KEY} {KEY}\n", f"{KEY} rate=-1\n", f"{KEY} rate=1 rate=2\n",
    f"{KEY} name=\n", f"{KEY} name=é\n", f"{KEY} per-minute=5\n", "rate=5 name=nobody",
])  # fmt: skip
def test_a_file_without_proper_keys_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PanglotError) as caught:
        read_keys(file)
    assert KEY not in str(caught.value)
    with pytest.raises(PanglotError):
        read_keys(tmp_path / "none")


def test_only_a_whole_key_is_allowed() -> None:
    assert find_key(KEY, (Key("other"), Key(KEY, "web"))) == Key(KEY, "web")
    for wrong in ("", KEY[:-1], KEY + "0", KEY.upper(), f" {KEY}"):
        assert find_key(wrong, (Key(KEY),)) is None


def test_a_key_is_never_shown() -> None:
    assert KEY not in repr(Key(KEY))
    assert KEY[:4] not in Key(KEY).label


@given(st.integers(1, 5), st.lists(st.floats(0, 30), min_size=1, max_size=40))
def test_a_key_sends_no_more_than_its_rate_allows_and_all_that_it_allows(most: int, pauses: list[float]) -> None:
    rates, now, taken = Rates(), 0.0, list[float]()
    for pause in pauses:
        now += pause
        try:
            rates.take("key", most, now)
            taken.append(now)
        except RequestError as error:
            wait = int((error.headers or {})["Retry-After"])
            assert 1 <= wait <= 60 / most + 1
            # It would be too early a second before.
            with pytest.raises(RequestError):
                rates.take("key", most, now + max(0, wait - 1) * 0.99)
            now += wait
            rates.take("key", most, now)
            taken.append(now)
        rates.take(f"another {now} {len(taken)}", most, now)
    for first, begin in enumerate(taken):
        for last, end in enumerate(taken[first:], 1):
            assert last <= most + (end - begin) * most / 60 + 1e-3


def test_a_service_counts_requests_per_key() -> None:
    access = Access((Key(f"{KEY}1"), Key(f"{KEY}2")), writable=True, write_keys=(Key(f"{KEY}3"),), key_rate=2)
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
    with serving(Index(), access=Access((Key(KEY),))) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert {client.get("/about", headers={"Authorization": f"Bearer {KEY}"}).status_code for _ in range(9)} == {200}
        assert 'reason="key_rate"' not in client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).text


def test_each_key_has_its_own_rate_and_figures() -> None:
    old, new, other, free = (f"{KEY}{number}" for number in range(4))
    keys = (Key(old, "web", 1), Key(new, "web", 3), Key(other), Key(free, "free", 0))
    with serving(Index(), access=Access(keys, key_rate=2)) as url, httpx.Client(base_url=url, timeout=60) as client:

        def ask(key: str, path: str = "/about") -> httpx.Response:
            return client.get(path, headers={"Authorization": f"Bearer {key}"})

        for key, allowed in ((old, 1), (new, 3), (other, 2), (free, 5)):
            assert [ask(key).status_code for _ in range(5)] == [200] * allowed + [429] * (5 - allowed)
        assert "may send 3 requests per minute" in ask(new).json()["error"]["message"]
        assert 50 < int(ask(old).headers["retry-after"]) <= 60
        assert ask("wrong").status_code == 401
        assert client.get("/live").status_code == 200

        def counted() -> dict[tuple[str, str], float]:
            lines = ask(free, "/metrics").text.splitlines()
            found = (
                re.fullmatch(r'panglot_key_requests_total\{key="(.*)",status="(.*)"\} (.*)', line) for line in lines
            )
            return {(match[1], match[2]): float(match[3]) for match in found if match}

        unnamed = Key(other).label
        figures = {("web", "200"): 4, ("web", "429"): 8, (unnamed, "200"): 2, (unnamed, "429"): 3}
        # The service counts a request after its response.
        until(lambda: figures.items() <= counted().items())
        assert {label for label, _ in counted()} == {"web", unnamed, "free"}


def test_a_refusal_for_the_rate_has_a_figure_of_its_own() -> None:
    with serving(Index(), access=Access((Key(KEY),), key_rate=60)) as url, httpx.Client(base_url=url) as client:
        headers = {"Authorization": f"Bearer {KEY}"}
        while client.get("/about", headers=headers).status_code == 200:
            pass
        until(lambda: client.get("/metrics", headers=headers).status_code == 200)
        until(lambda: 'panglot_rejected_total{reason="key_rate"}' in client.get("/metrics", headers=headers).text)


def test_a_rate_needs_keys() -> None:
    with pytest.raises(PanglotError, match="requests are counted per key, but there are no keys"):
        Access(key_rate=5)


def test_a_key_has_one_name_and_rate() -> None:
    with pytest.raises(PanglotError, match="one key has two names or rates") as caught:
        Access((Key(KEY, rate=5),), writable=True, write_keys=(Key(KEY),))
    assert KEY not in str(caught.value)
    Access((Key(KEY, rate=5), Key(KEY, rate=5)), writable=True, write_keys=(Key(KEY, rate=5),))
