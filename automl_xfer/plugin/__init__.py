"""Plugins: the hooks, the manager that loads them, and the catalog of what they offer."""
