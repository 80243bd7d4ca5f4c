"""Code to paste that corrects vectors where they are, in Qdrant, Milvus, LanceDB or pgvector, and searches there."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, NamedTuple

from panglot.search.ranking.modes import HEAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.search.ingest.collections import Layout


class Snippet(NamedTuple):
    """A piece of code, with a title and a sentence about it."""

    title: str
    language: str  # sh or python
    code: str
    note: str = ""


def quote(value: object) -> str:
    """Return a text as Python writes it, in double quotes."""
    return json.dumps(str(value), ensure_ascii=False)


def store_snippets(layout: Layout, index: Path, folder: Path, *, model: str, balanced: bool) -> list[Snippet]:
    """Return code that writes corrected vectors into a collection's store, searches there, and does so in frameworks.

    It is empty for a table without a column that names its rows.

    Args:
        layout: Where the collection keeps what.
        index: The index of its vectors, which knows the language of each document.
        folder: Where ``debiasing.json`` and ``debiasing.safetensors`` are.
        model: The model of the vectors.
        balanced: Whether to rank as the mode ``balanced`` does.
    """
    store = _STORES[layout.kind]
    if not layout.key and len(layout.id) != 1:
        return []
    key = layout.key or layout.id[0]
    copy = f"{layout.name}_debiased"
    own_id = f"str({store.row}{_path(layout.id)})" if layout.id else store.id
    opened = store.server if "://" in layout.where else store.local
    # The parts of the code have names in them too.
    parts = {
        "OPEN": opened, "OS": "import os\n" if "os." in opened else "", "ID": own_id,
        "FILTER": store.filter if balanced else "", "LANGUAGE": ", language" if balanced else "",
        "KEPT": f', "panglot_language": languages[{own_id}]' if balanced else "",
        "GIVEN": ', "language": language' if balanced else "",
    }  # fmt: skip
    values = {
        "INDEX": quote(index), "FOLDER": quote(folder), "MODEL": quote(model), "WHERE": quote(layout.where),
        "NAME": quote(layout.name), "COPY": quote(copy), "KEY": quote(key), "COLUMN": key,
        "VECTOR": quote(layout.vector_name), "TABLE": ".".join(f'"{part}"' for part in layout.name.split(".")),
        "TEXT": _text_of(layout), "METADATA": f"fields{_path([layout.metadata])}" if layout.metadata else "fields",
    }  # fmt: skip

    def code(template: str) -> str:
        return Template(Template(template).safe_substitute(parts)).substitute(values)

    place = "columns beside the vectors" if layout.kind == "postgresql" else f"a copy, `{copy}`"
    made = [
        Snippet(
            f"{store.title}: correct the vectors once", "python", code(_CORRECT + store.write),
            f"It writes corrected vectors into {place}, and changes no vector that is there.",
        ),
        Snippet(
            f"{store.title}: search", "python", code(_QUERY + store.search + (_BALANCED if balanced else _PLAIN)),
            "It corrects the vector of each query, too.",
        ),
    ]  # fmt: skip
    for title, (template, embedder, names) in _FRAMEWORKS.items():
        note = "Paste it below the search."
        # The frameworks' own stores search once, and in the columns that they made.
        if not balanced and layout.kind in names:
            note += f" If {title} made the collection, `{names[layout.kind]}` can stay. Give it the name `{copy}`, and "
            note += f"encode queries with `{embedder}(Debiased(model, correction))`. `Debiased` is in "
            note += "`panglot.debiasing.correction`."
        made.append(Snippet(title, "python", code(template), note))
    return made


def _path(names: Sequence[str]) -> str:
    # A dollar sign is doubled because the result is a template.
    return "".join(f"[{quote(name)}]" for name in names).replace("$", "$$")


def _text_of(layout: Layout) -> str:
    found = "fields" + "".join(f"[{quote(name)}]" for name in layout.text)
    # LlamaIndex keeps a whole node as JSON.
    return f'__import__("json").loads({found})["text"]' if layout.text[-1] == "_node_content" else found


_CORRECT = """${OS}from pathlib import Path

import panglot
from panglot.debiasing.correction import read

index = panglot.Index.open($INDEX)
correction = read(Path($FOLDER))[0]
vectors, languages = {}, {}
for ids in index.store.ids():
    languages |= {each.id: each.language for each in index.store.get(ids)}
    found = correction.apply(index.store.vectors("plain", ids), [languages[name] for name in ids], "passage")
    vectors |= dict(zip(ids, found))

"""

_QUERY = """${OS}from pathlib import Path

