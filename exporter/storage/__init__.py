"""Persistent counters: writes the store's counters to a database file and restores them."""
