"""Scrapes: renders the store and the registered collectors as an exposition."""
