"""From this process to an exporter elsewhere: the store's changes come in, POST requests go out."""
