"""Remove language bias from vectors in Qdrant: subtract the mean vector of each language on both sides."""

import sys
import tempfile

from qdrant_client import QdrantClient, models

import panglot

MODEL = sys.argv[1] if len(sys.argv) > 1 else "bundled"
QUERY, LANGUAGE = "Wo nisten Papageitaucher?", "de"

passages = panglot.read("starter:test").passages.to_pylist()
documents = [{key: row[key] for key in ("id", "text", "language", "group")} for row in passages]

with tempfile.TemporaryDirectory() as folder:
    # Encode once. The index keeps plain and centered vectors, and the language means to center queries with.
    index = panglot.Index.build(documents, f"{folder}/index", model=MODEL)
    query = index.encode([QUERY])
    queries = {"plain": query[0], "centered": index.debiasing.apply(query, [LANGUAGE], "question")[0]}

    client = QdrantClient(":memory:")  # or QdrantClient("http://localhost:6333")
    for field, vector in queries.items():
        client.create_collection(
            field, vectors_config=models.VectorParams(size=len(vector), distance=models.Distance.DOT)
        )
        points: list[models.PointStruct] = []
        for ids in index.store.ids():
            for document, each in zip(index.store.get(ids), index.store.vectors(field, ids), strict=True):
                assert document is not None
                payload = {"id": document.id, "text": document.text, "language": document.language}
                points.append(models.PointStruct(id=len(points), vector=each.tolist(), payload=payload))
        client.upsert(field, points)

        print(f"{field}: {QUERY}")
        for point in client.query_points(field, query=vector.tolist(), limit=5).points:
            payload = point.payload or {}
            print(f"  [{payload['language']}] {payload['text'][:60]}")
    index.close()
