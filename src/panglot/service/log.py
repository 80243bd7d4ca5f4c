"""Logs of one JSON line each, without a text of a document or a question in them."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG = logging.getLogger("panglot.service")
PLACES = 3
"""Lines of code that an error names."""


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON: ``time``, ``level``, ``event`` and the record's ``fields``.

    Of an exception only its type and the lines of code are written: its message may quote a text.
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
            frames = traceback.extract_tb(record.exc_info[2])[-PLACES:]
            line["at"] = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
        return json.dumps(line, ensure_ascii=True)


def start_logging() -> None:
    """Write what the service and uvicorn log to standard output as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    for name in ("panglot.service", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "panglot.service" else logging.WARNING)


def log_request(fields: Mapping[str, Any]) -> None:
    """Write the line of one request."""
    LOG.info("request", extra={"fields": dict(fields)})
