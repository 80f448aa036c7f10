"""TLS and passwords, from a web configuration file."""
