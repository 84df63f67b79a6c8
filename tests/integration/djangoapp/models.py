"""Employees and their skills, watched by django-auditlog and django-simple-history (django-easy-audit watches all)."""

from auditlog.registry import auditlog
from django.db import models
from simple_history.models import HistoricalRecords


class Skill(models.Model):
    name = models.CharField(max_length=40)

    def __str__(self):
        return self.name


class Employee(models.Model):
    name = models.CharField(max_length=80)
    salary = models.DecimalField(max_digits=10, decimal_places=2)
    bonus = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    hired = models.DateField(null=True, blank=True)
    note = models.CharField(max_length=200, blank=True)
    manager = models.ForeignKey("self", models.SET_NULL, null=True, blank=True)
    skills = models.ManyToManyField(Skill, blank=True)
    history = HistoricalRecords(m2m_fields=[skills])

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return f"/employees/{self.pk}/"


auditlog.register(Employee, m2m_fields={"skills"})
