"""Keap, REST v2 and REST hooks v1.

Confirmed: paths and members of contacts, opportunities and stage moves (the vendor's SDK `keap-core-v2-sdk`), `filter`
with `start_update_time==`, `order_by` (opportunities: `update_time`, stage moves: `move_date`), `fields`, `page_size`,
`page_token` and `next_page_token`; opportunities cannot be filtered by time; refresh tokens that rotate; quota headers;
hooks: batched, at first 30-60 s after the change, retries after 30-60 s, 5 min, 30 min, Inactive after the fourth
failure, at most 1,000 records each. Third-party: the handshake (`X-Hook-Secret` is echoed). Not confirmed: that
`start_update_time` includes the moment itself, the milliseconds of times, `order_by=update_time` of contacts, the members of a hook of the API beside `key`, `eventKey`, `hookUrl`, `status`.
"""

import itertools

from tests.simulator.clock import iso, moment
from tests.simulator.vendor import Answer, Budget, Grants, Refused, Vendor, basic, bearer, shown

CLIENT = ("keap-client", "keap-secret")
FIRST_REFRESH = "refresh-0"
CONTACT_FIELDS = ("id", "given_name", "family_name")


class Keap(Vendor):
    """Contacts, opportunities, stage moves, users and hooks."""

    name = "keap"
    routes = (
        ("POST", "/token", "token"),
        ("GET", "/rest/v2/contacts", "contacts"),
        ("GET", r"/rest/v2/contacts/(\d+)", "contact"),
        ("GET", "/rest/v2/opportunities", "opportunities"),
        ("GET", "/rest/v2/opportunities/stageMoves", "stage_moves"),
        ("GET", r"/rest/v2/opportunities/(\d+)", "opportunity"),
        ("GET", "/rest/v2/users", "users"),
        ("GET", "/rest/v1/hooks", "hooks"),
        ("POST", r"/rest/v1/hooks/(\w+)/verify", "verify"),
    )

    def __init__(self, world, clock, *, token_life=24 * 3600):
        super().__init__(world, clock)
        self.grants = Grants(clock, token_life, FIRST_REFRESH)
        # The personal limits of the documentation: 10 a second, 240 a minute, 30,000 a day.
        self.budgets = [Budget(clock, 10, 1), Budget(clock, 240, 60), Budget(clock, 30_000, 86400)]
        self.moves = []
        self.subscriptions = {}
        """Key of a hook -> its members as the API shows them."""
        self.verified = []
        """Keys that were verified again."""
        self._ids = itertools.count(801)
        world.listeners.append(self._note_moves)

    def open_to_all(self, request):
        return request.path == "/token"

    def authorize(self, request):
        if not self.grants.good(bearer(request)):
            raise Refused(
                401,
                {
                    "fault": {
                        "faultstring": "Invalid Access Token",
                        "detail": {"errorcode": "keymanagement.service.invalid_access_token"},
                    }
                },
            )

    def limit(self, request):
        left = []
        for budget in self.budgets:
            rest, wait = budget.take()
            if wait:
                raise Refused(
                    429,
                    {"fault": {"faultstring": "Spike arrest violation"}},
                    {"x-keap-product-throttle-available": "0"},
                )
            left.append((budget, rest))
        budget, rest = left[-1]
        told = {"limit": budget.most, "used": budget.most - rest, "available": rest, "interval": 1, "time-unit": "day"}
        return {f"x-keap-product-quota-{name}": str(value) for name, value in told.items()}

    # -- tokens -------------------------------------------------------------------------------------------------------

    def token(self, request):
        form = request.form
        if basic(request) != CLIENT and (form.get("client_id"), form.get("client_secret")) != CLIENT:
            raise Refused(401, {"error": "invalid_client"})
        given = self.grants.refresh(form.get("refresh_token")) if form.get("grant_type") == "refresh_token" else None
        if given is None:
            raise Refused(400, {"error": "invalid_grant", "error_description": "Invalid refresh token"})
        life = max(1, int(self.clock.span(self.grants.life)))
        return Answer(
            200,
            {
                "access_token": given[0],
                "refresh_token": given[1],
                "expires_in": life,
                "token_type": "bearer",
                "scope": "full",
            },
        )

    # -- records ------------------------------------------------------------------------------------------------------

    def _page(self, request, items):
        """One page of a list, and the token of the next one."""
        size = min(int(request.query.get("page_size", 100)), 1000)
        start = int(request.query.get("page_token") or 0)
        page = items[start : start + size]
        return page, str(start + size) if start + size < len(items) else ""

    def _filter(self, request):
        asked = dict(part.split("==", 1) for part in request.query.get("filter", "").split(";") if part)
        return {name: moment(value) if name.endswith("_time") else value for name, value in asked.items()}

    def contacts(self, request):
        asked = self._filter(request)
        found = [
            one
            for one in self.world.alive("keap", "contact")
            if asked.get("start_update_time", 0) <= one.updated <= asked.get("end_update_time", 1e12)
        ]
        # By its time of update, as `order_by=update_time` asks; else by id.
        found.sort(
            key=lambda one: one.updated if request.query.get("order_by", "").startswith("update_time") else int(one.id)
        )
        page, following = self._page(request, found)
        fields = request.query.get("fields", "").split(",")
        return Answer(
            200,
            {"contacts": [self._contact(one, fields) for one in page], "next_page_token": following},
            {},
            shown(page),
        )

    def contact(self, request, identity):
        one = self._found("contact", identity)
        return Answer(200, self._contact(one, request.query.get("fields", "").split(",")), {}, shown([one]))

    def _contact(self, one, fields):
        """Only what is asked for by `fields`, and the names."""
        whole = {
            "id": one.id,
            **one.values,
            "create_time": iso(one.created),
            "update_time": iso(one.updated),
            "last_updated_by": one.editor,
            "created_by": one.creator,
        }
        return {name: value for name, value in whole.items() if name in fields or name in CONTACT_FIELDS}

    def _found(self, kind, identity):
        one = self.world.things.get(f"keap:{kind}/{identity}")
        if one is None or one.deleted:
            raise Refused(404, {"message": "Resource not found"})
        return one

    def opportunities(self, request):
        found = self.world.alive("keap", "opportunity")
        order, _, direction = request.query.get("order_by", "created_time asc").partition(" ")
        if order not in {"update_time", "created_time"}:
            raise Refused(400, {"message": "order_by is not one of the fields"})
        found.sort(key=lambda one: one.updated if order == "update_time" else one.created, reverse=direction == "desc")
        page, following = self._page(request, found)
        fields = request.query.get("fields", "").split(",")
        told = [self._opportunity(one, fields) for one in page]
        return Answer(200, {"opportunities": told, "next_page_token": following}, {}, shown(page))

    def opportunity(self, request, identity):
        one = self._found("opportunity", identity)
        return Answer(200, self._opportunity(one, request.query.get("fields", "").split(",")), {}, shown([one]))

    def _opportunity(self, one, fields):
        """Who made and changed it only where it is asked for."""
        whole = {
            "id": one.id,
            **one.values,
            "created_time": iso(one.created),
            "last_updated_time": iso(one.updated),
            "created_by": one.creator,
            "last_updated_by": one.editor,
        }
        optional = {"custom_fields", "created_by", "last_updated_by"} - set(fields)
        return {name: value for name, value in whole.items() if name not in optional}

    def stage_moves(self, request):
        order, _, direction = request.query.get("order_by", "id asc").partition(" ")
        if order not in {"move_date", "id"}:
            raise Refused(400, {"message": "order_by is not one of the fields"})
        moves = list(reversed(self.moves)) if direction == "desc" else self.moves
        page, following = self._page(request, moves)
        return Answer(200, {"stage_moves": page, "next_page_token": following})

    def _note_moves(self, thing, facts):
        for fact in facts:
            if (fact.source, fact.type, fact.field) == ("keap", "opportunity", "stage.id"):
                self.moves.append(
                    {
                        "id": str(next(self._ids)),
                        "opportunity_id": fact.id,
                        "move_time": iso(fact.at),
                        "move_from_stage_id": str(fact.old),
                        "move_to_stage_id": str(fact.new),
                        "user_id": fact.actor,
                        "created_by": fact.actor,
                        "create_time": iso(fact.at),
                    }
                )

    def users(self, request):
        page, following = self._page(request, self.world.alive("keap", "user"))
        return Answer(
            200,
            {"users": [{"id": one.id, **one.values} for one in page], "next_page_token": following},
            {},
            shown(page),
        )

    # -- hooks --------------------------------------------------------------------------------------------------------

    def subscribe(self, key, event_key, url, status="Verified"):
        """A subscription, as somebody made it."""
        self.subscriptions[key] = {"key": key, "eventKey": event_key, "hookUrl": url, "status": status}

    def hooks(self, request):
        return Answer(200, list(self.subscriptions.values()))

    def verify(self, request, key):
        if key not in self.subscriptions:
            raise Refused(404, {"message": "Resource not found"})
        self.subscriptions[key]["status"] = "Verified"
        self.verified.append(key)
        return Answer(200, self.subscriptions[key])
