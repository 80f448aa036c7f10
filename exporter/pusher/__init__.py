"""Pushing: sends changes of the store to another exporter with POST requests.

The package is not called ``push``, because ``exporter.push`` is the function.
"""
