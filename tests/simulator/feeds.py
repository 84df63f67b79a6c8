"""Sources that keep a log of their own: Make.com, Greenhouse, Okta, GitHub, Slack. What they give is exact.

Make.com. Confirmed: paths, `pg[offset]`, `pg[limit]`, sort keys, 403 without the plan, the members of runs; limits by
plan. Third-party: the members of audit rows. Not confirmed: that `dateFrom` counts whole days (here it does).
Greenhouse. Confirmed: the token exchange (`access_token`, `expires`), `Size`, `Pit-Id`, `Search-After`, `paging.next_search_after`, 3 paged requests
in 30 s, 30 days. Not confirmed: the layout of `next_search_after`, order of time, that `after_time` excludes the moment.
Okta. Confirmed: `since`, `after`, `sortOrder`, `limit`, `Link: <…>; rel="next"` also at the end of a polling query, rate
limit headers. GitHub. Confirmed: `phrase`, `after`, `order`, `per_page`, `Link`. Slack. Confirmed: `oldest`, `limit`,
`cursor`, `response_metadata.next_cursor`, newest first.
"""

import urllib.parse

from tests.simulator.clock import iso, moment
from tests.simulator.vendor import Answer, Budget, Grants, Refused, Vendor, basic, bearer, shown

MAKE_TOKEN = "make-token"
HARVEST_KEY = "harvest-key"
OKTA_TOKEN, GITHUB_TOKEN, SLACK_TOKEN = "okta-token", "github-token", "slack-token"
ORGANIZATION = 11
TEAM = 22


class Feed(Vendor):
    """A log: `rows`, each `(time it happened, time it can be read, row)`, and how many were shown."""

    def __init__(self, world, clock):
        super().__init__(world, clock)
        self.rows = []

    def add(self, row, *, late=0.0):
        """Something happened now, and can be read `late` simulated seconds later. `row(time)` makes it."""
        with self.world.lock:
            at = self.world._now()
            made = row(at)
            self.rows.append((at, at + self.clock.span(late), made))
            return made

    def visible(self):
        """(time, row) of what can be read by now, in order of time."""
        now = self.clock.now()
        return [(at, row) for at, seen, row in self.rows if seen <= now]


class Make(Feed):
    """Audit logs, scenarios, their runs, incomplete runs and blueprints."""

    name = "makecom"
    routes = (
        ("GET", rf"/audit-logs/organization/{ORGANIZATION}", "audit"),
        ("GET", "/scenarios", "scenarios"),
        ("GET", r"/scenarios/(\d+)/logs", "runs"),
        ("GET", r"/scenarios/(\d+)/blueprint", "blueprint"),
        ("GET", "/dlqs", "incomplete"),
        ("GET", rf"/organizations/{ORGANIZATION}", "organization"),
    )

    def __init__(self, world, clock, *, enterprise=True):
        super().__init__(world, clock)
        self.enterprise = enterprise
        self.budget = Budget(clock, 1000, 60)
        self.executions = {}
        """Id of a scenario -> (time, row) of its runs."""

    def authorize(self, request):
        if request.headers.get("authorization") != f"Token {MAKE_TOKEN}":
            raise Refused(401, {"detail": "Access denied.", "message": "Unauthorized", "code": "SC401"})

    def limit(self, request):
        _, wait = self.budget.take()
        if wait:
            raise Refused(429, {"message": "Requests limit for organization exceeded, please try again later."})
        return {}

    def _paged(self, request, name, found):
        size, start = int(request.query.get("pg[limit]", 100)), int(request.query.get("pg[offset]", 0))
        told = {
            "offset": start,
            "limit": size,
            "sortBy": request.query.get("pg[sortBy]"),
            "sortDir": request.query.get("pg[sortDir]"),
        }
        return Answer(200, {name: found[start : start + size], "pg": told})

    def audit(self, request):
        if not self.enterprise:
            raise Refused(403, {"message": "Permission denied.", "code": "SC403"})
        # By day, not by moment.
        since = request.query.get("dateFrom", "1970-01-01")[:10]
        found = [row for at, row in self.visible() if iso(at)[:10] >= since]
        if request.query.get("pg[sortDir]", "desc") == "desc":
            found.reverse()
        return self._paged(request, "auditLogs", found)

    def scenarios(self, request):
        found = self.world.alive("makecom", "scenario")
        return self._paged(
            request,
            "scenarios",
            [{"id": int(one.id), "name": one.values["name"], "teamId": TEAM, "isActive": True} for one in found],
        )

    def run(self, scenario, status=1):
        """A run of a scenario that ended now."""

        def row(at):
            identity = f"{scenario}-{len(self.executions.setdefault(str(scenario), [])) + 1}"
            return {
                "imtId": f"{round(at * 1000)}_scenario.{scenario}.auto.{identity}",
                "id": identity,
                "duration": 1200,
                "operations": 3,
                "transfer": 512,
                "centicredits": 300,
                "organizationId": ORGANIZATION,
                "teamId": TEAM,
                "type": "auto",
                "authorId": None,
                "instant": False,
                "timestamp": iso(at),
                "status": status,
            }

        with self.world.lock:
            at = self.world._now()
            made = row(at)
            self.executions[str(scenario)].append((at, made))
            return made

    def runs(self, request, scenario):
        since, until = int(request.query.get("from", 0)), int(request.query.get("to", 10**15))
        # Newest first.
        found = [row for at, row in reversed(self.executions.get(scenario, [])) if since <= round(at * 1000) <= until]
        return self._paged(request, "scenarioLogs", found)

    def blueprint(self, request, scenario):
        one = self.world.things.get(f"makecom:scenario/{scenario}")
        if one is None or one.deleted:
            raise Refused(404, {"message": "Not found"})
        return Answer(
            200,
            {
                "code": "OK",
                "response": {
                    "blueprint": one.values,
                    "scheduling": {"type": "indefinitely", "interval": 900},
                },
            },
            {},
            shown([one]),
        )

    def incomplete(self, request):
        return self._paged(request, "dlqs", [])

    def organization(self, request):
        return Answer(
            200,
            {"organization": {"id": ORGANIZATION, "name": "Acme", "license": {"apiLimit": 1000, "auditLogsDays": 365}}},
        )


