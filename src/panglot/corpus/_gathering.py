"""What is kept of rows while their texts pass by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot.corpus._keys import Keys, joined, keys
from panglot.corpus._layout import Rows
from panglot.corpus.collection import pc


class Gathering:
    """Rows so far, some 60 bytes each.

    Attributes:
        codes: The languages met, in order; :attr:`Rows.language` has their places.
        size: The number of rows.
        test_only: Whether any row says that it comes from a test set.
    """

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.size = 0
        self.test_only = False
        self._keys: dict[str, list[Keys]] = {name: [] for name in ("group", "passage", "id")}
        self._questions: list[npt.NDArray[np.int64]] = []
        self._there: dict[str, list[npt.NDArray[np.bool_]]] = {name: [] for name in ("group", "question", "passage")}
        self._languages: list[npt.NDArray[np.int16]] = []
        self._with_id: list[npt.NDArray[np.int32]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch of :data:`panglot.corpus._chunks.ROWS`."""
        for name, found in self._there.items():
            found.append(batch[name].is_valid().to_numpy(zero_copy_only=False))
        for name in ("group", "passage"):
            self._keys[name].append(keys(batch[name].fill_null("")))
        self._questions.append(keys(batch["question"].fill_null("")).wide)
        with_id = np.flatnonzero(batch["id"].is_valid().to_numpy(zero_copy_only=False)).astype(np.int32)
        if len(with_id):
            self._keys["id"].append(keys(batch["id"].drop_null()))
            self._with_id.append(with_id + np.int32(self.size))
        spoken = batch["language"].dictionary_encode()
        spelled = spoken.dictionary.to_pylist()
        self.codes += [code for code in spelled if not code.startswith("?") and code not in self.codes]
        place = {code: number for number, code in enumerate(self.codes)}
        self._languages.append(np.array([place.get(code, -1) for code in spelled], np.int16)[spoken.indices.to_numpy()])
        self.test_only |= bool(pc.any(batch["test_only"]).as_py())
        self.size += batch.num_rows

    def rows(self) -> Rows:
        """Return what is known of all of them; what was gathered is gone."""
        nothing = np.empty(0, bool)
        there = {name: np.concatenate([nothing, *found]) for name, found in self._there.items()}
        rows = Rows(
            group=joined(self._keys["group"]),
            grouped=there["group"],
            language=np.concatenate([np.empty(0, np.int16), *self._languages]),
            question=np.concatenate([np.empty(0, np.int64), *self._questions]),
            asks=there["question"],
            passage=joined(self._keys["passage"]),
            says=there["passage"],
            ids=joined(self._keys["id"]),
            id_rows=np.concatenate([np.empty(0, np.int32), *self._with_id]),
        )
        for held in (*self._keys.values(), *self._there.values(), self._questions, self._languages, self._with_id):
            held.clear()
        return rows
