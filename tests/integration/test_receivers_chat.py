# SPDX-License-Identifier: Apache-2.0
"""Slack, Discord, Microsoft Teams, Mattermost, Rocket.Chat, Telegram, Webex and WeChat: what `belfry notify test` sends is taken by
servers that refuse what the real ones refuse (chat_services.py); where Debian's Alertmanager knows the service it is fed the
same and must have said the same, field by field."""
import datetime
import json

import chat_services as services
from chat_services import Services
from harness import BELFRY, Belfry, Process, folder, free_port, need, run, wait_for

# What says nothing but where the message goes.
BARE = {
    "slack": "slack_configs: [{api_url: '@URL%s', send_resolved: true" % services.SLACK_HOOK,
    "discord": "discord_configs: [{webhook_url: '@URL%s'" % services.DISCORD_HOOK,
    "msteams": "msteams_configs: [{webhook_url: '@URL%s'" % services.TEAMS_HOOK,
    "msteamsv2": "msteamsv2_configs: [{webhook_url: '@URL%s'" % services.FLOW_HOOK,
    "mattermost": "mattermost_configs: [{webhook_url: '@URL%s'" % services.MATTERMOST_HOOK,
    "rocketchat": "rocketchat_configs: [{api_url: '@URL', token_id: %s, token: %s, channel: '#ops', send_resolved: true" % (
        services.ROCKET_USER, services.ROCKET_TOKEN),
    "telegram": "telegram_configs: [{api_url: '@URL', bot_token: '%s', chat_id: %d" % (services.TELEGRAM_TOKEN, services.TELEGRAM_CHAT),
    "webex": "webex_configs: [{api_url: '@URL/v1/messages', room_id: %s, http_config: {authorization: {credentials: %s}}" % (
        services.WEBEX_ROOM, services.WEBEX_TOKEN),
    "wechat": "wechat_configs: [{api_url: '@URL/cgi-bin/', corp_id: %s, api_secret: '%s', agent_id: '1000002', to_user: oncall, "
              "send_resolved: true" % (services.WECHAT_CORP, services.WECHAT_SECRET),
}
TEXT = {"slack": "text", "discord": "message", "msteams": "text", "msteamsv2": "text", "mattermost": "text", "rocketchat": "text",
        "telegram": "message", "webex": "message", "wechat": "message"}
ALERTS = [{"labels": {"alertname": "Down", "job": "node", "instance": name, "severity": "critical"}, "generatorURL": "http://p/graph?a=1&b=2",
           "annotations": {"summary": "the <database> of %s is \"down\" & out: ü €" % name}} for name in ("db-1:9100", "db-2:9100")]
SEVERAL = "'{{ .Status }} {{ range .Alerts }}{{ .Labels.instance }}: {{ .Annotations.summary }}; {{ end }}{{ .CommonLabels.job }} {{ .ExternalURL }}'"


def receiver(kind, more="", s=None):
    return (BARE[kind] + (", " + more if more else "") + "}]").replace("@URL", s.url)


def config_of(d, text):
    path = d + "/alertmanager.yml"
    with open(path, "w") as f:
        f.write("route: {receiver: team, group_by: [alertname], group_wait: 1s}\nreceivers:\n- name: team\n  " + text + "\n")
    return path


def notify(d, text, *words, alerts=ALERTS, status=0):
    """Runs `belfry notify test team`; returns what it printed."""
    with open(d + "/alerts.json", "w") as f:
        json.dump(alerts, f)
    code, out, errors = run(BELFRY, "notify", "test", "team", "--config.file=" + config_of(d, text), "--alert=alerts.json",
                            "--web.external-url=http://am.example", *words, cwd=d)
    assert code == status, (code, out, errors)
    assert services.SECRET_WORD not in out + errors, (out, errors)
    return out


def test_messages_of_the_default_templates_are_taken():
    with folder() as d, Services() as s:
        for kind in BARE:
            for words in ([], ["--resolved"]):
                before = len(s.took(kind))
                notify(d, receiver(kind, s=s), *words)
                assert len(s.took(kind)) == before + 1 and not s.refused, (kind, s.refused)


