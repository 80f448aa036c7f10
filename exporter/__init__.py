"""Prometheus exporter for live-stream clippers."""

__version__ = "0.1.0"
