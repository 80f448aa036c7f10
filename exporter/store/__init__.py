"""What a clipper reports, kept in memory: updates and batches come in, snapshots and changes go out."""
