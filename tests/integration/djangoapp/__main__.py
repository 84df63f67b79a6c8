"""`python -m tests.integration.djangoapp FILE`: serve on a free port of 127.0.0.1, print the port, end with TERM.

FILE holds what is there from the start, as JSON: `{"users": {name: password}, "skills": [name]}`.
"""

import json
import os
import sys
from pathlib import Path

import django


def main(begin):
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integration.djangoapp.settings"
    django.setup()

    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group
    from django.core.management import call_command
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    from tests.integration.djangoapp.models import Skill

    call_command("migrate", run_syncdb=True, verbosity=0)
    data = json.loads(begin.read_text(encoding="utf-8"))
    for name, password in data["users"].items():
        get_user_model().objects.create_user(name, f"{name}@example.com", password)
    for name in data["skills"]:
        Skill.objects.create(name=name)
    Group.objects.create(name="payroll")

    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    print(server.server_port, flush=True)
    server.serve_forever()


main(Path(sys.argv[1]))
