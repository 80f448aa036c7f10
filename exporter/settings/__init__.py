"""Options: reads and checks flags, environment variables and keywords."""
