"""Encode with any embeddings endpoint that speaks OpenAI's protocol."""

from __future__ import annotations

import base64
import email.utils
import os
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np

from panglot._errors import PanglotError
from panglot._files import digest
from panglot._progress import progress
from panglot.encoders.protocol import Side, Vectors, check_texts

if TYPE_CHECKING:
    import httpx

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses of temporary failures, after which a request is sent again."""
_TOO_LARGE = frozenset({400, 413, 422})
"""Statuses by which endpoints refuse too many texts or tokens in one request, among other things."""
_LONGEST_PAUSE = 60.0


class EndpointEncoder:
    """Encode with a model behind ``POST {base}/embeddings``.

    The key in ``$PANGLOT_API_KEY``, else ``$OPENAI_API_KEY``, is sent as a bearer token. If the endpoint lists the
    models ``NAME:query`` and ``NAME:document``, as ``panglot serve`` does, questions and passages are sent to these.

    Args:
        url: ``http(s)://host/v1#model-name``. Its query may set ``question_prompt``, ``passage_prompt``,
            ``dimensions`` and ``batch_size``. Other parts of the query are sent to the endpoint.
        question_prompt: The text before every question.
        passage_prompt: The text before every passage.
        dimensions: The length of vectors to ask the model for.
        batch_size: The number of texts per request. It is halved as long as the endpoint refuses a request.
        retries: How often a request is sent again after a temporary failure.
        timeout: Seconds to wait for a response.
        name: The name in tables. By default the model's name.
        pause: The function that waits between attempts, given seconds.

    Raises:
        PanglotError: The address has no host or no model name.
    """

    def __init__(
        self, url: str, *, question_prompt: str = "", passage_prompt: str = "", dimensions: int | None = None,
        batch_size: int = 64, retries: int = 6, timeout: float = 120.0, name: str | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or not parts.fragment:
            problem = f"{url!r} does not name an endpoint and a model"
            raise PanglotError(problem, field="model", hint="write http://host/v1#model-name")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.prompts: dict[Side, str] = {
            "question": query.pop("question_prompt", question_prompt),
            "passage": query.pop("passage_prompt", passage_prompt),
        }
        self.dimensions = _whole_number(query.pop("dimensions", dimensions), "dimensions")
        self.batch_size = _whole_number(query.pop("batch_size", batch_size), "batch_size") or 1
        path = parts.path.rstrip("/") + "/embeddings"
        self.url = parts._replace(path=path, query=urlencode(query), fragment="").geturl()
        self.model = parts.fragment
        self.name = name or self.model
        self.retries, self.timeout, self.pause = retries, timeout, pause
        self.dimension = self.dimensions
        self._models_url = parts._replace(path=parts.path.rstrip("/") + "/models", fragment="").geturl()

    @cached_property
    def models(self) -> dict[Side, str]:
        """The name of the model that encodes each side, as far as the endpoint says."""
        import httpx

        sided: dict[Side, str] = {"question": f"{self.model}:query", "passage": f"{self.model}:document"}
        try:
            with self._client() as client:
                listed = {str(each["id"]) for each in client.get(self._models_url).json()["data"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            # Many endpoints list no models. One that is down fails again when texts are sent.
            listed = set[str]()
        return sided if {*sided.values()} <= listed else {"question": self.model, "passage": self.model}

    @property
    def fingerprint(self) -> str:
        """A digest of everything that the vectors depend on."""
        names = dict.fromkeys(self.models.values())
        return digest("endpoint", self.url, *names, *self.prompts.values(), str(self.dimensions))

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32."""
        check_texts(texts, side)
        # Endpoints refuse empty texts.
        whole = [self.prompts[side] + text or " " for text in texts]
        parts: list[Vectors] = []
        begin = 0
        with self._client() as client, progress(f"{self.name}: {side}s", len(whole)) as advance:
            while begin < len(whole):
                batch = whole[begin : begin + self.batch_size]
                response = self._post(client, batch, self.models[side])
                if response.status_code in _TOO_LARGE:
                    if len(batch) == 1:
                        which = f"text {begin + 1:,} of {len(whole):,}" if ids is None else f"the text {ids[begin]!r}"
                        status = f"(status {response.status_code}): {_excerpt(response)}"
                        problem = f"the endpoint refuses {which}, of {len(batch[0]):,} characters {status}"
                        hint = "shorten the text if it is too long for the model, or check the options"
                        raise self._error(problem, hint)
                    # For the batches to come as well, which would be too large too.
                    self.batch_size = len(batch) // 2
                    continue
                parts.append(self._vectors(response, len(batch)))
                begin += len(batch)
                advance(len(batch))
        return np.concatenate(parts) if parts else np.empty((0, self.dimension or 0), np.float32)

    def _client(self) -> httpx.Client:
        import httpx

        key = os.environ.get("PANGLOT_API_KEY") or os.environ.get("OPENAI_API_KEY")
        return httpx.Client(timeout=self.timeout, headers={"Authorization": f"Bearer {key}"} if key else {})

    def _post(self, client: httpx.Client, batch: list[str], model: str) -> httpx.Response:
        import httpx

        body: dict[str, Any] = {"model": model, "input": batch, "encoding_format": "float"}
        # Many models refuse to be asked for a length of vectors.
        if self.dimensions:
            body["dimensions"] = self.dimensions
        try:
            return send(client, "POST", self.url, body, retries=self.retries, pause=self.pause)
        except (httpx.TransportError, httpx.DecodingError) as error:
            reason = str(error) or type(error).__name__
            raise self._error(f"the endpoint cannot be reached: {reason}", "check the address") from error

    def _vectors(self, response: httpx.Response, count: int) -> Vectors:
        """Return the vectors of a response in the order of the texts."""
        status = response.status_code
        if status in (401, 403):
            hint = "set PANGLOT_API_KEY (or OPENAI_API_KEY) to a valid key"
            raise self._error(f"the endpoint refuses access (status {status}): {_excerpt(response)}", hint)
        if status != 200:
            hint = "check the model's name" if status == 404 else "read the endpoint's message"
            raise self._error(f"the endpoint returned status {status}: {_excerpt(response)}", hint)
        hint = "check that the address speaks OpenAI's embeddings protocol"
        try:
            rows = response.json()["data"]
            # The protocol allows any order, and some endpoints leave the index out.
            order = [int(row.get("index", place)) for place, row in enumerate(rows)]
            found = [_numbers(row["embedding"]) for row in rows]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._error(f"the response is not a list of embeddings: {_excerpt(response)}", hint) from error
        if sorted(order) != list(range(count)):
            raise self._error(
                f"{count} texts were sent, but {len(found)} vectors came back", "try a smaller batch_size"
            )
        widths = {len(row) for row in found}
        expected = self.dimension or len(found[0])
        if widths != {expected} or expected == 0:
            raise self._error(f"vectors must have {expected} numbers, got {sorted(widths)}", hint)
        self.dimension = expected
        vectors = np.empty((count, expected), np.float64)
        vectors[order] = found
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise self._error("a vector is zero or not finite", "report it to the operator of the endpoint")
        return (vectors / lengths).astype(np.float32)

    def _error(self, problem: str, hint: str) -> PanglotError:
        return PanglotError(f"{self.url}, model {self.model}: {problem}", hint=hint)


