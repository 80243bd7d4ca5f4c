"""Machine translation of collections: engines, routes, a store of what was translated, filters of quality."""
