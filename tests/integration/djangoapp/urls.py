"""Pages: the login, the forms for employees, the export, and two pages about accounts."""

import csv

from auditlog.signals import accessed
from django import forms
from django.contrib.auth import get_user_model, update_session_auth_hash
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import Group
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpResponse
from django.urls import path
from django.views import View
from django.views.generic import CreateView, DeleteView, FormView, UpdateView

from tests.integration.djangoapp.models import Employee, Skill

FIELDS = ("name", "salary", "bonus", "hired", "note", "manager")


class Home(LoginRequiredMixin, View):
    def get(self, request):
        return HttpResponse(f"{Employee.objects.count()} employees", content_type="text/plain")


class Create(LoginRequiredMixin, CreateView):
    model, fields, template_name = Employee, FIELDS, "hr/form.html"


class Edit(LoginRequiredMixin, UpdateView):
    model, fields, template_name = Employee, FIELDS, "hr/form.html"


class Delete(LoginRequiredMixin, DeleteView):
    model, template_name, success_url = Employee, "hr/form.html", "/"


class Words(forms.Form):
    words = forms.CharField(required=False)


class Form(LoginRequiredMixin, FormView):
    form_class, template_name, success_url = Words, "hr/form.html", "/"

    def form_valid(self, form):
        self.do(form.cleaned_data["words"])
        return super().form_valid(form)


class Skills(Form):
    def do(self, words):
        Employee.objects.get(pk=self.kwargs["pk"]).skills.set(Skill.objects.filter(name__in=words.split()))


class Password(Form):
    def do(self, words):
        self.request.user.set_password(words)
        self.request.user.save()
        update_session_auth_hash(self.request, self.request.user)


class Promote(Form):
    def do(self, words):
        user = get_user_model().objects.get(username=words)
        user.is_staff = True
        user.save()
        user.groups.add(Group.objects.get(name="payroll"))


class Export(LoginRequiredMixin, View):
    def get(self, request):
        answer = HttpResponse(content_type="text/csv")
        rows = csv.writer(answer)
        for employee in Employee.objects.order_by("pk"):
            accessed.send(Employee, instance=employee)
            rows.writerow([employee.pk, employee.name, employee.salary])
        return answer


urlpatterns = [
    path("", Home.as_view()),
    path("login/", LoginView.as_view(template_name="hr/form.html")),
    path("logout/", LogoutView.as_view(next_page="/login/")),
    path("password/", Password.as_view()),
    path("promote/", Promote.as_view()),
    path("employees/new/", Create.as_view()),
    path("employees/<int:pk>/", Edit.as_view()),
    path("employees/<int:pk>/skills/", Skills.as_view()),
    path("employees/<int:pk>/delete/", Delete.as_view()),
    path("employees/export/", Export.as_view()),
]