class Greenhouse(Feed):
    """The Audit Log API."""

    name = "greenhouse"
    routes = (("POST", "/auth/jwt_access_token", "token"), ("GET", "/events", "events"))

    def __init__(self, world, clock, *, token_life=24 * 3600):
        super().__init__(world, clock)
        self.grants = Grants(clock, token_life, "unused")
        self.budget, self.paged = Budget(clock, 50, 10), Budget(clock, 3, 30)
        self._pits = {}

    def open_to_all(self, request):
        return request.path.startswith("/auth/")

    def authorize(self, request):
        if not self.grants.good(bearer(request)):
            raise Refused(401, {"error": "Unauthorized"})

    def limit(self, request):
        if self.open_to_all(request):
            return {}
        budget = self.paged if request.query.get("paging") == "true" else self.budget
        left, wait = budget.take()
        if wait:
            # Without the headers that successes have.
            raise Refused(429, {"error": "Too many requests"})
        return {"x-ratelimit-limit": str(budget.most), "x-ratelimit-remaining": str(left)}

    def token(self, request):
        if (basic(request) or ("",))[0] != HARVEST_KEY or not request.headers.get("on-behalf-of"):
            raise Refused(401, {"message": "Invalid Basic Auth credentials"})
        ends = self.clock.now() + self.clock.span(self.grants.life)
        return Answer(200, {"access_token": self.grants.issue(), "expires": iso(ends)})

    def events(self, request):
        size = int(request.headers.get("size", 100))
        if not 100 <= size <= 500:
            raise Refused(422, {"error": "Size must be between 100 and 500"})
        since, until = (
            moment(request.query.get("after_time", "1970-01-01T00:00:00Z")),
            moment(request.query.get("before_time", "2999-01-01T00:00:00Z")),
        )
        pit = request.headers.get("pit-id")
        if pit is None:
            pit = f"pit-{len(self._pits) + 1}"
            self._pits[pit] = [row for at, row in self.visible() if since < at < until]
        elif pit not in self._pits:
            raise Refused(422, {"error": "Pit-Id is not known"})
        start = int(request.headers.get("search-after") or 0)
        found = self._pits[pit]
        following = str(start + size) if start + size < len(found) else None
        return Answer(
            200, {"results": found[start : start + size], "paging": {"pit_id": pit, "next_search_after": following}}
        )

    def changed(self, kind, identity, field, old, new, who, address, *, late=0.0):
        """One field of a record was changed by somebody."""
        number = len(self.rows) + 1

        def row(at):
            return {
                "request": {"id": f"r{number}", "type": f"{kind.lower()}s#update"},
                "performer": {
                    "id": who,
                    "type": "user",
                    "ip_address": address,
                    "meta": {"name": f"User {who}", "username": f"user{who}@co.example"},
                },
                "organization_id": 123,
                "event": {
                    "type": "data_change_update",
                    "target_type": kind,
                    "target_id": identity,
                    "meta": {field: [old, new]},
                },
                "event_time": iso(at),
            }

        return self.add(row, late=late)


