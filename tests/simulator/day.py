"""A day at a small company: what people and programs change in all systems, at random times, from a seed."""

import random

STAGES = ("10", "11", "12", "13")
ACTORS = ("40077", "40078", "40091")
CITIES = ("Bergen", "Oslo", "Tromsø", "Bodø")
TAGS = ("vip", "lead", "newsletter", "partner")


class Day:
    """`begin()` makes the records that are there in the morning, `step()` changes something."""

    def __init__(self, world, vendors, *, seed=1, records=12):
        self.world, self.vendors, self.records = world, vendors, records
        self._random = random.Random(seed)
        self._count = 0

    def _number(self):
        self._count += 1
        return self._count

    # -- the morning --------------------------------------------------------------------------------------------------

    def begin(self):
        """The records of all vendors that are there."""
        for number in range(1, self.records + 1):
            for source in ("keap", "highlevel", "hubspot", "bamboohr"):
                if source in self.vendors:
                    self._create(source, str(1000 + number))
        if "keap" in self.vendors:
            for number in range(1, 6):
                self.world.create(
                    "keap",
                    "opportunity",
                    str(500 + number),
                    {
                        "opportunity_title": f"Deal {number}",
                        "stage": {"id": "10", "name": "New"},
                        "contact": {"id": "1001"},
                    },
                    "40077",
                )
        if "highlevel" in self.vendors:
            for number in range(1, 6):
                self.world.create(
                    "highlevel",
                    "opportunity",
                    f"opp-{number}",
                    {"name": f"Deal {number}", "monetaryValue": 100, "pipelineStageId": "s1", "status": "open"},
                    "7",
                )
        if "makecom" in self.vendors:
            for number in ("701", "702"):
                step = {"id": 1, "module": "http:ActionSendData", "mapper": {"url": "https://a.example/0"}}
                self.world.create("makecom", "scenario", number, {"name": f"Scenario {number}", "flow": [step]}, "7")

    def _create(self, source, number):
        mail = f"p{number}@people.example"
        kinds = {
            "keap": (
                "contact",
                number,
                {
                    "given_name": "Jo",
                    "family_name": f"Q{number}",
                    "owner_id": "60001",
                    "job_title": "Clerk",
                    "tag_ids": ["88"],
                    "score_value": "0",
                    "email_addresses": [{"email": mail, "field": "EMAIL1"}],
                    "custom_fields": [{"id": "7", "content": "silver"}],
                },
            ),
            "highlevel": (
                "contact",
                f"hl-{number}",
                {
                    "firstName": "Jo",
                    "lastName": f"Q{number}",
                    "email": mail,
                    "city": "Bergen",
                    "assignedTo": "u1",
                    "tags": ["lead"],
                    "customFields": [{"id": "cf1", "value": "silver"}],
                },
            ),
            "hubspot": (
                "contact",
                number,
                {
                    "firstname": "Jo",
                    "lastname": f"Q{number}",
                    "email": mail,
                    "lifecyclestage": "lead",
                    "phone": "+47 000",
                    "city": "Bergen",
                },
            ),
            "bamboohr": (
                "employee",
                number,
                {
                    "firstName": "Jo",
                    "lastName": f"Q{number}",
                    "jobTitle": "Clerk",
                    "department": "Sales",
                    "payRate": "50000.00 NOK",
                    "workEmail": mail,
                    "status": "Active",
                },
            ),
        }
        kind, identity, values = kinds[source]
        self.world.create(source, kind, identity, values, self._actor())
        return identity

    def _actor(self):
        return self._random.choice(ACTORS)

    def _one(self, source, kind):
        return self._random.choice(self.world.alive(source, kind))

    # -- the day ------------------------------------------------------------------------------------------------------

    def step(self):
        """Change something somewhere."""
        acts = [getattr(self, f"_{source}") for source in self.vendors if hasattr(self, f"_{source}")]
        self._random.choice(acts)()

    def _keap(self):
        chance = self._random.random()
        if chance < 0.25:
            move = self._one("keap", "opportunity")
            other = [stage for stage in STAGES if stage != move.values["stage"]["id"]]
            self.world.change("keap", "opportunity", move.id, {"stage.id": self._random.choice(other)}, self._actor())
            return None
        one = self._one("keap", "contact")
        changes = {
            "owner_id": f"6{self._number():04}",
            "job_title": f"Job {self._number()}",
            "custom_fields[7].content": f"value {self._number()}",
            "given_name": f"Name{self._number()}",
        }
        if chance < 0.35:
            return self._tags("keap", one, "tag_ids", ("88", "89", "90"))
        if chance < 0.42:
            return self.world.change("keap", "contact", one.id, {"score_value": str(self._number())}, noise=True)
        if chance < 0.47:
            return self._create("keap", str(2000 + self._number()))
        if chance < 0.5 and len(self.world.alive("keap", "contact")) > 6:
            return self.world.delete("keap", "contact", one.id, self._actor())
        self._some("keap", one, changes)
        return None

    def _highlevel(self):
        chance = self._random.random()
        if chance < 0.2:
            deal = self._one("highlevel", "opportunity")
            changes = {"monetaryValue": 100 + self._number(), "pipelineStageId": f"s{self._number()}"}
            return self._some("highlevel", deal, changes)
        one = self._one("highlevel", "contact")
        if chance < 0.35:
            return self._tags("highlevel", one, "tags", TAGS)
        if chance < 0.4:
            return self._create("highlevel", str(2000 + self._number()))
        if chance < 0.43 and len(self.world.alive("highlevel", "contact")) > 6:
            return self.world.delete("highlevel", "contact", one.id, self._actor())
        return self._some(
            "highlevel",
            one,
            {
                "city": f"{self._random.choice(CITIES)} {self._number()}",
                "assignedTo": f"u{self._number()}",
                "customFields[cf1].value": f"v{self._number()}",
            },
        )

    def _hubspot(self):
        one = self._one("hubspot", "contact")
        chance = self._random.random()
        if chance < 0.05:
            return self._create("hubspot", str(2000 + self._number()))
        if chance < 0.08 and len(self.world.alive("hubspot", "contact")) > 6:
            return self.world.delete("hubspot", "contact", one.id, self._actor())
        return self._some(
            "hubspot",
            one,
            {
                "lifecyclestage": f"stage{self._number()}",
                "phone": f"+47 {self._number():03}",
                "city": f"City {self._number()}",
            },
        )

    def _bamboohr(self):
        one = self._one("bamboohr", "employee")
        chance = self._random.random()
        if chance < 0.05:
            return self._create("bamboohr", str(2000 + self._number()))
        if chance < 0.08 and len(self.world.alive("bamboohr", "employee")) > 6:
            return self.world.delete("bamboohr", "employee", one.id, self._actor())
        return self._some(
            "bamboohr",
            one,
            {
                "jobTitle": f"Job {self._number()}",
                "payRate": f"{50_000 + self._number()}.00 NOK",
                "department": f"Dep {self._number()}",
            },
        )

    def _greenhouse(self):
        number = self._number()
        late = self._random.choice((0, 0, 60))
        self.vendors["greenhouse"].changed(
            "Offer", 50 + number % 7, "salary", 90_000 + number - 1, 90_000 + number, 7, "198.51.100.9", late=late
        )

    def _makecom(self):
        number = self._random.choice(("701", "702"))
        if self._random.random() < 0.2:
            url = f"https://a.example/{self._number()}"
            return self.world.change("makecom", "scenario", number, {"flow[1].mapper.url": url}, self._actor())
        return self.vendors["makecom"].run(number, self._random.choice((1, 1, 1, 3)))

    def _some(self, source, one, changes):
        """One field, sometimes two; sometimes there and back, or twice within moments."""
        names = self._random.sample(sorted(changes), self._random.choice((1, 1, 2)))
        before = one.values
        self.world.change(source, one.type, one.id, {name: changes[name] for name in names}, self._actor())
        if self._random.random() < 0.1:
            name = names[0]
            new = changes[name] if isinstance(changes[name], int) else f"{changes[name]} again"
            self.world.change(source, one.type, one.id, {name: new}, self._actor())
        return before

    def _tags(self, source, one, field, known):
        had = one.values[field]
        tag = self._random.choice(known)
        now = [each for each in had if each != tag] if tag in had else [*had, tag]
        self.world.change(source, one.type, one.id, {field: now}, self._actor())
