"""The application `hr`: its models are `hr.employee` in the audit log."""

from django.apps import AppConfig


class HrConfig(AppConfig):
    name = "tests.e2e.hrapp"
    label = "hr"

    def ready(self):
        from tests.e2e.hrapp import trail

        trail.connect()
