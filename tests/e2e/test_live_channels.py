"""A day of live channels: every true change is there once, or nobody could see it; nothing is invented."""

import pytest

from tests.e2e.live import Live


def told(live, judge):
    """The report, for the log of the run, and what is wrong, for its failure."""
    done = ", ".join(f"{vendor} {kind} {count}" for (vendor, kind), count in sorted(live.faults.done.items()))
    hooks = {}
    for one in live.hooks.attempts:
        hooks[one.vendor, one.status] = hooks.get((one.vendor, one.status), 0) + 1
    print(f"\n{judge.report()}\nbroken answers: {done or 'none'}\nhooks: {hooks}, given up {len(live.hooks.given_up)}")
    found = [str(one)[:700] for one in judge.findings[:10]]
    print(*found, sep="\n")
    return found


COMPARED = ["keap", "highlevel", "hubspot", "bamboohr"]


def test_a_change_that_a_hook_and_a_poll_tell_is_one_change(place):
    with Live(place, ["keap"], scale=1440, twice=0.3, reconcile=1) as live:
        live.begin()
        live.play(1, every=60)
        live.rest()
        judge = live.judge()
        assert not told(live, judge)
        assert any(one.status == 200 for one in live.hooks.attempts)
        assert judge.counts["keap"]["seen"] > 10
        live.place.verified()


@pytest.mark.slow
@pytest.mark.parametrize("hooked", [False, True], ids=["polls", "hooks_and_polls"])
def test_an_hour_tells_every_change_that_could_be_seen(place, hooked):
    with Live(place, COMPARED, scale=720, hooked=hooked, twice=0.3, reconcile=1) as live:
        live.begin()
        live.play(1, every=15)
        live.rest()
        judge = live.judge()
        assert not told(live, judge)
        for source in COMPARED:
            assert judge.counts[source]["seen"] > 15, source
        answered = {one.vendor for one in live.hooks.attempts if one.status == 200}
        assert answered == (set(COMPARED) if hooked else set())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_day_with_restarts_refusals_outages_and_hooks_that_come_late_and_twice(place):
    sources = [*COMPARED, "greenhouse", "makecom"]
    with Live(place, sources, scale=900, late=0.05, twice=0.1) as live:
        live.begin()
        live.faults.chance = 0.02

        def outage():
            for vendor in sources:
                live.faults.tell(vendor, *["503"] * 4)

        def expire():
            live.vendors["keap"].grants.expire()
            live.vendors["greenhouse"].grants.expire()

        acts = [(hour, lambda: live.restart(kill=True)) for hour in (2.5, 7.2, 13.1, 19.4)]
        acts += [(hour, lambda: live.restart(kill=False)) for hour in (5.1, 16.6)]
        acts += [(hour, expire) for hour in (4, 11)]
        acts += [(9, outage), (21, outage)]
        live.play(24, every=60, acts=acts)
        live.faults.chance = 0.0
        live.rest()
        judge = live.judge()
        assert not told(live, judge)
        assert live.vendors["keap"].grants.issued > 5
        assert sum(live.faults.done.values()) > 50
        for source in sources:
            assert judge.counts[source]["seen"] > 50, source
        live.place.verified()
