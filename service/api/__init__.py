"""The routes, one file a resource. The only place, with `service.app`, that knows HTTP."""
