"""The audit trail of the application: each audit entry that is committed becomes one JSON line."""

import hashlib
import json
import logging

from auditlog.middleware import AuditlogMiddleware
from auditlog.models import LogEntry
from django.db import transaction
from django.db.models.signals import post_save


class TrailMiddleware(AuditlogMiddleware):
    """Adds to each entry what the library does not record: the session, the interface and the browser."""

    def get_extra_data(self, request):
        data = super().get_extra_data(request)
        key = request.session.session_key
        data["additional_data"] = {
            "interface": "ui",
            # Not the key itself: whoever reads the log could take over the session with it.
            "session_id": hashlib.sha256(key.encode()).hexdigest()[:16] if key else None,
            "user_agent": request.headers.get("User-Agent"),
        }
        return data


def connect():
    post_save.connect(_saved, sender=LogEntry, dispatch_uid="hr.audit")


def _saved(instance, created, **kwargs):
    if created:
        line = json.dumps(row(instance))
        # At the commit: a change that is rolled back did not happen.
        transaction.on_commit(lambda: logging.getLogger("hr.audit").info(line))


def row(entry):
    """The fields of an entry, with the content type by its name."""
    return {
        "id": entry.pk,
        "content_type": f"{entry.content_type.app_label}.{entry.content_type.model}",
        "object_pk": entry.object_pk,
        "object_repr": entry.object_repr,
        "action": entry.action,
        "changes": entry.changes,
        "actor": entry.actor_id,
        "actor_email": entry.actor_email,
        "cid": entry.cid,
        "remote_addr": entry.remote_addr,
        "timestamp": entry.timestamp.isoformat(),
        "additional_data": entry.additional_data,
    }
