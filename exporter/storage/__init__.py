"""Counters that survive a crash: what the store has counted comes in, a database file goes out."""
