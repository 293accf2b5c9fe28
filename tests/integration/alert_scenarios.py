# SPDX-License-Identifier: Apache-2.0
"""What happens to an Alertmanager in the scenarios of test_alertmanager_peer.py: for each a route, receivers and what is posted when.

All scenarios share one configuration and one process: the label `scenario` chooses the route, and paths of webhooks begin with the
scenario's name. Times are seconds since the start. Alerts are written as NAME k=v ... and stand for 60 s unless they end."""


def alert(at, text, starts=0, ends=None, annotations=None, times=True):
    """Posted `at`: began `starts` and ends `ends` (None: 60 s later; with times=False nothing is said of either)."""
    name, *pairs = text.split(" ")
    labels = {"alertname": name, **dict(p.split("=", 1) for p in pairs)}
    return ("alert", at, labels, starts, ends, annotations or {}, times)


def resolve(at, text, starts=0, **rest):
    """Posted as Prometheus does: it ended when it is posted."""
    return alert(at, text, starts, at, **rest)


def silence(at, ends, *matchers):
    """Each matcher: (name, value) or (name, value, is_regex, is_equal)."""
    return ("silence", at, ends, matchers)


def webhook(name, **fields):
    return {"name": name, "webhook_configs": [fields]}


# By name: the route without receiver and matcher, what happens, more receivers, inhibitions (the scenario's matchers are added), and the
# fields of the first receiver's webhook.
SCENARIOS = {}


def scenario(name, happens, route=None, receivers=(), inhibit=(), **first):
    SCENARIOS[name] = {"route": route or {}, "happens": happens, "receivers": list(receivers), "inhibit": list(inhibit),
                       "first": first}


scenario("one_alert", [alert(0, "Down instance=a", annotations={"summary": "a is down"})])
scenario("two_groups", [alert(0, "Down instance=a"), alert(0, "Down instance=b"), alert(0, "Slow instance=a")])
scenario("by_instance", [alert(0, "Down instance=a"), alert(0, "Down instance=b")], {"group_by": ["instance"]})
scenario("by_all", [alert(0, "Down instance=a"), alert(0, "Down instance=b"), alert(0.2, "Down instance=a job=x")], {"group_by": ["..."]})
scenario("by_nothing", [alert(0, "Down instance=a"), alert(0, "Slow instance=b")], {"group_by": []})
scenario("by_missing_label", [alert(0, "Down zone=a"), alert(0, "Down")], {"group_by": ["alertname", "zone"]})
scenario("wait_collects", [alert(0, "Down instance=a"), alert(0.6, "Down instance=b"), alert(1.2, "Down instance=c")], {"group_wait": "2s"})
scenario("old_alert_goes_at_once", [alert(0, "Down instance=a", -30)], {"group_wait": "4s"})
scenario("old_alert_joins_young_group", [alert(0, "Down instance=a"), alert(1, "Down instance=b", -30)], {"group_wait": "4s"})
scenario("second_at_interval", [alert(0, "Down instance=a"), alert(2, "Down instance=b")])
scenario("repeats", [alert(0, "Down instance=a")], {"repeat_interval": "5s"})
scenario("repeats_while_shrinking", [alert(0, "Down instance=a"), alert(0, "Down instance=b"), resolve(5, "Down instance=a")],
         {"repeat_interval": "7s"})
scenario("resolved", [alert(0, "Down instance=a"), resolve(3, "Down instance=a")])
scenario("resolved_untold", [alert(0, "Down instance=a"), alert(0, "Down instance=b"), resolve(3, "Down instance=a")], send_resolved=False)
scenario("all_resolved_untold", [alert(0, "Down instance=a"), resolve(3, "Down instance=a"), alert(7, "Down instance=a", 7)],
         send_resolved=False)
scenario("resolved_before_told", [alert(0, "Down instance=a"), resolve(0.5, "Down instance=a")], {"group_wait": "2s"})
scenario("flaps", [alert(0, "Down instance=a"), resolve(3, "Down instance=a"), alert(5.5, "Down instance=a", 5.5)])
scenario("back_before_it_was_told", [alert(0, "Down instance=a"), resolve(1.6, "Down instance=a"), alert(2.4, "Down instance=a", 2.4)])
scenario("partly_resolved", [alert(0, "Down instance=a"), alert(0, "Down instance=b"), resolve(2, "Down instance=b")])
scenario("new_and_resolved", [alert(0, "Down instance=a"), resolve(2, "Down instance=a"), alert(2.1, "Down instance=b")])
scenario("ends_by_itself", [alert(0, "Down instance=a", 0, 3.4)])
scenario("times_unsaid", [alert(0, "Down instance=a", times=False)])
scenario("posted_again", [alert(t, "Down instance=a", 0, 60 + t) for t in (0, 2, 3.5, 6)], {"repeat_interval": "5s"})
scenario("overlap_keeps_the_first_start", [alert(0, "Down instance=a", -3, 60), alert(0.3, "Down instance=a", 0, 70)])
scenario("annotations_change", [alert(0, "Down instance=a", annotations={"n": "1"}), alert(2, "Down instance=a", annotations={"n": "2"}),
                                alert(3, "Down instance=b", annotations={"n": "1"})])
scenario("common_parts", [alert(0, "Down instance=a team=x", annotations={"runbook": "r", "s": "1"}),
                          alert(0, "Down instance=b team=x", annotations={"runbook": "r", "s": "2"})])