def test_hostile_and_huge_alerts_are_taken():
    """Markup of each service, what is no text at all, and 60,000 characters."""
    alerts = [{"labels": {"alertname": "*_`<b>&amp;[x](http://y)~|>#!.\\", "job": "</b></a>\u0001\u007f\ufffe\U0001f600" * 3},
               "annotations": {"summary": "ä<&\"'\\\u2028 " * 7500}}]
    with folder() as d, Services() as s:
        for kind in BARE:
            notify(d, receiver(kind, TEXT[kind] + ": '{{ .CommonLabels.alertname }} {{ .CommonLabels.job }} {{ .CommonAnnotations.summary }}'", s),
                   alerts=alerts)
            assert len(s.took(kind)) == 1 and not s.refused, (kind, s.refused[0][:3])


def test_a_template_error_does_not_lose_the_alert():
    with folder() as d, Services() as s:
        for kind in BARE:
            out = notify(d, receiver(kind, TEXT[kind] + ": '{{ len 5 }}'", s))
            assert "an error in a template stands in the text" in out and not s.refused, (kind, out, s.refused)
            assert "error calling len" in json.dumps(s.took(kind)[0]), s.took(kind)
        notify(d, receiver("telegram", "parse_mode: MarkdownV2, message: '{{ len 5 }}'", s))
        assert not s.refused


# --- the same as Debian's Alertmanager ---

class Alertmanager(Process):
    """Debian's."""

    def __init__(self, cwd, path):
        self.port = free_port()
        super().__init__([need("prometheus-alertmanager"), "--config.file=" + path, "--storage.path=" + cwd + "/peer",
                          "--web.listen-address=127.0.0.1:%d" % self.port, "--web.external-url=http://am.example",
                          "--web.route-prefix=/", "--cluster.listen-address="], cwd, name="alertmanager")
        wait_for(lambda: self.request("GET", "/-/ready")[0] == 200, "Alertmanager is ready")

    request = Belfry.request


FIELDS = "fields: [{title: 'a {{ .Status }}', value: 'b {{ .CommonLabels.job }}'}, {title: c, value: d, short: false}]"
SAME = [
    ("slack", "text: %s, title: 't {{ .GroupLabels.alertname }}', title_link: 'http://l/{{ .Status }}', channel: '#{{ .CommonLabels.job }}', "
              "username: 'u {{ .Status }}', icon_emoji: ':x:', icon_url: 'http://i', pretext: p, fallback: f, callback_id: c, footer: o, "
              "image_url: 'http://g', thumb_url: 'http://h', link_names: true, short_fields: true, %s, actions: [{type: button, text: 'x {{ .Status }}', "
              "url: 'http://b/{{ .Status }}', style: danger}, {type: button, text: y, name: n, value: v, confirm: {text: sure, title: s, ok_text: "
              "'yes', dismiss_text: 'no'}}], mrkdwn_in: [text]" % (SEVERAL, FIELDS)),
    ("slack", "text: " + SEVERAL),
    ("discord", "title: 't {{ .GroupLabels.alertname }}', message: " + SEVERAL),
    ("telegram", "message: '<b>{{ .Status }}</b> {{ range .Alerts }}{{ .Annotations.summary }}{{ end }}'"),
    ("telegram", "parse_mode: '', disable_notifications: true, message: " + SEVERAL),
    ("webex", "message: " + SEVERAL),
    ("wechat", "to_party: p, to_tag: t, message: " + SEVERAL),
    ("wechat", "message_type: markdown, message: " + SEVERAL),
]


def test_messages_are_those_of_alertmanager():
    need("prometheus-alertmanager")
    stamp = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    for kind, more in SAME:
        with folder() as d, Services() as s:
            notify(d, receiver(kind, more, s))
            with Alertmanager(d, d + "/alertmanager.yml") as peer:
                body = json.dumps([{**a, "endsAt": stamp} for a in ALERTS])
                status, answer, _ = peer.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
                assert status == 200, answer
                wait_for(lambda: len(s.took(kind)) == 2 or s.refused, kind + " has heard of it twice")
            assert not s.refused, (kind, s.refused)
            ours, theirs = s.took(kind)
            assert ours == theirs, (kind, ours, theirs)


# --- what a service says ---

