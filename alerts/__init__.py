"""Alerting for the exporter: rules, their test input, and what Alertmanager does with them."""
