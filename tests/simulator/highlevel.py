"""HighLevel, API v2 and webhooks of a Marketplace app.

Confirmed: paths, `Version` header, 100 requests in 10 s and their headers, the parameters of the searches, the payload
of webhooks (a full record, no actor, no old value), that a
search and a reading show different members, Ed25519 in `X-GHL-Signature`, `webhookId` and `timestamp` in the
body, retries only after 429: six, ten minutes apart. Third-party: `searchAfter` with each record, not together
with `page`, which reaches 10,000; filters with `range`. Not confirmed: that contacts can be filtered and sorted by `dateUpdated`, `meta` of the opportunities' search
beside `total`, `nextPage`, `startAfter` and `startAfterId`.
"""

from tests.simulator.clock import iso, moment
from tests.simulator.vendor import Answer, Budget, Refused, Vendor, bearer, shown

LOCATION = "loc-1"
TOKEN = "pit-highlevel-token"
_TYPES = {"contact": "Contact", "opportunity": "Opportunity"}


class HighLevel(Vendor):
    """Contacts, opportunities, users and custom objects of one location."""

    name = "highlevel"
    routes = (
        ("POST", "/contacts/search", "search_contacts"),
        ("GET", r"/contacts/([\w-]+)", "contact"),
        ("GET", "/opportunities/search", "search_opportunities"),
        ("GET", r"/opportunities/([\w-]+)", "opportunity"),
        ("GET", "/users/", "users"),
        ("GET", "/objects/", "schemas"),
        ("POST", "/objects/custom_objects.pets/records/search", "records"),
    )

    def __init__(self, world, clock):
        super().__init__(world, clock)
        self.tokens = {TOKEN}
        self.budget = Budget(clock, 100, 10)

    def authorize(self, request):
        if bearer(request) not in self.tokens:
            raise Refused(401, {"statusCode": 401, "message": "Invalid JWT"})
        if not request.headers.get("version"):
            raise Refused(401, {"statusCode": 401, "message": "version header was not found."})

    def limit(self, request):
        left, wait = self.budget.take()
        told = {
            "x-ratelimit-limit-daily": "200000",
            "x-ratelimit-max": "100",
            "x-ratelimit-remaining": str(left),
            "x-ratelimit-interval-milliseconds": str(int(self.budget.window * 1000) or 1),
        }
        if wait:
            raise Refused(429, {"statusCode": 429, "message": "Too Many Requests"}, told)
        return told

    def _of_location(self, given):
        if given != LOCATION:
            raise Refused(403, {"statusCode": 403, "message": "The token does not have access to this location."})

    # -- contacts -----------------------------------------------------------------------------------------------------

    def search_contacts(self, request):
        asked = request.json
        self._of_location(asked.get("locationId"))
        size = asked.get("pageLimit")
        if not isinstance(size, int) or not 1 <= size <= 500:
            raise Refused(422, {"statusCode": 422, "message": ["pageLimit must not be greater than 500"]})
        found = sorted(self.world.alive("highlevel", "contact"), key=lambda one: (one.updated, one.id))
        for one in asked.get("filters", []):
            found = [thing for thing in found if self._passes(thing, one)]
        order = (asked.get("sort") or [{}])[0]
        if order.get("field") != "dateUpdated":
            found.sort(key=lambda one: (one.created, one.id))
        if order.get("direction") == "desc":
            found.reverse()
        total = len(found)
        if "searchAfter" in asked and "page" in asked:
            raise Refused(422, {"statusCode": 422, "message": ["page and searchAfter must not be given together"]})
        if "searchAfter" in asked:
            # By its values, whatever became of the record that they were of.
            at, identity = asked["searchAfter"]
            before = order.get("direction") == "desc"
            found = [one for one in found if (self._mark(one, order) < (at, identity)) == before]
            found = [one for one in found if self._mark(one, order) != (at, identity)]
        else:
            start = (asked.get("page", 1) - 1) * size
            if start + size > 10_000:
                raise Refused(422, {"statusCode": 422, "message": ["more than 10,000 records: use searchAfter"]})
            found = found[start:]
        page = found[:size]
        # What a search shows and a reading does not.
        more = {"phoneLabel": None, "opportunities": [], "followers": []}
        told = [{**self._contact(one), **more, "searchAfter": list(self._mark(one, order))} for one in page]
        return Answer(200, {"contacts": told, "total": total}, {}, shown(page))

    @staticmethod
    def _mark(one, order):
        """What a record is sorted by."""
        return (round((one.updated if order.get("field") == "dateUpdated" else one.created) * 1000), one.id)

    @staticmethod
    def _passes(thing, asked):
        if asked["field"] not in {"dateUpdated", "dateAdded"} or asked["operator"] != "range":
            raise Refused(422, {"statusCode": 422, "message": [f"Invalid filter {asked['field']}"]})
        at = thing.updated if asked["field"] == "dateUpdated" else thing.created
        bounds = {
            name: moment(value) if isinstance(value, str) else value / 1000 for name, value in asked["value"].items()
        }
        return bounds.get("gte", 0) <= at <= bounds.get("lte", 1e12) and bounds.get("gt", -1) < at

    def _contact(self, one):
        return {
            "id": one.id,
            "locationId": LOCATION,
            **one.values,
            "dateAdded": iso(one.created),
            "dateUpdated": iso(one.updated),
        }

    def contact(self, request, identity):
        one = self._found("contact", identity)
        # What a reading shows and a search does not.
        more = {"emailLowerCase": str(one.values.get("email")).lower(), "visitorId": f"v-{one.id}", "timezone": None}
        return Answer(200, {"contact": {**self._contact(one), **more}}, {}, shown([one]))

    def _found(self, kind, identity):
        one = self.world.things.get(f"highlevel:{kind}/{identity}")
        if one is None or one.deleted:
            raise Refused(404, {"statusCode": 404, "message": f"{kind} not found"})
        return one

    # -- opportunities ------------------------------------------------------------------------------------------------

    def search_opportunities(self, request):
        self._of_location(request.query.get("location_id"))
        size = int(request.query.get("limit", 20))
        if not 1 <= size <= 100:
            raise Refused(422, {"statusCode": 422, "message": ["limit must not be greater than 100"]})
        found = sorted(
            self.world.alive("highlevel", "opportunity"), key=lambda one: (one.created, one.id), reverse=True
        )
        total = len(found)
        after, identity = request.query.get("startAfter"), request.query.get("startAfterId")
        number = int(request.query.get("page", 1))
        if after and identity:
            found = [one for one in found if (round(one.created * 1000), one.id) < (int(after), identity)]
        else:
            found = found[(number - 1) * size :]
        page = found[:size]
        meta = {"total": total, "currentPage": number, "nextPage": number + 1 if len(found) > size else None}
        if len(found) > size:
            meta |= {"startAfter": round(page[-1].created * 1000), "startAfterId": page[-1].id}
        return Answer(200, {"opportunities": [self._opportunity(one) for one in page], "meta": meta}, {}, shown(page))

    def _opportunity(self, one):
        return {
            "id": one.id,
            "locationId": LOCATION,
            **one.values,
            "createdAt": iso(one.created),
            "updatedAt": iso(one.updated),
        }

    def opportunity(self, request, identity):
        one = self._found("opportunity", identity)
        return Answer(200, {"opportunity": self._opportunity(one)}, {}, shown([one]))

    def users(self, request):
        self._of_location(request.query.get("locationId"))
        page = self.world.alive("highlevel", "user")
        return Answer(200, {"users": [{"id": one.id, **one.values} for one in page]}, {}, shown(page))

    def schemas(self, request):
        """Standard objects and one of the location's own."""
        self._of_location(request.query.get("locationId"))
        standard = {"id": "o1", "key": "contact", "standard": True}
        return Answer(200, {"objects": [standard, {"id": "o2", "key": "custom_objects.pets", "standard": False}]})

    def records(self, request):
        """Records of that object."""
        asked = request.json
        self._of_location(asked.get("locationId"))
        size, found = asked["pageLimit"], self.world.alive("highlevel", "record")
        start = (asked["page"] - 1) * size
        page = found[start : start + size]
        told = [
            {"id": one.id, "properties": one.values, "createdAt": iso(one.created), "updatedAt": iso(one.updated)}
            for one in page
        ]
        return Answer(200, {"records": told, "total": len(found)}, {}, shown(page))

    # -- webhooks -----------------------------------------------------------------------------------------------------

    def payload(self, thing, verb, delivery, at):
        """A webhook's body: the record as it is now, of a deleted one what it was."""
        values = thing.values
        what = f"{_TYPES[thing.type]}{verb.capitalize()}"
        return {
            "type": what,
            "locationId": LOCATION,
            "id": thing.id,
            **values,
            "dateAdded": iso(thing.created),
            "timestamp": iso(at),
            "webhookId": delivery,
        }
