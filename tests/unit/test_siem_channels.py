"""The notification channel: what `--notify` may say, and that the URL, which is a secret, is told to nobody."""

import pytest

from shipper.errors import UnavailableError, UsageError
from shipper.siem.channels import ChannelKind, channel_of, channel_parts, has_channel
from shipper.siem.install import install

BASE = "/_plugins/_notifications/configs"
SECRET = "https://hooks.example/services/T0/B0/abcdef"


class Notifications:
    """The plugin's interface over a dictionary."""

    place = "http://127.0.0.1:9200"

    def __init__(self, configs=None, plugins=("opensearch-notifications",)):
        self.configs, self.plugins, self.calls = dict(configs or {}), plugins, []

    def ask(self, op, method, path, *, body=None, params=None, absent=False):
        if path == "/_cat/plugins":
            return [{"component": name} for name in self.plugins]
        if not self.plugins:
            raise UnavailableError(op, self.place, "status 400, no handler found for uri")
        name = path.rpartition("/")[2]
        if method == "GET":
            config = self.configs.get(name)
            return {"config_list": [{"config_id": name, "config": config}], "total_hits": 1} if config else None
        self.calls.append((method, path))
        config = dict(body["config"])
        if config["config_type"] == "webhook":
            config["webhook"] = {"header_params": {}, "method": "POST", **config["webhook"]}
        self.configs[body.get("config_id", name)] = config
        return {"config_id": name}


def url_file(tmp_path, text=SECRET + "\n"):
    path = tmp_path / "url"
    path.write_text(text)
    return path


def test_a_slack_channel_takes_its_url_from_a_file(tmp_path):
    channel = channel_of(f"slack=@{url_file(tmp_path)}")
    assert channel["config_type"] == "slack"
    assert channel["slack"] == {"url": SECRET}
    assert channel["is_enabled"] is True


def test_a_webhook_is_sent_text_and_says_so(tmp_path):
    for text in (f"webhook=@{url_file(tmp_path)}", f"webhook={SECRET}"):
        webhook = channel_of(text)["webhook"]
        assert webhook["url"] == SECRET
        assert webhook["header_params"] == {"Content-Type": "text/plain; charset=utf-8"}


@pytest.mark.parametrize("text", [SECRET, f"webhook:{SECRET}", f"Slack={SECRET}", f"{SECRET}?key=abcdef"])
def test_a_url_without_its_kind_is_not_quoted(text):
    with pytest.raises(UsageError, match="no kind of channel") as caught:
        channel_of(text)
    assert "hooks.example" not in caught.value.render() and "abcdef" not in caught.value.render()


def test_mail_names_its_sender_and_all_who_get_it():
    email = channel_of("email=smtp-1:soc@acme.example, audit@acme.example")["email"]
    assert email["email_account_id"] == "smtp-1"
    assert email["recipient_list"] == [{"recipient": "soc@acme.example"}, {"recipient": "audit@acme.example"}]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("pager=https://x.example", "no kind of channel"),
        ("slack", "has no value"),
        ("slack=https://hooks.example/services/abcdef", "is a secret"),
        ("webhook=hooks.example/abcdef", "not a URL"),
        ("webhook=ftp://hooks.example/abcdef", "not a URL"),
        ("webhook=https://hooks.example:0/abcdef", "not a URL"),
        ("webhook=https://hooks.example/a b", "not a URL"),
        ("webhook=@/nowhere/url", "No such file"),
        ("email=soc@acme.example", "names no sender"),
        ("email=smtp-1:soc", "no address"),
        ("email=smtp-1:", "no address"),
    ],
)
def test_what_is_no_channel_is_refused_without_quoting_it(text, cause):
    with pytest.raises(UsageError, match=cause) as caught:
        channel_of(text)
    assert "abcdef" not in caught.value.render()
    assert "--notify" in caught.value.render()


@pytest.mark.parametrize("content", ["", "not a url abcdef\n", f"{SECRET}\n{SECRET}\n"])
def test_a_file_that_holds_no_url_is_refused_without_quoting_it(tmp_path, content):
    with pytest.raises(UsageError, match="not a URL") as caught:
        channel_of(f"slack=@{url_file(tmp_path, content)}")
    assert "abcdef" not in caught.value.render()


def test_installed_twice_nothing_changes_the_second_time():
    server = Notifications()
    parts = channel_parts(channel_of(f"webhook={SECRET}"))
    assert [step.result for step in install(server, parts)] == ["installed"]
    assert [step.result for step in install(server, parts)] == ["unchanged"]
    assert server.calls == [("POST", BASE)]


def test_another_url_is_an_update_whose_difference_does_not_show_it():
    server = Notifications()
    list(install(server, channel_parts(channel_of(f"webhook={SECRET}"))))
    (step,) = install(server, channel_parts(channel_of("webhook=https://hooks.example/other")))
    assert step.result == "updated"
    assert step.difference[0].startswith("webhook.url: sha256:")
    assert "hooks.example" not in str(step)
    assert server.calls[-1] == ("PUT", f"{BASE}/fieldtrail")
    assert server.configs["fieldtrail"]["webhook"]["url"] == "https://hooks.example/other"


def test_a_channel_that_was_switched_off_stays_so():
    server = Notifications()
    list(install(server, channel_parts(channel_of(f"webhook={SECRET}"))))
    server.configs["fieldtrail"]["is_enabled"] = False
    assert [step.result for step in install(server, channel_parts(channel_of(f"webhook={SECRET}")))] == ["unchanged"]
    list(install(server, channel_parts(channel_of("webhook=https://hooks.example/other"))))
    assert server.configs["fieldtrail"]["is_enabled"] is False


def test_whether_there_is_a_channel_is_asked_of_the_plugin_alone():
    assert has_channel(Notifications({"fieldtrail": channel_of(f"webhook={SECRET}")}))
    assert not has_channel(Notifications())
    assert not has_channel(Notifications(plugins=()))


def test_a_channel_has_no_version_and_is_sent_with_its_id():
    assert ChannelKind().version({"name": "x"}) is None
    assert ChannelKind().path("fieldtrail") == BASE
