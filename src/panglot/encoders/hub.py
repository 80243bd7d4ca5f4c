"""Models by name: a folder here, or one fetched from the hub."""

from __future__ import annotations

import contextlib
from pathlib import Path

from panglot._errors import PanglotError

WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
UNWANTED = ("onnx/*", "openvino/*", "*.onnx", "original/*")


def fetch(path_or_name: str | Path, *, trust_remote_code: bool = False) -> Path:
    """Return the folder itself, or the local copy of the hub's model, fetched when it is not there yet.

    A file takes its place when it is whole, so a download that was killed is gone on with by the next call. Where the
    hub does not answer, a copy that is whole serves. Pickled weights are not fetched; Python code only with
    ``trust_remote_code``.

    Raises:
        PanglotError: It is neither a folder nor a model that the hub gives.
    """
    path = Path(path_or_name).expanduser()
    if path.is_dir():
        return path
    name = str(path_or_name)
    looks = name.count("/") <= 1 and not name.startswith((".", "/", "~")) and not isinstance(path_or_name, Path)
    if path.exists() or not looks:
        what = "a file, not a model folder" if path.exists() else "no such folder"
        raise PanglotError(what, file=path, hint="name a folder, a model of the hub, or bundled")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    wanted: list[str] = [*WANTED, *(("*.py",) if trust_remote_code else ())]

    def copy(*, here: bool = False) -> Path:
        return Path(snapshot_download(name, allow_patterns=wanted, ignore_patterns=[*UNWANTED], local_files_only=here))

    try:
        return copy()
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise PanglotError(
            f"{name!r} is no folder here, and the hub does not give it: {lines[0]}",
            hint="check the name, or fetch the model first and name its folder",
        ) from error
    except Exception as error:  # The hub's client lets errors of its transport through, of many classes.
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3")):
            raise
        with contextlib.suppress(OSError, ValueError):
            return copy(here=True)
        raise PanglotError(
            f"{name!r} is no folder here, and the hub does not answer: {error}",
            hint="check the network; the same command goes on",
        ) from error
