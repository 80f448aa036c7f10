"""The Grafana dashboards as Python; ``python -m dashboards generate`` writes them as JSON."""

import warnings

with warnings.catch_warnings():
    # The SDK announces the next format of dashboards here, which Grafana refuses in provisioned files.
    warnings.simplefilter("ignore", DeprecationWarning)
    import grafana_foundation_sdk.builders.dashboard
    import grafana_foundation_sdk.models.dashboardv2beta1  # noqa: F401