def test_refusals_are_told_without_secrets():
    wrong = [("slack", "channel: '#nowhere'", "channel_not_found"), ("discord", "username: My Discord", "Invalid Form Body"),
             ("msteams", "text: '', summary: ''", "Summary or Text is required"), ("mattermost", "channel: nowhere", "Couldn't find the channel"),
             ("mattermost", "type: x", "Could not decode")]
    with folder() as d, Services() as s:
        for kind, more, why in wrong:
            out = notify(d, receiver(kind, more, s), status=1)
            assert why in out and "not sent" in out and "1 attempt" in out, out
        for kind, was, now, why in [
                ("slack", "S3cret", "S3cretX", "invalid_token"), ("discord", "S3cret", "S3cretX", "Invalid Webhook Token"),
                ("msteamsv2", "S3cret", "S3cretX", "DirectApiInvalidAuthorizationScheme"), ("mattermost", "S3cret", "S3cretX", "Invalid webhook"),
                ("rocketchat", "S3cret", "S3cretX", "You must be logged in"), ("rocketchat", "#ops", "#nowhere", "[invalid-channel]"),
                ("telegram", "S3cret", "S3cretX", "Unauthorized (401)"), ("telegram", "-1001234567890", "-7", "chat not found"),
                ("webex", "S3cret", "S3cretX", "valid access token"), ("webex", "Y2lz", "X2lz", "Could not find a room"),
                ("wechat", "S3cret", "S3cretX", "invalid credential (40001)"), ("wechat", "oncall", "nobody", "all invalid (81013)")]:
            out = notify(d, receiver(kind, s=s).replace(was, now), status=1)
            assert why in out and "1 attempt" in out, (kind, out)


def test_services_that_ask_to_wait_are_asked_again():
    with folder() as d, Services() as s:
        for kind, status, body, headers in [
                ("slack", 429, "rate_limited", {"Retry_After": "1"}), ("discord", 429, {"message": "You are being rate limited.", "retry_after": 0.4}, {}),
                ("telegram", 429, {"ok": False, "error_code": 429, "description": "Too Many Requests: retry after 1", "parameters": {"retry_after": 1}}, {}),
                ("webex", 423, {"message": "locked"}, {"Retry_After": "1"}), ("mattermost", 503, "", {}),
                ("msteams", 200, "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x", {}),
                ("wechat", 200, {"errcode": -1, "errmsg": "system busy"}, {})]:
            s.fail(status, body, **headers)
            out = notify(d, receiver(kind, s=s))
            assert "2 attempts" in out and len(s.took(kind)) == 1, (kind, out)


def test_telegram_markup_that_is_refused_arrives_as_text():
    with folder() as d, Services() as s:
        notify(d, receiver("telegram", "message: '<h1>{{ .Status }}</h1> 1 &lt; 2'", s))
        notify(d, receiver("telegram", "parse_mode: MarkdownV2, message: '*{{ .Status }}*: up.'", s))
        first, second = s.took("telegram")
        assert first["text"] == "firing 1 < 2" and second["text"] == "*firing*: up." and "parse_mode" not in first
        assert len(s.refused) == 2


def test_telegram_group_that_moved_is_followed():
    with folder() as d, Services() as s:
        notify(d, receiver("telegram", s=s).replace(str(services.TELEGRAM_CHAT), str(services.TELEGRAM_OLD_CHAT)))
        assert len(s.took("telegram")) == 1


def test_wechat_token_that_expired_is_fetched_anew():
    with folder() as d, Services() as s:
        both = receiver("wechat", s=s)
        s.fail(200, {"errcode": 0, "errmsg": "ok", "access_token": "old", "expires_in": 7200})
        notify(d, both)
        (status, _, target, _), (_, answer, _, _) = s.refused
        assert answer["errcode"] == 42001 and len(s.took("wechat")) == 1


def test_secrets_may_stand_in_files():
    with folder() as d, Services() as s:
        with open(d + "/url", "w") as f:
            f.write(" " + s.url + services.DISCORD_HOOK + "\n")
        with open(d + "/token", "w") as f:
            f.write(services.TELEGRAM_TOKEN + "\n")
        with open(d + "/chat", "w") as f:
            f.write("%d\n" % services.TELEGRAM_CHAT)
        notify(d, "discord_configs: [{webhook_url_file: url}]")
        notify(d, "telegram_configs: [{api_url: '%s', bot_token_file: token, chat_id_file: chat}]" % s.url)
        assert len(s.took("discord")) == len(s.took("telegram")) == 1 and not s.refused
