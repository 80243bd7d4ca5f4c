"""Retrieve from an index in LangChain and in LlamaIndex."""

import sys
import tempfile

import panglot
from panglot.search.integrations.langchain import PanglotRetriever as LangChainRetriever
from panglot.search.integrations.llamaindex import PanglotRetriever as LlamaIndexRetriever

MODEL = sys.argv[1] if len(sys.argv) > 1 else "bundled"
QUERY = "Wo nisten Papageitaucher?"

passages = panglot.read("starter:test").passages.to_pylist()
documents = [{key: row[key] for key in ("id", "text", "language", "group")} for row in passages]

with tempfile.TemporaryDirectory() as folder:
    index = panglot.Index.build(documents, f"{folder}/index", model=MODEL)

    print("LangChain")
    for document in LangChainRetriever(index, k=3, mode="balanced").invoke(QUERY):
        print(f"  [{document.metadata['language']}] {document.page_content[:60]}")

    print("LlamaIndex")
    for node in LlamaIndexRetriever(index, k=3, mode="balanced").retrieve(QUERY):
        print(f"  [{node.node.metadata['language']}] {node.node.get_content()[:60]}")
    index.close()
