"""The simulator's time: a day in minutes.

The agent's clock cannot be bent (its time limits are real), so the day is: what takes an hour at a vendor takes
`3600 / scale` seconds here. Times that vendors write down are true moments, so bounds can be compared with them.
"""

import datetime as dt
import threading
import time


class Clock:
    """`scale` simulated seconds pass in one real second."""

    def __init__(self, scale=1.0, *, now=time.time, wait=None):
        self.scale = scale
        self.now = now
        self._wait = wait or (lambda event, seconds: event.wait(seconds))
        self.began = now()

    def span(self, simulated):
        """Real seconds of so many simulated ones."""
        return simulated / self.scale

    def passed(self):
        """Simulated seconds since the clock was made."""
        return (self.now() - self.began) * self.scale

    def wait(self, simulated, event=None):
        """Let simulated seconds pass; True if `event` ended them."""
        return self._wait(event or threading.Event(), self.span(simulated))


class Stepped(Clock):
    """A clock that stands still until a test moves it on."""

    def __init__(self, now=1_772_000_000.0, scale=1.0):
        self.time = now
        super().__init__(scale, now=lambda: self.time, wait=lambda event, seconds: self._forward(seconds))

    def _forward(self, real):
        self.time += real
        return False

    def forward(self, simulated):
        """Move on by simulated seconds."""
        self._forward(self.span(simulated))


def iso(moment, digits=3):
    """A moment (seconds since the epoch) as RFC 3339 in UTC with so many digits; cut, never rounded up."""
    whole, part = divmod(round(moment * 1000), 1000)
    text = dt.datetime.fromtimestamp(whole, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{part:03}Z" if digits else f"{text}Z"


def moment(text):
    """Seconds since the epoch of a time in ISO 8601; without a zone it is UTC."""
    read = dt.datetime.fromisoformat(text.replace(" ", "+"))
    return (read if read.tzinfo else read.replace(tzinfo=dt.UTC)).timestamp()
