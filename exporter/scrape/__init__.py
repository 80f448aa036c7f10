"""From a store to what Prometheus scrapes: the store's changes come in, an exposition goes out."""