class Okta(Feed):
    """The System Log."""

    name = "okta"
    routes = (("GET", "/api/v1/logs", "logs"),)
    header = f"SSWS {OKTA_TOKEN}"

    def __init__(self, world, clock):
        super().__init__(world, clock)
        self.base = ""
        """The server's address, which stands in `Link`."""
        self.budget = Budget(clock, 120, 60)

    def authorize(self, request):
        if request.headers.get("authorization") != self.header:
            raise Refused(401, {"errorCode": "E0000011", "errorSummary": "Invalid token provided"})

    def limit(self, request):
        left, wait = self.budget.take()
        told = {
            "x-rate-limit-limit": str(self.budget.most),
            "x-rate-limit-remaining": str(left),
            "x-rate-limit-reset": str(int(self.clock.now() + max(wait, 1))),
        }
        if wait:
            raise Refused(429, {"errorCode": "E0000047", "errorSummary": "API call exceeded rate limit"}, told)
        return told

    def logs(self, request):
        # In order of `seen`: a polling query goes by the time at which a row came into the index.
        now = self.clock.now()
        rows = [row for _, seen, row in sorted(self.rows, key=lambda one: one[1]) if seen <= now]
        size = min(int(request.query.get("limit", 100)), 1000)
        if "after" in request.query:
            start = int(request.query["after"])
        else:
            since = moment(request.query.get("since", "1970-01-01T00:00:00Z"))
            start = next((n for n, row in enumerate(rows) if moment(row["published"]) >= since), len(rows))
        page = rows[start : start + size]
        query = urllib.parse.urlencode({"after": start + len(page), "limit": size, "sortOrder": "ASCENDING"})
        return Answer(200, page, {"link": f'<{self.base}/api/v1/logs?{query}>; rel="next"'})


class GitHub(Feed):
    """The audit log of an organization."""

    name = "github"
    routes = (("GET", "/orgs/acme/audit-log", "log"),)

    def __init__(self, world, clock):
        super().__init__(world, clock)
        self.base = ""
        self.budget = Budget(clock, 1750, 3600)

    def authorize(self, request):
        if bearer(request) != GITHUB_TOKEN:
            raise Refused(401, {"message": "Bad credentials"})

    def limit(self, request):
        left, wait = self.budget.take()
        told = {
            "x-ratelimit-limit": str(self.budget.most),
            "x-ratelimit-remaining": str(left),
            "x-ratelimit-reset": str(int(self.clock.now() + max(wait, 1))),
        }
        if wait:
            raise Refused(403, {"message": "API rate limit exceeded"}, told)
        return told

    def log(self, request):
        query = request.query
        rows = [row for _, row in self.visible()]
        phrase = query.get("phrase", "")
        if phrase.startswith("created:>="):
            # Days or moments.
            since = moment(phrase.removeprefix("created:>=")) * 1000
            rows = [row for row in rows if row["@timestamp"] >= since]
        if query.get("order", "desc") == "desc":
            rows.reverse()
        size, start = min(int(query.get("per_page", 30)), 100), int(query.get("after") or 0)
        told = {}
        if start + size < len(rows):
            following = urllib.parse.urlencode({**query, "after": start + size})
            told["link"] = f'<{self.base}/orgs/acme/audit-log?{following}>; rel="next"'
        return Answer(200, rows[start : start + size], told)


class Slack(Feed):
    """The Audit Logs API."""

    name = "slack"
    routes = (("GET", "/audit/v1/logs", "logs"),)

    def __init__(self, world, clock):
        super().__init__(world, clock)
        self.budget = Budget(clock, 50, 60)

    def authorize(self, request):
        if bearer(request) != SLACK_TOKEN:
            raise Refused(401, {"ok": False, "error": "invalid_auth"})

    def limit(self, request):
        _, wait = self.budget.take()
        if wait:
            raise Refused(429, {"ok": False, "error": "ratelimited"}, {"retry-after": "1"})
        return {}

    def logs(self, request):
        query = request.query
        oldest, latest = int(query.get("oldest", 0)), int(query.get("latest", 10**11))
        rows = [row for _, row in reversed(self.visible()) if oldest <= row["date_create"] <= latest]
        size, start = min(int(query.get("limit", 1000)), 9999), int(query.get("cursor") or 0)
        following = str(start + size) if start + size < len(rows) else ""
        return Answer(200, {"entries": rows[start : start + size], "response_metadata": {"next_cursor": following}})
