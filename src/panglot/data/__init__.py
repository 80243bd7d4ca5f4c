"""Files become a collection: formats, ingestion, languages, overlap."""