def send(
    client: httpx.Client, method: str, url: str, body: object, *, retries: int, pause: Callable[[float], None]
) -> httpx.Response:
    """Send a request, up to ``retries`` times more after temporary failures, and return the last response.

    httpx's TransportError or DecodingError of the last attempt is passed on.
    """
    import httpx

    for attempt in range(retries + 1):
        wait = _backoff(attempt)
        try:
            response = client.request(method, url, json=body)
        except (httpx.TransportError, httpx.DecodingError) as error:
            # A wrong name, or a server that is down, is unlikely to change within a minute.
            if attempt >= (min(retries, 2) if isinstance(error, httpx.ConnectError) else retries):
                raise
        else:
            if response.status_code not in RETRIED or attempt == retries:
                return response
            wait = _retry_after(response.headers.get("retry-after"), time.time()) or wait
        pause(wait)
    raise AssertionError


def _backoff(attempt: int) -> float:
    """Return the seconds to wait after a number of failures: half a second, doubled each time, at most a minute.

    >>> [_backoff(attempt) for attempt in range(4)]
    [0.5, 1.0, 2.0, 4.0]
    """
    return min(_LONGEST_PAUSE, 0.5 * 2**attempt)


def _retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, at most a minute. None if it is not usable.

    >>> _retry_after("3", 0), _retry_after("Thu, 01 Jan 1970 00:00:10 GMT", 4), _retry_after("soon", 0)
    (3.0, 6.0, None)
    """
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - now
        except ValueError:
            return None
    return min(_LONGEST_PAUSE, seconds) if seconds > 0 else None


def _numbers(embedding: object) -> np.ndarray[Any, Any]:
    """Return an embedding, which is sent as numbers or as base64 of float32."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    row = np.asarray(embedding, np.float64)
    if row.ndim != 1:
        raise ValueError("not a row of numbers")
    return row


def _excerpt(response: httpx.Response) -> str:
    text = " ".join(response.text.split())
    return repr(text[:200] + ("…" if len(text) > 200 else ""))


def _whole_number(value: str | int | None, field: str) -> int | None:
    if value is None:
        return None
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise PanglotError(
            f"`{field}` must be a number above 0, got {value!r}", field=field, hint="write a whole number"
        )
    return number
