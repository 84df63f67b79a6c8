"""`fieldtrail parse` and its like, where they differ from an agent: how much of a stream is read before `auto` chooses."""

import json

from shipper.config import parse
from shipper.offline import SAMPLE, read_events

ENTRY = {
    "eventVersion": "1.08", "eventTime": "2026-02-03T10:30:00Z", "eventSource": "iam.amazonaws.com", "eventName": "CreateUser",
    "awsRegion": "us-east-1", "sourceIPAddress": "198.51.100.9", "userIdentity": {"type": "IAMUser", "userName": "kim"},
    "eventType": "AwsApiCall", "recipientAccountId": "111122223333",
}  # fmt: skip


def test_auto_reads_a_whole_first_line_however_long_it_is():
    page = json.dumps({"Records": [{**ENTRY, "eventID": f"e-{number}"} for number in range(600)]}).encode() + b"\n"
    assert len(page) > 2 * SAMPLE
    blocks = [page[at : at + 50_000] for at in range(0, len(page), 50_000)]
    chosen = []
    config = parse("inputs: [{id: parse, type: stdin, format: auto}]", "test")
    events = list(read_events(config, "test", "auto", ("a.json", blocks), received=1.0, decided=chosen.append))
    assert [one.format for one in chosen] == ["aws_cloudtrail"]
    assert len(events) == 600
