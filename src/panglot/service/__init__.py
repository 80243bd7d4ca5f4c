"""The service: a web page, a JSON API and OpenAI-style embeddings over an index."""
