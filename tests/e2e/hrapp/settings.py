"""Settings; the folder of the database and the log file come from the environment."""

import os

SECRET_KEY = "only-for-tests-and-only-on-loopback"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.e2e.hrapp.urls"
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
    "tests.e2e.hrapp.apps.HrConfig",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tests.e2e.hrapp.trail.TrailMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["HR_DATABASE"],
        "ATOMIC_REQUESTS": True,
        # Two users at once: who reads in order to write takes the lock first, instead of failing at the write.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL"},
    }
}
LOGGING = {
    "version": 1,
    "formatters": {"line": {"format": "%(message)s"}},
    "handlers": {
        "audit": {
            # Opens the file anew when logrotate has moved it away.
            "class": "logging.handlers.WatchedFileHandler",
            "filename": os.environ["HR_AUDIT_LOG"],
            "encoding": "utf-8",
            "formatter": "line",
        }
    },
    "loggers": {
        "hr.audit": {"handlers": ["audit"], "level": "INFO", "propagate": False},
        "django.server": {"level": "WARNING"},
    },
}
