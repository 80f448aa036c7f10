"""Live push to people: the store's changes come in, event streams and Socket.IO packets go out."""
