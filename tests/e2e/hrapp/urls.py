"""Pages: the list, the login, and the forms for employees."""

from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView
from django.http import HttpResponse
from django.urls import path
from django.views import View
from django.views.generic import CreateView, DeleteView, UpdateView

from tests.e2e.hrapp.models import Employee

FIELDS = ("name", "salary", "department", "iban", "status")


class Home(LoginRequiredMixin, View):
    def get(self, request):
        return HttpResponse(f"{Employee.objects.count()} employees", content_type="text/plain")


class Create(LoginRequiredMixin, CreateView):
    model, fields, template_name = Employee, FIELDS, "hr/form.html"


class Edit(LoginRequiredMixin, UpdateView):
    model, fields, template_name = Employee, FIELDS, "hr/form.html"


class Delete(LoginRequiredMixin, DeleteView):
    model, template_name, success_url = Employee, "hr/form.html", "/"


urlpatterns = [
    path("", Home.as_view()),
    path("login/", LoginView.as_view(template_name="hr/form.html")),
    path("employees/new/", Create.as_view()),
    path("employees/<int:pk>/", Edit.as_view()),
    path("employees/<int:pk>/delete/", Delete.as_view()),
]
