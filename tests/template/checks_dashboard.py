"""What must hold of the dashboard, as in checks.py."""

import json
import re

from checks import same
from checks_alarms import ALARM
from metrics import KNOWN, NAMESPACE, OUTCOMES, WRITTEN_BY, unfound, unknown
from translated import of_type, properties

DASHBOARD = "AWS::CloudWatch::Dashboard"

# A graph of these is one of others: an event that is quarantined has that outcome, and who is not synchronised is refused, as
# is a signature.
SEEN_ELSEWHERE = {"BadSignatures", "Quarantined", "NotSynced"}
# What is shown of AWS's own; whoever is throttled is late, and has an alarm.
OF_AWS = {("AWS/Lambda", "Errors"), ("AWS/Lambda", "Duration"), ("AWS/Lambda", "IteratorAge")} | {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
}
LAGS = {"p50", "p90", "Maximum"}


def text(value):
    """What CloudFormation makes of a text, with references to resources as ${Name} or ${Name.Attribute}."""
    match value:
        case str():
            return value
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::Join": [separator, parts]}:
            return separator.join(text(part) for part in parts)
        case {"Fn::Sub": [str(pattern), given]}:
            named = {f"${{{name}}}": text(it) for name, it in given.items()}
            return re.sub(r"\$\{[^}]+\}", lambda found: named.get(found[0], found[0]), pattern)
        case {"Fn::Sub": str(pattern)}:
            return pattern
    raise AssertionError(f"this is no text: {value!r}")


def widgets(resources):
    """What is on the only dashboard."""
    dashboards = properties(resources, DASHBOARD)
    same("dashboards", set(dashboards), {"Dashboard"})
    try:
        return json.loads(text(dashboards["Dashboard"].get("DashboardBody")))["widgets"]
    except ValueError as error:
        raise AssertionError(f"the dashboard is no JSON: {error}") from error


def graphs(resources):
    """The properties of its graphs."""
    return [it["properties"] for it in widgets(resources) if it["type"] == "metric"]


def shown(graph):
    """A graph's metrics: for each its namespace, name, dimensions and options."""
    for namespace, name, *pairs in (it for it in graph["metrics"] if len(it) > 1):
        options = pairs.pop() if isinstance(pairs[-1], dict) else {}
        yield namespace, name, dict(zip(pairs[::2], pairs[1::2], strict=True)), options


def searches(graph):
    """The expressions of a graph."""
    return [it[0]["expression"] for it in graph["metrics"] if len(it) == 1]


def check_dashboard(resources):
    """There is one for each stack and region, all of which share their names, and it is what CloudWatch can show."""
    same(
        "name",
        [it.get("DashboardName") for it in properties(resources, DASHBOARD).values()],
        [{"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}],
    )
    same("kinds of widgets", {it["type"] for it in widgets(resources)}, {"alarm", "metric"})
    for it in widgets(resources):
        assert 0 < it.get("width", 0) <= 24 and it.get("height", 0) > 0, f"no size: {it}"
        assert it["properties"].get("title"), f"no title: {it}"
    for graph in graphs(resources):
        same(f"{graph['title']}: region", graph.get("region"), "${AWS::Region}")
        assert graph.get("period", 0) % 300 == 0 < graph.get("period", 0), f"{graph['title']}: no period"
        assert graph.get("stat") in LAGS | {"Sum"}, f"{graph['title']}: no statistic"


def check_dashboard_has_data(resources):
    """Each graph is of metrics that somebody writes, of functions and queues of this stack."""
    for graph in graphs(resources):
        for namespace, name, given, _ in shown(graph):
            references = {dimension: value.removeprefix("${").removesuffix("}") for dimension, value in given.items()}
            same(f"{graph['title']}: a reference", [it.startswith("${") for it in given.values()], [True])
            wrong = unknown(namespace, name, references)
            assert not wrong, f"{graph['title']}: {wrong}"
        for expression in searches(graph):
            wrong = unfound(expression)
            assert not wrong, f"{graph['title']}: {wrong}"
    # What it names is deployed.
    body = text(properties(resources, DASHBOARD)["Dashboard"]["DashboardBody"])
    named = {it.split(".")[0] for it in re.findall(r"\$\{([^}:]+)\}", body)}
    same("what is not deployed", named - set(resources), set())


def check_dashboard_shows_all(resources):
    """Whatever is counted is shown, of each function that counts it."""
    seen, lags = set(), set()
    for graph in graphs(resources):
        for namespace, name, given, options in shown(graph):
            seen |= {(namespace, name, *(it[2:-1] for it in given.values()))}
            lags |= {options.get("stat", graph["stat"])} if name == "SyncLag" else set()
        for expression in searches(graph):
            terms = dict(re.findall(r'(\w+)="\$?\{?(\w+)\}?"', expression))
            further = [terms["Outcome"]] if "Outcome" in terms else []
            seen |= {(NAMESPACE, terms["MetricName"], terms["FunctionName"], *further)}
    expected = {
        (NAMESPACE, name, whose, *further)
        for name, writers in WRITTEN_BY.items()
        for whose in writers
        for further in ([[it] for it in OUTCOMES] if name == "Events" else [[]])
        if name not in SEEN_ELSEWHERE
    }
    expected |= {(namespace, name, whose) for namespace, name in OF_AWS for whose in KNOWN[namespace][1][name]}
    # A conflict that react sees, reconcile sees, too.
    expected -= {(NAMESPACE, "WritebackConflicts", "ReactFunction")}
    same("what is not shown", expected - seen, set())
    same("what is shown besides", seen - expected, set())
    same("shown of the lag", lags, LAGS)


def check_dashboard_shows_alarms(resources):
    """All alarms are on it, and none that is not there."""
    lists = [it["properties"].get("alarms", []) for it in widgets(resources) if it["type"] == "alarm"]
    same("lists of alarms", len(lists), 1)
    same("alarms on it", sorted(lists[0]), sorted(f"${{{name}.Arn}}" for name in of_type(resources, ALARM)))
