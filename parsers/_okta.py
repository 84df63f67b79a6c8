"""What the event types of Okta's System Log come to in our vocabulary. Pure."""

from __future__ import annotations

from typing import Final

_EXACT: Final = {
    "user.session.start": "auth.login",
    "user.session.end": "auth.logout",
    "user.session.clear": "session.revoke",
    "user.session.expire": "session.end",
    "user.session.access_admin_app": "auth.elevate",
    "user.session.impersonation.initiate": "auth.impersonate",
    "user.session.impersonation.end": "session.end",
    "user.session.impersonation.grant": "config.update",
    "user.session.impersonation.extend": "config.update",
    "user.session.impersonation.revoke": "config.update",
    "user.authentication.auth_via_mfa": "auth.mfa",
    "user.authentication.verify": "auth.mfa",
    "user.authentication.slo": "auth.logout",
    "user.authentication.universal_logout": "session.revoke",
    "user.account.lock": "user.lock",
    "user.account.lock.limit": "auth.lockout",
    "user.account.update_password": "password.change",
    "user.account.reset_password": "password.reset",
    "user.account.expire_password": "password.reset",
    "user.account.privilege.grant": "role.grant",
    "user.account.privilege.revoke": "role.revoke",
    "user.mfa.factor.activate": "mfa.enable",
    "user.mfa.factor.unsuspend": "mfa.enable",
    "user.mfa.factor.deactivate": "mfa.disable",
    "user.mfa.factor.suspend": "mfa.disable",
    "user.mfa.factor.reset_all": "mfa.disable",
    "user.mfa.factor.update": "user.update",
    "user.mfa.attempt_bypass": "auth.mfa",
    "group.user_membership.add": "group.add",
    "group.user_membership.remove": "group.remove",
    "group.privilege.grant": "role.grant",
    "group.privilege.revoke": "role.revoke",
    "application.user_membership.add": "role.grant",
    "application.user_membership.remove": "role.revoke",
    "application.user_membership.change_password": "password.change",
    "group.application_assignment.add": "role.grant",
    "group.application_assignment.remove": "role.revoke",
    "iam.resourceset.bindings.add": "role.grant",
    "iam.resourceset.bindings.delete": "role.revoke",
    "system.log_stream.lifecycle.delete": "audit.disable",
    "system.log_stream.lifecycle.deactivate": "audit.disable",
    "system.log_stream.lifecycle.activate": "audit.enable",
    "system.log_stream.lifecycle.create": "audit.enable",
    "analytics.reports.export.download": "data.export",
    "analytics.reports.export.generate": "data.export",
    "user.lifecycle.activate": "user.enable",
    "user.lifecycle.reactivate": "user.enable",
    "user.lifecycle.unsuspend": "user.enable",
    "user.lifecycle.deactivate": "user.disable",
    "user.lifecycle.suspend": "user.disable",
}
"""eventType -> our action, where its words do not tell (`_BEGINNINGS`, then `_NOUNS` and `_VERBS`)."""

_BEGINNINGS: Final = (
    ("user.authentication.", "auth.login"),
    ("user.mfa.okta_verify.", "auth.mfa"),
    ("user.account.unlock", "user.unlock"),
    ("user.account.update_", "user.update"),
    ("app.oauth2.consent.grant", "app.connect"),
    ("app.oauth2.consent.revoke", "app.disconnect"),
    ("app.oauth2.as.token.grant", "token.create"),
    ("app.oauth2.token.grant", "token.create"),
    ("app.oauth2.as.token.revoke", "token.revoke"),
    ("app.oauth2.token.revoke", "token.revoke"),
    ("app.oauth2.as.authorize", "auth.login"),
    ("app.oauth2.authorize", "auth.login"),
)

_HOOK: Final = {"made": "webhook.create", "gone": "webhook.delete", "off": "webhook.disable", "": "webhook.update"}
_NOUNS: Final = (
    ("user.", {"made": "user.create", "gone": "user.delete", "": "user.update"}),
    ("group.", {"made": "group.create", "gone": "group.delete", "": "group.update"}),
    ("application.", {"made": "app.connect", "gone": "app.disconnect", "": "app.update"}),
    ("app.", {"made": "app.connect", "gone": "app.disconnect", "": "app.update"}),
    ("iam.role.", {"made": "role.create", "gone": "role.delete", "": "role.update"}),
    ("system.api_token.", {"made": "token.create", "gone": "token.revoke", "": "token.update"}),
    (
        "event_hook.",
        {"made": "webhook.create", "gone": "webhook.delete", "off": "webhook.disable", "": "webhook.update"},
    ),
    (
        "inline_hook.",
        {"made": "webhook.create", "gone": "webhook.delete", "off": "webhook.disable", "": "webhook.update"},
    ),
    ("", {"made": "config.create", "gone": "config.delete", "": "config.update"}),
)
"""How an eventType begins -> our actions by what its last word comes to."""
_VERBS: Final = {
    **dict.fromkeys(("create", "created", "add", "added"), "made"),
    **dict.fromkeys(("delete", "deleted", "remove", "removed", "revoke", "completed", "initiated"), "gone"),
    **dict.fromkeys(("deactivate", "deactivated", "disable"), "off"),
    **dict.fromkeys(("update", "updated", "activate", "activated", "enable", "overwrite", "replace", "reset"), ""),
}


def action_of(code: str) -> str:
    """Our action for an event type; `log.message` where its words say nothing."""
    action = _EXACT.get(code)
    if action is None:
        action = next((action for beginning, action in _BEGINNINGS if code.startswith(beginning)), None)
    if action is None:
        verb = _VERBS.get(code.rpartition(".")[2])
        if verb is None:
            return "log.message"
        actions = next(actions for beginning, actions in _NOUNS if code.startswith(beginning))
        action = actions.get(verb, actions[""])
    return action
