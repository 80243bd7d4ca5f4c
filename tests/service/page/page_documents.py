"""Articles 1, 3 and 26 of the Universal Declaration of Human Rights in eleven languages, and texts that mean harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LANGUAGES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "fi": "Finnish",
    "ru": "Russian",
    "ar": "Arabic",
    "he": "Hebrew",
    "th": "Thai",
    "ja": "Japanese",
    "zh-Hans": "Simplified Chinese",
}
RIGHT_TO_LEFT = ("ar", "he")

SCRIPT = "<script>window.hit=1</script>"
IMAGE = "<img src=x onerror=window.hit=1>"
HARM = {
    "script": (SCRIPT, f"{SCRIPT} {IMAGE} </p></article><svg onload=window.hit=1> &lt;b&gt; javascript:window.hit=1"),
    "long": ("A very long word", "rights" * 60 + " and an address https://example.org/" + "a" * 200),
    "emoji": (
        "Family 👩‍👩‍👧‍👦 rights",
        "𠮷野家 👩‍👩‍👧‍👦 comes first. Then 👍🏽 rights in the second sentence. And 🏳️‍🌈 last.",
    ),
    "far": (
        "The answer comes late",
        "Words that come before say little about it. " * 60 + "Rights are answered here. And more follows.",
    ),
    "turn": ("Turned \u202eround", "Marks that turn text \u202eround must not turn the page's rights."),
}


def documents() -> list[dict[str, Any]]:
    """Return the documents as the service shows them, but for rank, score and what depends on the question."""
    read = json.loads(Path(__file__).with_name("page_articles.json").read_text("utf-8"))
    made = [
        {
            "id": f"{article}-{code}",
            "group": article,
            "title": f"{read['titles'][code]} {article}",
            "text": text,
            "language": code,
            "metadata": {"article": int(article), "url": f"https://example.org/{article}-{code}"},
        }
        for article, texts in read["articles"].items()
        for code, text in texts.items()
    ]
    for name, (title, text) in HARM.items():
        fields = {"note": text[:60], SCRIPT: 1, "url": "javascript:window.hit=1"}
        made.append({"id": name, "group": "", "title": title, "text": text, "language": "en", "metadata": fields})
    return made
