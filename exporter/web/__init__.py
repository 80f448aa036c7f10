"""The HTTP server: requests come in; the page, scrapes, snapshots and answers to pushes go out."""
