"""Keep documents and vectors: in a local folder or in Milvus."""
