"""One resource, once: gather, decide, apply. The sync logic between the vendors and the store."""
