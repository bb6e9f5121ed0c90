"""Vector indexes and the store of record."""
