"""The routes under `/v1`, a file a resource."""
