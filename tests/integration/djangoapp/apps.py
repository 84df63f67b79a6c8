"""The application `hr`: its models are `hr.employee` and `hr.skill` in the audit tables."""

from django.apps import AppConfig


class HrConfig(AppConfig):
    name = "tests.integration.djangoapp"
    label = "hr"

    def ready(self):
        from auditlog.registry import auditlog
        from django.contrib.auth import get_user_model

        auditlog.register(get_user_model(), m2m_fields={"groups"})