scenario("odd_texts", [alert(0, 'Down instance="a\\b"<&>', annotations={"text": "líne\nbreak \u2028 \u00e9\t\"q\" <b>&amp;", "empty": ""})])
scenario("empty_labels_go", [alert(0, "Down instance=a gone=")])
scenario("order", [alert(0, "Down instance=%s job=%s n=%d" % (i, j, n)) for n, (i, j) in enumerate(
    (i, j) for i in ("10", "9", "b", "a") for j in ("z", "y", "x"))], {"group_by": ["alertname"]})
scenario("a_hundred", [alert(0, "Down instance=%d" % i) for i in range(100)], {"group_by": ["alertname"]})
scenario("at_most_three", [alert(0, "Down instance=%d" % i) for i in range(5)], {"group_by": ["alertname"]}, max_alerts=3)
scenario("continue", [alert(0, "Down severity=page")],
         {"routes": [{"matchers": ["severity=page"], "receiver": "continue/a", "continue": True},
                     {"matchers": ["alertname=Down"], "receiver": "continue/b"}]}, [webhook("continue/a"), webhook("continue/b")])
scenario("nested", [alert(0, "Down team=x severity=page"), alert(0, "Down team=x severity=info"), alert(0, "Down team=y")],
         {"routes": [{"matchers": ["team=x"], "receiver": "nested/x", "routes": [
             {"matchers": ["severity=page"], "receiver": "nested/page", "group_by": ["team"], "group_wait": "2s"}]}]},
         [webhook("nested/x"), webhook("nested/page")])
scenario("patterns", [alert(0, "Down team=abc"), alert(0, "Down team=xyz"), alert(0, "Down")],
         {"routes": [{"matchers": ["team=~a.*"], "receiver": "patterns/a"}, {"matchers": ["team!~x.*", "team!=\"\""], "receiver": "patterns/b"},
                     {"matchers": ["team=\"\""], "receiver": "patterns/none"}]},
         [webhook("patterns/a"), webhook("patterns/b"), webhook("patterns/none")])
scenario("old_matchers", [alert(0, "Down team=a"), alert(0, "Down team=b1")],
         {"routes": [{"match": {"team": "a"}, "receiver": "old_matchers/a"}, {"match_re": {"team": "b[0-9]"}, "receiver": "old_matchers/b"}]},
         [webhook("old_matchers/a"), webhook("old_matchers/b")])
scenario("inhibited", [alert(0, "Cause role=cause zone=a"), alert(0.1, "Effect role=effect zone=a"), alert(0.1, "Effect role=effect zone=b")],
         inhibit=[{"source_matchers": ["role=cause"], "target_matchers": ["role=effect"], "equal": ["zone"]}])
scenario("inhibition_ends", [alert(0, "Cause role=cause zone=a"), alert(0.1, "Effect role=effect zone=a"),
                             resolve(3.4, "Cause role=cause zone=a")],
         inhibit=[{"source_matchers": ["role=cause"], "target_matchers": ["role=effect"], "equal": ["zone"]}])
scenario("inhibited_later", [alert(0, "Effect role=effect zone=a"), alert(2, "Cause role=cause zone=a"),
                             resolve(6, "Effect role=effect zone=a")],
         inhibit=[{"source_matchers": ["role=cause"], "target_matchers": ["role=effect"], "equal": ["zone"]}])
scenario("inhibition_of_both_sides", [alert(0, "Down severity=page"), alert(0, "Slow severity=page")],
         inhibit=[{"source_matchers": ["severity=page"], "target_matchers": ["severity=~page|info"], "equal": ["missing"]}])
scenario("silenced", [silence(0, 40, ("instance", "a")), alert(0.5, "Down instance=a"), alert(0.5, "Down instance=b")])
scenario("silence_ends", [silence(0, 5, ("instance", "a|x", True, True)), alert(0.5, "Down instance=a")])
scenario("silenced_later", [alert(0, "Down instance=a"), silence(2, 40, ("alertname", "Down")), resolve(5, "Down instance=a")])
scenario("silence_by_not", [silence(0, 40, ("instance", "a", False, False)), alert(0.5, "Down instance=a"), alert(0.5, "Down instance=b")])
scenario("muted", [alert(0, "Down instance=a")], {"mute_time_intervals": ["always"]})
scenario("active", [alert(0, "Down instance=a")], {"active_time_intervals": ["always"]})
scenario("inactive", [alert(0, "Down instance=a")], {"active_time_intervals": ["never"]})
scenario("two_integrations", [alert(0, "Down instance=a"), resolve(3, "Down instance=a")],
         receivers=[{"name": "two_integrations/both", "webhook_configs": [{"path": "1"}, {"path": "2", "send_resolved": False}]}],
         route={"routes": [{"receiver": "two_integrations/both", "matchers": ["alertname=Down"]}]})
scenario("nobody", [alert(0, "Down instance=a")], {"routes": [{"receiver": "nobody/none", "matchers": ["alertname=Down"]}]},
         [{"name": "nobody/none"}])
# What the receiver does stands in its path: see Sink.
scenario("fails_once", [alert(0, "Down instance=a")], path="fail-once")
scenario("refuses", [alert(0, "Down instance=a"), alert(5, "Down instance=b")], path="refuse-once")
scenario("slow", [alert(0, "Down instance=a"), alert(0.2, "Down instance=b"), resolve(2, "Down instance=a")], path="slow")
SECONDS = 15  # between two beats of a group_interval of 3 s
