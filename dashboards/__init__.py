"""The Grafana dashboards as Python; ``python -m dashboards generate`` writes them as JSON."""

import warnings

with warnings.catch_warnings():
    # Where it declares this format of dashboards, the SDK announces the next one, which Grafana refuses in files.
    warnings.simplefilter("ignore", DeprecationWarning)
    import grafana_foundation_sdk.builders.dashboard
    import grafana_foundation_sdk.models.dashboardv2beta1  # noqa: F401
