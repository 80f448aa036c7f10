"""The HTTP server: serves scrapes, the page and snapshots, and receives pushes."""
