"""Diagnose the language bias of a search, and remove it without training."""

import sys
import tempfile

import panglot
from panglot.search.audit import audit_bias
from panglot.search.queries import sample_queries

MODEL = sys.argv[1] if len(sys.argv) > 1 else "bundled"

# Your documents: an iterable of mappings with id and text. Add title, language and group if you know them.
passages = panglot.read("starter:test").passages.to_pylist()
documents = [{key: row[key] for key in ("id", "text", "language", "group")} for row in passages]

with tempfile.TemporaryDirectory() as folder:
    index = panglot.Index.build(documents, f"{folder}/index", model=MODEL)

    # Diagnose. No labels are needed: documents serve as queries for their translations.
    audit = audit_bias(index, sample_queries(index.documents(), 20))
    for mode, figures in audit["modes"].items():
        print(f"{mode:9} own language fills {figures['self_preference@10']:.1f} times its share of the first ten")
    print(*audit["advice"], sep="\n")

    # Fix: score documents relative to others of their language.
    for mode in ("plain", "balanced"):
        result = index.search("Wo nisten Papageitaucher?", k=5, mode=mode)
        print(f"\n{mode}: {result.query}")
        for hit in result.hits:
            print(f"  {hit.rank}. [{hit.document.language}] {hit.document.text[:60]}")
    index.close()
