"""Count requests for Prometheus, and log them as JSON lines."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["JsonLines", "Metrics", "log_request", "reason", "start_logging"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_REASONS = {
    401: "key", 404: "not_found", 408: "slow_body", 413: "too_large", 421: "host", 429: "queue_full",
    499: "client_gone", 503: "stopping", 504: "time",
}  # fmt: skip
"""Why requests fail, by status. Other statuses are ``invalid`` below 500 and ``fault`` from 500 on."""

_logger = logging.getLogger("panglot.service")


class Metrics:
    """Hold the figures of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter("panglot_requests", "Requests", ["route", "status"], registry=self.registry)
        self._seconds = Histogram(
            "panglot_request_seconds", "Seconds per request", ["route"], buckets=_SECONDS, registry=self.registry
        )
        self._rejected = Counter("panglot_rejected", "Requests that failed", ["reason"], registry=self.registry)
        self._batch_texts = Histogram("panglot_batch_texts", "Texts per batch", buckets=_TEXTS, registry=self.registry)
        self._batch_seconds = Histogram(
            "panglot_batch_seconds", "Seconds per batch", buckets=_SECONDS, registry=self.registry
        )

    def watch(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Show a value that is computed whenever the figures are read."""
        Gauge(f"panglot_{name}", help_text, registry=self.registry).set_function(value)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request. ``route`` is a route of the service, never text of a client, to bound the labels."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if status >= 400:
            self._rejected.labels(reason(status)).inc()

    def batch(self, texts: int, seconds: float) -> None:
        """Count a batch."""
        self._batch_texts.observe(texts)
        self._batch_seconds.observe(seconds)

    def page(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)


def reason(status: int) -> str:
    """Return why a request failed.

    >>> reason(429), reason(400), reason(500)
    ('queue_full', 'invalid', 'fault')
    """
    return _REASONS.get(status, "invalid" if status < 500 else "fault")


class JsonLines(logging.Formatter):
    """Write a record as one line of JSON: ``time``, ``level``, ``event`` and the record's ``fields``.

    Of an exception, only the type and the last lines of code are written, because its message may quote a text.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = type(record.exc_info[1]).__name__
            frames = traceback.extract_tb(record.exc_info[2])[-3:]
            line["at"] = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
        return json.dumps(line, ensure_ascii=True)


def start_logging() -> None:
    """Write the log of the service and of uvicorn to standard output as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    for name in ("panglot.service", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "panglot.service" else logging.WARNING)


def log_request(fields: Mapping[str, Any]) -> None:
    """Log one request."""
    _logger.info("request", extra={"fields": dict(fields)})
