"""How a query is written anew for OpenSearch; that both then answer alike is shown in tests/integration."""

import pytest

from shipper.errors import UsageError
from shipper.outputs._query_string import query_string
from shipper.outputs._when import instant

NOW = instant("2026-02-10T12:00:00Z") / 1_000_000  # type: ignore[operator]


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("*:*", "*:*"),
        ("*", "*:*"),
        ("salary", '"salary"'),
        ("user.name:*", "_exists_:user.name"),
        ("_exists_:trail.change", "_exists_:trail.change"),
        ("a:1 b:2", '(a:"1" AND b:"2")'),
        ("a:1 OR b:2 AND c:3", '(a:"1" OR (b:"2" AND c:"3"))'),
        ("a:1 AND b:2 OR c:3", '((a:"1" AND b:"2") OR c:"3")'),
        ("(a:1 OR b:2) c:3", '((a:"1" OR b:"2") AND c:"3")'),
        ("NOT a:1", '(*:* AND NOT a:"1")'),
        ("+a:1 -b:2", '(a:"1" AND (*:* AND NOT b:"2"))'),
        ("a:(x OR NOT y)", '(a:"x" OR (*:* AND NOT a:"y"))'),
        ("source.ip:198.51.100.0/24", 'source.ip:"198.51.100.0/24"'),
        (r"email.message_id:\<2@co.example\>", 'email.message_id:"<2@co.example>"'),
        (r"url.path:\/a\/b*", r"url.path:\/a\/b*"),
        (r"a:\*b?", r"a:\*b?"),
        ('a:"say \\"x\\""', 'a:"say \\"x\\""'),
        (r"trail.change.\*:pending", r'trail.change.\*:"pending"'),
        ('trail.change.delta:>"-5"', 'trail.change.delta:{"-5" TO *]'),
        ("trail.change.delta:[-5 TO 5}", 'trail.change.delta:["-5" TO "5"}'),
        ("trail.change.delta:<=5", 'trail.change.delta:[* TO "5"]'),
        ("@timestamp:>=0800", '@timestamp:["0800-01-01T00:00:00.000Z" TO *]'),
        ("@timestamp:2026-03", '@timestamp:["2026-03-01T00:00:00.000Z" TO "2026-04-01T00:00:00.000Z"}'),
        ("@timestamp:>2026-03", '@timestamp:["2026-04-01T00:00:00.000Z" TO *]'),
        ("@timestamp:>=2026-03", '@timestamp:["2026-03-01T00:00:00.000Z" TO *]'),
        ("@timestamp:<2026-03", '@timestamp:[* TO "2026-03-01T00:00:00.000Z"}'),
        ("@timestamp:<=2026-03", '@timestamp:[* TO "2026-04-01T00:00:00.000Z"}'),
        ("@timestamp:[now-1d/d TO now}", '@timestamp:["2026-02-09T00:00:00.000Z" TO "2026-02-10T12:00:00.000Z"}'),
        (
            '@timestamp:"2026-02-03T09:15:42.551231Z"',
            '@timestamp:["2026-02-03T09:15:42.551Z" TO "2026-02-03T09:15:42.552Z"}',
        ),
    ],
)
def test_a_query_is_written_so_that_opensearch_takes_it_to_mean_the_same(asked, written):
    assert query_string(asked, NOW) == written


@pytest.mark.parametrize(
    "asked", ["a:(", "a:/x/", "a~2", "a^3", "a && b", "!a:1", "@timestamp:soon", "a:b:c", "NOT " * 1000 + "a"]
)
def test_what_the_store_refuses_is_refused_before_it_is_sent(asked):
    with pytest.raises(UsageError, match="read query"):
        query_string(asked, NOW)
