"""BambooHR, API v1.

Confirmed: paths, basic authorization with the key as user; `changed` gives every employee changed since a moment with
its latest change only, unpaged, with `latest`; fields must be asked for by name; webhooks' members and headers.
Third-party: 429 with `Retry-After` since September 2026, 503 before. Not confirmed: that `since` includes the moment
itself, whole seconds, `employees: []` when nobody changed, that the directory holds everybody.
"""

from tests.simulator.clock import iso, moment
from tests.simulator.vendor import Answer, Budget, Refused, Vendor, basic, shown

KEY = "bamboohr-api-key"
COMPANY = "40021"


class BambooHr(Vendor):
    """The employees of one company."""

    name = "bamboohr"
    routes = (
        ("GET", "/v1/employees/changed", "changed"),
        ("GET", "/v1/employees/directory", "directory"),
        ("GET", r"/v1/employees/changed/tables/(\w+)", "tables"),
        ("GET", r"/v1/employees/(\d+)", "employee"),
    )

    def __init__(self, world, clock):
        super().__init__(world, clock)
        # How many are allowed is not published.
        self.budget = Budget(clock, 100, 60)

    def authorize(self, request):
        if (basic(request) or ("",))[0] != KEY:
            raise Refused(401, {"message": "Unauthorized"}, {"x-bamboohr-error-message": "Invalid API key"})

    def limit(self, request):
        _, wait = self.budget.take()
        if wait:
            raise Refused(429, {"message": "Limit exceeded"}, {"retry-after": "1"})
        return {}

    def _time(self, at):
        return iso(at, 0).replace("Z", "+00:00")

    def changed(self, request):
        since = moment(request.query["since"])
        actions = {"create": "Inserted", "update": "Updated", "delete": "Deleted"}
        latest = {fact.id: fact for fact in self.world.facts if fact.source == "bamboohr"}
        found = {
            fact.id: {"id": fact.id, "action": actions[fact.verb], "lastChanged": self._time(fact.at)}
            for fact in latest.values()
            if int(fact.at) >= int(since) and (request.query.get("type", "all"), fact.verb) != ("updated", "delete")
        }
        return Answer(200, {"latest": self._time(self.clock.now()), "employees": found or []})

    def employee(self, request, identity):
        one = self.world.things.get(f"bamboohr:employee/{identity}")
        if one is None or one.deleted:
            raise Refused(404, {"message": "Not found"}, {"x-bamboohr-error-message": "Unable to find employee"})
        names = request.query.get("fields", "").split(",")
        told = {name: one.values.get(name) for name in names if name in one.values}
        if "lastChanged" in names:
            told["lastChanged"] = self._time(one.updated)
        return Answer(200, {"id": identity, **told}, {}, shown([one]))

    def directory(self, request):
        people = self.world.alive("bamboohr", "employee")
        told = [
            {
                "id": one.id,
                **{name: one.values.get(name) for name in ("firstName", "lastName", "jobTitle", "department")},
            }
            for one in people
        ]
        return Answer(200, {"fields": [{"id": "firstName", "type": "text", "name": "First Name"}], "employees": told})

    def tables(self, request, table):
        return Answer(200, {"table": table, "employees": []})

    def payload(self, thing, facts):
        """An event-based webhook's body."""
        verb = {"create": "created", "update": "updated", "delete": "deleted"}[facts[0].verb]
        data = {"companyId": COMPANY, "employeeId": thing.id}
        if verb == "updated":
            data["changedFields"] = [fact.field for fact in facts]
        return {"type": f"employee.{verb}", "timestamp": iso(facts[0].at, 0).replace("Z", "+0000"), "data": data}
