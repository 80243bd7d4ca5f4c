"""A program that behaves like Apertium on its standard streams, and a service like LibreTranslate."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from panglot.data.collection import Collection, Text
from panglot.translation.local import Apertium

PROGRAM = """#!{python}
import os, sys, time
from pathlib import Path
here = Path(__file__).parent
if sys.argv[1] == "-l":
    print("  eng-spa\\n  spa-cat\\n  eng-eus\\n  spa-cat_iec2017")
elif sys.argv[1] == "-V":
    print("Apertium 3.8.3")
else:
    given = sys.stdin.buffer.read().decode().split("\\0")[:-1]
    with open(here / "seen", "a") as seen:
        seen.write("".join(sys.argv[-1] + " " + line + "\\n" for line in given))
    time.sleep({seconds})
    if {poison!r} and any({poison!r} in line for line in given):
        os._exit(139)
    sys.stdout.write("".join(f"{{sys.argv[-1][-3:]}} " + line + "\\0" for line in given) + "\\0\\0")
"""


def made_apertium(folder: Path, *, seconds: float = 0.0, poison: str = "", batch_size: int = 400) -> Apertium:
    """An engine that puts the last letters of the mode before each sentence, and dies at a given word."""
    program = folder / "apertium"
    program.write_text(PROGRAM.format(python=sys.executable + " -S", seconds=seconds, poison=poison))
    program.chmod(0o755)
    return Apertium(str(program), batch_size=batch_size)


def seen(folder: Path) -> list[str]:
    path = folder / "seen"
    return path.read_text().splitlines() if path.exists() else []


def collection(rows: int, text: str = "Sentence {} of the first kind. And number {} of another!") -> Collection:
    questions = [Text(f"en:q{i}", "en", f"q{i}", f"What is the thing with number {i} called?") for i in range(rows)]
    passages = [Text(f"en:p{i}", "en", f"p{i}", text.format(i, i)) for i in range(rows)]
    return Collection.build("made", questions, passages, [(f"en:q{i}", f"en:p{i}", 1 + i % 2) for i in range(rows)])


class Served:
    """What the service below was asked, and how it is to answer: one of ``script`` a request, then well."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.script: list[str] = []
        self.url = ""
        self.dictionary: dict[str, str] = {}
        self.wait = "2"


@contextmanager
def service() -> Generator[Served]:
    """A local server with the interfaces of LibreTranslate and of chat completions."""
    told = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer([{"code": "en", "name": "English", "targets": ["en", "es", "zh-Hans"]}])

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.requests.append(body)
            how = told.script.pop(0) if told.script else ""
            if how.isdigit():
                self.answer({"error": "not now"}, int(how))
                return
            if how == "dies":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
                self.close_connection = True
                return
            if how == "html":
                self.answer("<p>", kind="text/html")
                return
            chat = "messages" in body
            given: list[str] = json.loads(body["messages"][1]["content"]) if chat else body["q"]
            found = [told.dictionary.get(text, f"es {text}") for text in given]
            found = found[: (len(found) + 1) // 2] if how == "half" else list(given) if how == "copy" else found
            found = [" "] * len(found) if how == "blank" else found
            if chat:
                text = "Here:\n```json\n" + json.dumps(found) + "\n```"
                self.answer({"choices": [{"message": {"role": "assistant", "content": text}}]})
            else:
                self.answer({"translatedText": found})

        def answer(self, value: object, status: int = 200, kind: str = "application/json") -> None:
            data = json.dumps(value).encode() if kind.endswith("json") else str(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", told.wait)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object, **__: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
