"""A small HR application on Django whose models three audit libraries watch at once."""
