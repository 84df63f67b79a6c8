"""What Fieldtrail puts into a SIEM: templates, retention policies, monitors, roles and dashboards."""
