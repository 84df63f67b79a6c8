"""A small HR application on Django with django-auditlog: login, and a form to create, edit and delete employees.

It stands for the application of a customer: it knows nothing of Fieldtrail and writes one JSON line per audit entry,
as `fieldtrail formats django_auditlog` describes. `python -m tests.e2e.hrapp` serves it; see `__main__.py`.
"""
