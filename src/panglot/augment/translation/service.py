"""Requests to a translation service, sent again where the reason for a failure passes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from panglot._errors import PanglotError
from panglot.augment.translation.protocol import EngineError
from panglot.encoders.endpoint import RETRIED, backoff, retry_after

if TYPE_CHECKING:
    import httpx


def api_key(*names: str) -> str | None:
    """Return the first of some environment variables that is set."""
    return next((value for name in names if (value := os.environ.get(name))), None)


class Service:
    """One service.

    Args:
        url: Its base address.
        key: Sent as a bearer token.
        retries: How often a request is sent again that failed for a passing reason (429, 500, …, no answer).
        timeout: Seconds to wait for an answer.
        pause: How to wait between attempts, given seconds.

    Raises:
        PanglotError: Not an address.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        retries: int = 6,
        timeout: float = 300.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise PanglotError(f"{url!r} is not an address", field="engine", cure="write http://host:port")
        self.url, self.key = url.rstrip("/"), key
        self.retries, self.timeout, self.pause = retries, timeout, pause

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON that the service answers.

        Raises:
            EngineError: The answer is not JSON, or says that this request, as it is, cannot be served.
            PanglotError: No attempt was answered, or the service refuses access.
        """
        import httpx

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        reason = ""
        for attempt in range(self.retries + 1):
            wait = backoff(attempt)
            try:
                response = self._client.request(method, self.url + path, json=body, headers=headers)
            except (httpx.TransportError, httpx.DecodingError) as error:
                reason = str(error) or type(error).__name__
                # A server that is not up will hardly mend itself.
                if attempt >= 2 and isinstance(error, httpx.ConnectError):
                    break
            else:
                if response.status_code not in RETRIED:
                    return self._json(response)
                reason = f"status {response.status_code}: {_said(response.text)}"
                wait = retry_after(response.headers.get("retry-after"), time.time()) or wait
            if attempt < self.retries:
                self.pause(wait)
        raise PanglotError(
            f"{self.url} gives no answer: {reason}",
            field="engine",
            cure="wait, or check its address; the same command goes on where this one stopped",
        )

    @cached_property
    def _client(self) -> httpx.Client:
        """One for all requests: each new one reads the certificates again."""
        import httpx

        return httpx.Client(timeout=self.timeout, follow_redirects=True)

    def _json(self, response: Any) -> Any:
        status, said = response.status_code, _said(response.text)
        if status in (401, 403, 404):
            cure = "check its address" if status == 404 else "set PANGLOT_TRANSLATION_KEY to a valid key"
            raise PanglotError(f"{self.url} answers with status {status}: {said}", field="engine", cure=cure)
        if status != 200:
            raise EngineError(f"{self.url} answers with status {status}: {said}", cure="try a smaller batch")
        try:
            return response.json()
        except ValueError as error:
            raise EngineError(f"{self.url} does not answer in JSON: {said}", cure="check its address") from error


def _said(text: str) -> str:
    line = " ".join(text.split())
    return repr(line[:200])
