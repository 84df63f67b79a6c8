"""Settings; the folder of the database, and that of an app of the test's own, come from the environment."""

import os
import sys
from pathlib import Path

SECRET_KEY = "only-for-tests-and-only-on-loopback"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.integration.djangoapp.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "auditlog",
    "simple_history",
    "easyaudit",
    "tests.integration.djangoapp.apps.HrConfig",
]
if commands := os.environ.get("HR_COMMANDS"):
    sys.path.append(str(Path(commands).parent))
    INSTALLED_APPS.append(Path(commands).name)
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "easyaudit.middleware.easyaudit.EasyAuditMiddleware",
]
# Each library would else record the tables of the others.
DJANGO_EASY_AUDIT_UNREGISTERED_CLASSES_EXTRA = ["auditlog.LogEntry", "hr.HistoricalEmployee"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parents[2] / "e2e" / "hrapp" / "templates"],
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["HR_DATABASE"],
        "ATOMIC_REQUESTS": True,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL"},
    }
}
LOGGING = {"version": 1, "loggers": {"django.server": {"level": "WARNING"}}}
