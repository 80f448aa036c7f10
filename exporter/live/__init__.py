"""Live updates: sends changes of the store over event streams and Socket.IO."""
