"""Everything that can go wrong around a controller, made to happen on purpose, and what must be seen each time."""
