"""`import_employees FILE`: save the rows of a JSON file, as a nightly import does it, outside of any request."""

import json
from pathlib import Path

from django.core.management.base import BaseCommand

from tests.integration.djangoapp.models import Employee


class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)

    def handle(self, *args, file, **options):
        for row in json.loads(file.read_text(encoding="utf-8")):
            employee = Employee.objects.filter(pk=row["id"]).first() or Employee()
            for name, value in row.items():
                setattr(employee, name, value)
            employee.save()
