"""HubSpot, CRM v3 and account activity.

Confirmed: paths; the search's `filterGroups`, `sorts`, `limit` (200), `after` (an offset, at most 10,000); lists with
`after`, `archived` and `propertiesWithHistory` (then at most 50 a page); the history's items, newest first; the audit
log's parameters and members; webhooks' members and headers. Third-party: 4 searches a second, without headers, `policyName` of a 429.
Not confirmed: how late the search's index is (here: `index_delay`), how many items of a history are kept.
"""

from tests.simulator.clock import iso, moment
from tests.simulator.vendor import Answer, Budget, Refused, Vendor, bearer, shown

TOKEN = "pat-hubspot-token"
PORTAL = 33


class HubSpot(Vendor):
    """Contacts and the audit log of one portal."""

    name = "hubspot"
    routes = (
        ("POST", "/crm/v3/objects/contacts/search", "search"),
        ("POST", "/crm/v3/objects/contacts/batch/read", "batch"),
        ("GET", "/crm/v3/objects/contacts", "listing"),
        ("GET", r"/crm/v3/objects/contacts/(\d+)", "contact"),
        ("POST", "/crm/v3/objects/(?:deals|companies)/search", "nothing"),
        ("GET", "/crm/v3/objects/(?:deals|companies)", "nothing"),
        ("GET", "/account-info/v3/activity/audit-logs", "audit"),
        ("GET", "/account-info/v3/activity/login", "logins"),
    )

    def __init__(self, world, clock, *, enterprise=True, index_delay=5.0):
        super().__init__(world, clock)
        self.tokens = {TOKEN}
        self.enterprise, self.index_delay = enterprise, index_delay
        self.searches, self.budget = Budget(clock, 4, 1), Budget(clock, 190, 10)
        self.history = {}
        """Key -> property -> items, newest first."""
        self.audits = []
        self.login_rows = []
        world.listeners.append(self._note)

    def authorize(self, request):
        if bearer(request) not in self.tokens:
            raise Refused(
                401, {"status": "error", "category": "INVALID_AUTHENTICATION", "message": "The token has expired."}
            )

    def limit(self, request):
        left, wait = self.budget.take()
        told = {
            "x-hubspot-ratelimit-max": "190",
            "x-hubspot-ratelimit-remaining": str(left),
            "x-hubspot-ratelimit-interval-milliseconds": str(int(self.budget.window * 1000) or 1),
        }
        policy = "TEN_SECONDLY_ROLLING"
        if not wait and request.path.endswith("/search"):
            # Searches have a limit of their own, and tell nothing of it.
            _, wait = self.searches.take()
            policy, told = "SECONDLY", {}
        if wait:
            what = {"status": "error", "errorType": "RATE_LIMIT", "policyName": policy}
            raise Refused(429, {**what, "message": "You have reached your limit."})
        return told

    def _note(self, thing, facts):
        if (thing.source, thing.type) != ("hubspot", "contact"):
            return
        kept = self.history.setdefault(thing.key, {})
        for fact in facts:
            named = thing.values if fact.verb == "create" else {fact.field: fact.new} if fact.field else {}
            for name, value in named.items():
                item = {
                    "value": value,
                    "timestamp": iso(fact.at),
                    "sourceType": "CRM_UI",
                    "sourceId": f"userId:{fact.actor}",
                    "updatedByUserId": int(fact.actor or 0),
                }
                kept.setdefault(name, []).insert(0, item)
        for fact in facts:
            verb = {"create": "CREATE", "update": "UPDATE", "delete": "ARCHIVE"}[fact.verb]
            self.audits.append(
                {
                    "id": f"audit-{len(self.audits) + 1}",
                    "category": "CRM_OBJECT",
                    "subCategory": "CONTACT",
                    "action": verb,
                    "targetObjectId": fact.id,
                    "occurredAt": iso(fact.at),
                    "actingUser": {"userId": int(fact.actor or 0), "userEmail": f"user{fact.actor}@co.example"},
                }
            )

    def _contact(self, one, properties, history=()):
        told = {name: one.values.get(name) for name in properties}
        told |= {"hs_object_id": one.id, "createdate": iso(one.created), "lastmodifieddate": iso(one.updated)}
        shape = {
            "id": one.id,
            "properties": told,
            "createdAt": iso(one.created),
            "updatedAt": iso(one.updated),
            "archived": one.deleted is not None,
        }
        if history:
            shape["propertiesWithHistory"] = {name: self.history[one.key].get(name, []) for name in history}
        return shape

    @staticmethod
    def _names(text):
        return [name for name in text.split(",") if name]

    def search(self, request):
        asked = request.json
        size, start = asked.get("limit", 10), int(asked.get("after") or 0)
        if not 1 <= size <= 200 or start + size > 10_000:
            raise Refused(
                400, {"status": "error", "category": "VALIDATION_ERROR", "message": "limit or after out of range"}
            )
        # What changed within the delay is not in the index yet: it is found by its former time.
        seen = self.clock.now() - self.clock.span(self.index_delay)
        found = [one for one in self.world.alive("hubspot", "contact") if one.updated <= seen]
        for group in asked.get("filterGroups", [])[:1]:
            for one in group["filters"]:
                found = [thing for thing in found if self._passes(thing, one)]
        order = (asked.get("sorts") or [{}])[0]
        by_time = order.get("propertyName") == "lastmodifieddate"
        found.sort(
            key=lambda one: (one.updated if by_time else one.created, int(one.id)),
            reverse=order.get("direction") == "DESCENDING",
        )
        page = found[start : start + size]
        told = {"total": len(found), "results": [self._contact(one, asked.get("properties", ())) for one in page]}
        if start + size < len(found):
            told["paging"] = {"next": {"after": str(start + size)}}
        return Answer(200, told, {}, shown(page))

    @staticmethod
    def _passes(thing, asked):
        if asked["propertyName"] not in {"lastmodifieddate", "createdate", "hs_object_id"}:
            raise Refused(400, {"status": "error", "category": "VALIDATION_ERROR", "message": "no such property"})
        given = str(asked.get("value"))
        if asked["propertyName"] == "hs_object_id":
            at, bound = int(thing.id), int(given)
        else:
            at = thing.updated if asked["propertyName"] == "lastmodifieddate" else thing.created
            bound = int(given) / 1000 if given.isdigit() else moment(given)
        return {"GTE": at >= bound, "GT": at > bound, "LTE": at <= bound, "LT": at < bound}[asked["operator"]]

    def listing(self, request):
        query = request.query
        history = self._names(query.get("propertiesWithHistory", ""))
        size = int(query.get("limit", 10))
        if not 1 <= size <= (50 if history else 100):
            raise Refused(400, {"status": "error", "category": "VALIDATION_ERROR", "message": "limit out of range"})
        found = [one for one in self.world.things.values() if (one.source, one.type) == ("hubspot", "contact")]
        found = [one for one in found if (one.deleted is not None) == (query.get("archived") == "true")]
        found = sorted(
            (one for one in found if int(one.id) > int(query.get("after") or 0)), key=lambda one: int(one.id)
        )
        page = found[:size]
        told = {"results": [self._contact(one, self._names(query.get("properties", "")), history) for one in page]}
        if len(found) > size:
            told["paging"] = {"next": {"after": page[-1].id, "link": "https://api.hubapi.example/next"}}
        return Answer(200, told, {}, shown(page))

    def contact(self, request, identity):
        one = self.world.things.get(f"hubspot:contact/{identity}")
        if one is None or one.deleted:
            raise Refused(404, {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "resource not found"})
        query = request.query
        names = self._names(query.get("properties", "")), self._names(query.get("propertiesWithHistory", ""))
        return Answer(200, self._contact(one, *names), {}, shown([one]))

    def nothing(self, request):
        """Objects of a type of which there are none."""
        return Answer(200, {"total": 0, "results": []})

    def batch(self, request):
        asked = request.json
        history = asked.get("propertiesWithHistory", ())
        if len(asked["inputs"]) > (50 if history else 100):
            raise Refused(400, {"status": "error", "category": "VALIDATION_ERROR", "message": "too many inputs"})
        found = [self.world.things.get(f"hubspot:contact/{one['id']}") for one in asked["inputs"]]
        found = [one for one in found if one is not None and not one.deleted]
        told = [self._contact(one, asked.get("properties", ()), history) for one in found]
        return Answer(200, {"status": "COMPLETE", "results": told}, {}, shown(found))

    def _activity(self, request, rows, time):
        size, start = int(request.query.get("limit", 10)), int(request.query.get("after") or 0)
        bounds = [
            moment(request.query[name]) if name in request.query else other
            for name, other in (("occurredAfter", 0), ("occurredBefore", 1e12))
        ]
        # Newest first.
        found = [row for row in reversed(rows) if bounds[0] <= moment(row[time]) <= bounds[1]]
        told = {"results": found[start : start + size]}
        if start + size < len(found):
            told["paging"] = {"next": {"after": str(start + size)}}
        return Answer(200, told)

    def audit(self, request):
        if not self.enterprise:
            raise Refused(
                403,
                {
                    "status": "error",
                    "category": "MISSING_SCOPES",
                    "message": "This endpoint needs account-info.security.read.",
                },
            )
        return self._activity(request, self.audits, "occurredAt")

    def logins(self, request):
        return self._activity(request, self.login_rows, "loginAt")