import panglot
from panglot.debiasing.correction import read
from panglot.search.query_language import query_language

model = panglot.load($MODEL)
correction = read(Path($FOLDER))[0]


def encode(query):
    language = query_language(query, correction.languages).code or "mul"
    return correction.apply(model.encode([query], "question"), [language], "question")[0].tolist()


"""

_PLAIN = """

def search(query, k=10):
    return near(encode(query), k)
"""

BALANCED = f"""def balanced(search, vector, languages, k=10):
    \"\"\"search(vector, language, k) returns (score, id, …) of the best k documents in one language.\"\"\"
    found = []
    for language in languages:
        hits = search(vector, language, max(k, {HEAD}))
        usual = sum(hit[0] for hit in hits[:{HEAD}]) / max(len(hits[:{HEAD}]), 1)
        found += [(score - usual / 2, *others) for score, *others in hits]
    return sorted(found, key=lambda hit: hit[0], reverse=True)[:k]
"""

_BALANCED = f"""

{BALANCED}

def search(query, k=10):
    return balanced(near, encode(query), correction.languages, k)
"""


class _Store(NamedTuple):
    """The code of one store. ``near`` returns score, id and fields of the documents nearest to a vector."""

    title: str
    local: str  # Opens a folder, a file or a database.
    server: str
    row: str  # The fields of a row.
    id: str  # Of a row, as text.
    filter: str  # By language.
    write: str
    search: str


_QDRANT = _Store(
    "Qdrant", "QdrantClient(path=$WHERE)", 'QdrantClient($WHERE, api_key=os.environ.get("QDRANT_API_KEY"))',
    "each.payload", "str(each.id)",
    ", query_filter=models.Filter(must=[\n        "
    'models.FieldCondition(key="panglot_language", match=models.MatchValue(value=language))\n    ])',
    """from qdrant_client import QdrantClient, models

client = $OPEN
shape = models.VectorParams(size=correction.dimension, distance=models.Distance.COSINE)
# Drop the copy before you run this again.
client.create_collection($COPY, vectors_config=shape)
start = None
while True:
    rows, start = client.scroll($NAME, limit=1000, offset=start)
    points = [
        models.PointStruct(id=each.id, vector=vectors[$ID].tolist(), payload={**each.payload$KEPT})
        for each in rows if $ID in vectors
    ]
    client.upsert($COPY, points)
    if start is None:
        break
client.close()
""",
    """from qdrant_client import QdrantClient, models

client = $OPEN


def near(vector$LANGUAGE, k):
    points = client.query_points($COPY, query=vector, limit=k$FILTER).points
    return [(each.score, $ID, each.payload) for each in points]
""",
)  # fmt: skip

_MILVUS = _Store(
    "Milvus", "MilvusClient($WHERE)", 'MilvusClient($WHERE, token=os.environ.get("MILVUS_TOKEN", ""))',
    "each", "str(each[$KEY])", """, filter=f'panglot_language == "{language}"'""",
    """from pymilvus import MilvusClient

client = $OPEN
# Drop the copy before you run this again.
client.create_collection(
    $COPY, dimension=correction.dimension, metric_type="COSINE", id_type="string", max_length=512,
    primary_field_name=$KEY, vector_field_name=$VECTOR,
)
pieces = client.query_iterator($NAME, batch_size=1000, output_fields=["*"])
while rows := pieces.next():
    client.insert($COPY, [
        {**each, $KEY: str(each[$KEY]), $VECTOR: vectors[$ID].tolist()$KEPT} for each in rows if $ID in vectors
    ])
client.close()
""",
    """from pymilvus import MilvusClient

client = $OPEN
client.load_collection($COPY)


def near(vector$LANGUAGE, k):
    hits = client.search($COPY, data=[vector], limit=k, output_fields=["*"]$FILTER)[0]
    found = [(hit["distance"], hit["entity"]) for hit in hits]
    return [(score, $ID, {name: each[name] for name in each if name != $VECTOR}) for score, each in found]
""",
)  # fmt: skip

_LANCEDB = _Store(
    "LanceDB", "lancedb.connect($WHERE)", "lancedb.connect($WHERE)", "each", 'str(each.get("id", row))',
    """.where(f"panglot_language = '{language}'", prefilter=True)""",
    """import lancedb

database = $OPEN
rows = enumerate(database.open_table($NAME).to_arrow().to_pylist())
# Drop the copy before you run this again.
database.create_table($COPY, [
    {**each, "id": $ID, $VECTOR: vectors[$ID].tolist()$KEPT} for row, each in rows if $ID in vectors
])
""",
    """import lancedb

