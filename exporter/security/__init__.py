"""TLS and passwords: a web configuration file comes in, who may connect and log in goes out."""
