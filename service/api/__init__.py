"""HTTP: what requests mean and what responses are. The routes are a file a resource."""