table = $OPEN.open_table($COPY)


def near(vector$LANGUAGE, k):
    rows = table.search(vector, vector_column_name=$VECTOR).distance_type("cosine").limit(k)$FILTER.to_list()
    hidden = {$VECTOR, "_distance"}
    return [
        (1 - each["_distance"], each["id"], {name: each[name] for name in each if name not in hidden}) for each in rows
    ]
""",
)  # fmt: skip

_POSTGRESQL = _Store(
    "PostgreSQL", "psycopg.connect($WHERE, row_factory=dict_row)", "psycopg.connect($WHERE, row_factory=dict_row)",
    "each", "str(each[$KEY])", " AND panglot_language = %(language)s",
    """import psycopg
from psycopg.rows import dict_row

with $OPEN as connection, connection.cursor() as cursor:
    cursor.execute('''ALTER TABLE $TABLE ADD COLUMN panglot_language text, ADD COLUMN debiased vector''')
    rows = [each for each in cursor.execute('''SELECT * FROM $TABLE''') if $ID in vectors]
    new = [(str(vectors[$ID].tolist()), languages[$ID], each[$KEY]) for each in rows]
    cursor.executemany('''UPDATE $TABLE SET debiased = %s, panglot_language = %s WHERE "$COLUMN" = %s''', new)
    shape = f"vector({correction.dimension})"
    cursor.execute('''ALTER TABLE $TABLE ALTER COLUMN debiased TYPE ''' + shape)
    cursor.execute('''CREATE INDEX ON $TABLE USING hnsw (debiased vector_ip_ops)''')
""",
    """import psycopg
from psycopg.rows import dict_row

query = '''SELECT *, -(debiased <#> %(vector)s::vector) AS score FROM $TABLE WHERE debiased IS NOT NULL$FILTER
    ORDER BY debiased <#> %(vector)s::vector LIMIT %(k)s'''


def near(vector$LANGUAGE, k):
    with $OPEN as connection:
        rows = connection.execute(query, {"vector": str(vector), "k": k$GIVEN}).fetchall()
    hidden = {"debiased", "score", $VECTOR}
    return [(each["score"], $ID, {name: each[name] for name in each if name not in hidden}) for each in rows]
""",
)  # fmt: skip

_STORES = {"qdrant": _QDRANT, "milvus": _MILVUS, "lancedb": _LANCEDB, "postgresql": _POSTGRESQL}

_LANGCHAIN = """from langchain_core.documents import Document
from langchain_core.runnables import chain


@chain
def retriever(query: str) -> list[Document]:
    return [Document($TEXT, id=name, metadata=$METADATA) for _, name, fields in search(query)]


documents = retriever.invoke("your query")
"""

_LLAMA_INDEX = """from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode


class Retriever(BaseRetriever):
    def _retrieve(self, query_bundle):
        return [
            NodeWithScore(node=TextNode(id_=name, text=$TEXT, metadata=$METADATA), score=score)
            for score, name, fields in search(query_bundle.query_str)
        ]


nodes = Retriever().retrieve("your query")
"""

_HAYSTACK = """from haystack import Document, component


@component
class Retriever:
    @component.output_types(documents=list[Document])
    def run(self, query: str):
        hits = search(query)
        return {"documents": [Document(id=name, content=$TEXT, meta=$METADATA, score=s) for s, name, fields in hits]}


documents = Retriever().run(query="your query")["documents"]
"""

_FRAMEWORKS = {
    "LangChain": (_LANGCHAIN, "panglot.search.integrations.langchain.PanglotEmbeddings", {
        "qdrant": "langchain_qdrant.QdrantVectorStore", "milvus": "langchain_milvus.Milvus",
        "lancedb": "langchain_community.vectorstores.LanceDB",
    }),
    "LlamaIndex": (_LLAMA_INDEX, "panglot.search.integrations.llamaindex.PanglotEmbedding", {
        "qdrant": "llama_index.vector_stores.qdrant.QdrantVectorStore",
        "milvus": "llama_index.vector_stores.milvus.MilvusVectorStore",
        "lancedb": "llama_index.vector_stores.lancedb.LanceDBVectorStore",
    }),
    "Haystack": (_HAYSTACK, "panglot.search.integrations.haystack.PanglotTextEmbedder", {
        "qdrant": "haystack_integrations.document_stores.qdrant.QdrantDocumentStore",
        "milvus": "milvus_haystack.MilvusDocumentStore", "lancedb": "lancedb_haystack.LanceDBDocumentStore",
    }),
}  # fmt: skip
