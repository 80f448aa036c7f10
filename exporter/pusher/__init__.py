"""From this process to an exporter elsewhere: the store's changes come in, POST requests go out.

The room is not called ``push``: ``exporter.push`` is the function.
"""
