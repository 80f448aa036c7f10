"""The store: holds what clippers report in memory, and returns snapshots and changes."""
