"""Code to paste: use what a diagnosis found in panglot, in a store of one's own, or in a framework."""

from __future__ import annotations

import shlex
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from panglot.encoders.model_folders import DEFAULT
from panglot.search.integrations.own_store import BALANCED, Snippet, quote, store_snippets
from panglot.search.ranking.modes import MODES

if TYPE_CHECKING:
    from panglot.search.ingest.collections import Layout


def snippets(
    best: str, index: Path, folder: Path, *, model: str, strength: float, output: Path, moved: str = "",
    layout: Layout | None = None,
) -> list[Snippet]:  # fmt: skip
    """Return code that ranks as the trial ``best`` of :func:`panglot.search.diagnosis.diagnose` does.

    Args:
        best: The name of the trial.
        index: The index that was diagnosed.
        folder: Where ``debiasing.json`` and ``debiasing.safetensors`` of that trial are.
        model: The model of the index.
        strength: Of that trial, if it is a centering.
        output: Where another index would be. It is built from the documents of the first, as they were read and cut.
        moved: The model with which the index opens, if it no longer opens with the one that it names.
        layout: Of the collection that the index has its vectors from. The code then changes and searches that.
    """
    name, _, half = best.partition(", ")
    mode = name if name in MODES else "plain"
    target = output if half or name not in MODES else index
    with_model = f" --model {shlex.quote(moved)}" if moved and target == index else ""
    search = f"panglot search {_quoted(target)} 'your query' --mode {mode}{with_model}\n"
    served = "" if mode == "plain" else f" --mode {mode}"
    search += f"panglot serve {_quoted(target)}{served}{with_model}   # a web page, and POST /search\n"
    opened = f"panglot.Index.open({quote(target)}{f', model={quote(moved)}' if with_model else ''})"
    if name not in MODES:
        values = {"MODEL": quote(model), "FOLDER": quote(folder), "INDEX": quote(index), "OUTPUT": quote(target)}
        first, opened = Snippet("panglot", "python", Template(_DEBIASED).substitute(values), _NEW_INDEX), "index"
    elif half:
        chosen = "" if model == DEFAULT else f" --model {shlex.quote(model)}"
        build = f"panglot index {_quoted(index)} --output {_quoted(target)}{chosen} --center-strength {strength:g}\n"
        first = Snippet("panglot", "sh", build + search, _NEW_INDEX)
    else:
        first = Snippet("panglot", "sh", search)
    if layout and (own := store_snippets(layout, index, folder, model=model, balanced=name == "balanced")):
        return [first, *own]
    ours = {"OPENED": opened, "MODE": quote(mode)}
    filled = {title: Template(_RETRIEVER).substitute(ours | values) for title, values in _FRAMEWORKS.items()}
    return [first, *_own_store(name, folder), *(Snippet(title, "python", code) for title, code in filled.items())]


_NEW_INDEX = (
    "This correction is made when documents are indexed, so it needs another index. It takes the documents of this one."
)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _own_store(name: str, folder: Path) -> list[Snippet]:
    head = f'{_IMPORTS}folder = Path({quote(folder)})\narrays = load_file(folder / "debiasing.safetensors")\n'
    title = "Your own vector store"
    if name in _LINEAR:
        note = "Change every vector once, and the vector of each query. The language of a text is not needed."
        return [Snippet(title, "python", head + _LINEAR[name], note)]
    note = "Subtract the mean vector of its language from every document once, and from each query at every search."
    found = [Snippet(title, "python", head + _CENTER, note)]
    if name == "balanced":
        about = "Then search each language by itself, with a filter of your store, and merge."
        found.append(Snippet(f"{title}: balanced", "python", BALANCED, about))
    return found


_DEBIASED = """from pathlib import Path

import panglot
from panglot.debiasing.correction import Debiased, read

model = Debiased(panglot.load($MODEL), read(Path($FOLDER))[0])
index = panglot.Index.build($INDEX, $OUTPUT, model=model)
hits = index.search("your query").hits
"""

_IMPORTS = """import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

"""

_CENTER = """languages = json.loads((folder / "debiasing.json").read_text("utf-8"))["languages"]
means = {side: dict(zip(languages, rows)) for side, rows in zip(("query", "document"), arrays["offset"])}


def debias(vector, language, side):
    moved = np.asarray(vector) - means[side].get(language, means[side].get("mul", 0))
    return moved / np.linalg.norm(moved)


# once:            debias(vector, "de", "document") in place of the vector of every document
# at every search: debias(vector, "de", "query") instead of the vector of the query
"""

_LINEAR = {
    "lsar": """subspace = arrays["subspace"]


def debias(vector):
    moved = np.asarray(vector) - subspace.T @ (subspace @ vector)
    return moved / np.linalg.norm(moved)
""",
    "leace": """matrix, bias = arrays["matrix"], arrays["bias"]


def debias(vector):
    moved = matrix @ vector + bias
    return moved / np.linalg.norm(moved)
""",
}

_RETRIEVER = """import panglot
from panglot.search.integrations.$MODULE import PanglotRetriever

retriever = PanglotRetriever($OPENED, mode=$MODE, $COUNT=10)
$CALL
"""

_FRAMEWORKS = {
    "LangChain": {"MODULE": "langchain", "COUNT": "k", "CALL": 'documents = retriever.invoke("your query")'},
    "LlamaIndex": {"MODULE": "llamaindex", "COUNT": "k", "CALL": 'nodes = retriever.retrieve("your query")'},
    "Haystack": {
        "MODULE": "haystack", "COUNT": "top_k", "CALL": 'documents = retriever.run("your query")["documents"]',
    },
}  # fmt: skip
