"""Employees."""

from auditlog.registry import auditlog
from django.db import models


class Employee(models.Model):
    STATUSES = (("active", "Active"), ("leave", "On leave"), ("left", "Left"))

    name = models.CharField(max_length=80)
    salary = models.DecimalField(max_digits=10, decimal_places=2)
    department = models.CharField(max_length=40)
    iban = models.CharField(max_length=34)
    status = models.CharField(max_length=10, choices=STATUSES, default="active")

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return f"/employees/{self.pk}/"


auditlog.register(Employee)
