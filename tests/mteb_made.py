"""Tasks of mteb with texts made here, in the layout that mteb loads its own into."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def split(
    questions: Mapping[str, str], passages: Mapping[str, str], judged: Mapping[str, Mapping[str, int]], **more: Any
) -> dict[str, Any]:
    """Return a split of a subset, as mteb's tasks hold it."""
    from datasets import Dataset

    rows = [{"id": key, "text": text} for key, text in questions.items()]
    held = [{"id": key, "text": text} for key, text in passages.items()]
    data: dict[str, Any] = {"queries": Dataset.from_list(rows), "corpus": Dataset.from_list(held)}
    return {**data, "relevant_docs": {key: dict(each) for key, each in judged.items()}, "top_ranked": None, **more}


def made(
    subsets: Mapping[str, Sequence[str]] | Sequence[str],
    data: Mapping[str, dict[str, Any]],
    name: str = "MadeRetrieval",
) -> Any:
    """A class of tasks that loads ``data``, by subset."""
    retrieval: Any = import_module("mteb.abstasks.retrieval")
    metadata_of: Any = import_module("mteb.abstasks.task_metadata").TaskMetadata

    class Made(retrieval.AbsTaskRetrieval):
        metadata = metadata_of(
            name=name, description="Lakes and hills.", dataset={"path": "made", "revision": "1"}, type="Retrieval",
            category="t2t", modalities=["text"], eval_splits=["test"], eval_langs=subsets, main_score="ndcg_at_10",
            license="cc0-1.0", reference="https://example.org/made",
        )  # fmt: skip

        def load_data(self, *_: Any, **_more: Any) -> None:
            self.dataset = {name: {"test": dict(each)} for name, each in data.items() if name in self.hf_subsets}
            self.data_loaded = True

    return Made
