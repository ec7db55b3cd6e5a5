"""The rooms in order, as functions: `models` from plan to proof, `volumes` for claims, `looking` for services."""
