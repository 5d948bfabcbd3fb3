"""What must hold of the alarms, as in checks.py."""

import json
import re

from checks import LAMBDA, MACHINE, SCHEDULE, same, target
from functions import ALL, ENSURE, FUNCTIONS, REACT, RECONCILE, STAYS, WEBHOOK, short
from metrics import NAMESPACE, WRITTEN_BY, unknown
from policies import creates, removes, starts, writes_back
from translated import ROOT, properties

ALARM = "AWS::CloudWatch::Alarm"
AT_LEAST, MORE_THAN, LESS_THAN = "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold"
MINUTES, HOUR, DAY = 300, 3600, 24 * 3600
# Who is told, where there is somebody.
TOLD = [{"Ref": "AlarmTopicArn"}]


def alarm(metric, whose, sign, threshold, namespace=NAMESPACE, statistic="Sum", period=MINUTES, periods=1, **further):
    """An alarm on a metric of a function, or of a queue."""
    kind = "QueueName" if "." in whose else "ApiId" if whose == "Api" else "FunctionName"
    named = {"ExtendedStatistic": statistic} if statistic.startswith("p") else {"Statistic": statistic}
    return named | {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": {kind: whose},
        "Period": period,
        "EvaluationPeriods": periods,
        # By default all of them.
        "DatapointsToAlarm": periods,
        "ComparisonOperator": sign,
        "Threshold": threshold,
        "TreatMissingData": "notBreaching",
        **further,
    }


def visible(queue):
    """An alarm on the messages in a queue."""
    metric = ("ApproximateNumberOfMessagesVisible", f"{queue}.QueueName")
    return alarm(*metric, AT_LEAST, 1, namespace="AWS/SQS", statistic="Maximum")


def less(metric, function):
    """An alarm on a function's errors but for those that it makes on purpose, which it counts itself. CloudWatch dates the two
    differently, so that one period may have too many and the next too few."""
    taken = {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": {"FunctionName": function}, "Statistic": "Sum"}
    several = {"periods": 3, "DatapointsToAlarm": 2}
    return alarm("Errors", function, AT_LEAST, 1, namespace="AWS/Lambda", Less=taken, **several)


ALARMS = {
    **{
        f"{short(function)}{metric}": alarm(metric, function, AT_LEAST, 1, namespace="AWS/Lambda")
        for function in ALL
        for metric in ("Errors", "Throttles")
    },
    **{
        f"{short(function)}Errors": less(it.purposely, function)
        for function, it in FUNCTIONS.items()
        if it.purposely
    },
    **{
        f"{short(function)}Failing": alarm("Failures", function, AT_LEAST, 1, **it.failing)
        for function, it in FUNCTIONS.items()
    },
    "BadSignatures": alarm("BadSignatures", WEBHOOK, AT_LEAST, 1, **STAYS),
    "ApiErrors": alarm("5xx", "Api", AT_LEAST, 1, namespace="AWS/ApiGateway", **STAYS),
    "SyncLag": alarm("SyncLag", WEBHOOK, MORE_THAN, 60_000, statistic="p90", **STAYS),
    "StreamLag": alarm(
        "IteratorAge", REACT, MORE_THAN, 3_600_000, namespace="AWS/Lambda", statistic="Maximum", periods=3
    ),
    "EventsQuarantined": alarm("Quarantined", WEBHOOK, AT_LEAST, 1),
    **{
        f"{short(function)}UnreadableRows": alarm("UnreadableRows", function, AT_LEAST, 1)
        for function in WRITTEN_BY["UnreadableRows"]
    },
    "DriftHealed": alarm("DriftHealed", RECONCILE, AT_LEAST, {"Ref": "DriftAlarm"}, period=HOUR),
    "DeletionsPendingApproval": alarm("DeletionsPendingApproval", RECONCILE, AT_LEAST, 1, period=HOUR),
    "OutOfSync": alarm("OutOfSync", RECONCILE, AT_LEAST, 1, period=HOUR),
    "ReactGaveUp": visible("ReactFailures"),
    "ReconcileGaveUp": visible("ReconcileFailures"),
}

# Those that there are where something is so: elsewhere they would have nothing to say, or never be silent.
ALARMS_WHERE = {
    "PurgesLeft": (removes, alarm("PurgesLeft", RECONCILE, AT_LEAST, 1, period=HOUR)),
    "WritebackConflicts": (writes_back, alarm("WritebackConflicts", RECONCILE, AT_LEAST, 1, period=HOUR)),
    "NotSynced": (lambda given: not creates(given), alarm("NotSynced", ENSURE, AT_LEAST, 1)),
    "RunsMissing": (
        starts,
        alarm("RunsFinished", RECONCILE, LESS_THAN, 1, period=HOUR, periods=26, TreatMissingData="breaching"),
    ),
}

# The runbook: what each of its headings says.
RUNBOOK = dict(part.split("\n", 1) for part in (ROOT / "docs/runbook.md").read_text().split("\n## ")[1:])

# Nothing here decides when an alarm goes off.
BESIDE = {"AlarmDescription", "AlarmActions", "OKActions"}


def alarms_of(resources):
    """The properties of all alarms, each as if it were on one metric; what is taken off that metric is under `Less`."""
    return {name: as_one(name, it) for name, it in properties(resources, ALARM).items()}


def as_one(name, it):
    """An alarm on a difference: the first metric, less the second where there is one."""
    if "Metrics" not in it:
        return it
    same(f"{name}: metrics", [one.get("Id") for one in it["Metrics"]], ["errors", "expected", "unexpected"])
    *both, difference = it["Metrics"]
    same(f"{name}: what is compared", [one.get("ReturnData") for one in it["Metrics"]], [False, False, True])
    same(f"{name}: expression", difference.get("Expression"), "errors - FILL(expected, 0)")
    stats = [one["MetricStat"] for one in both]
    same(f"{name}: periods", len({one["Period"] for one in stats}), 1)
    whole, taken = ({**one["Metric"], "Statistic": one["Stat"]} for one in stats)
    beside = {one: value for one, value in it.items() if one != "Metrics"}
    return {**beside, **whole, "Period": stats[0]["Period"], "Less": taken}


def dimensions(it):
    """An alarm's dimensions, with references as text."""
    pairs = [(one.get("Name"), target(one.get("Value"))) for one in it.get("Dimensions", [])]
    same("dimensions that are named twice", len(dict(pairs)), len(pairs))
    return dict(pairs)


def check_alarms(resources, parameters):
    """There are these alarms and no others, and each goes off when it should."""
    expected = ALARMS | {name: it for name, (is_so, it) in ALARMS_WHERE.items() if is_so(parameters)}
    alarms = alarms_of(resources)
    same("alarms", set(alarms), set(expected))
    for name, it in alarms.items():
        decides = {one: value for one, value in it.items() if one not in BESIDE}
        decides |= {"Dimensions": dimensions(it)}
        if "Less" in it:
            decides |= {"Less": it["Less"] | {"Dimensions": dimensions(it["Less"])}}
        decides.setdefault("DatapointsToAlarm", it.get("EvaluationPeriods"))
        same(name, decides, expected[name])


def check_alarms_have_data(resources):
    """Each is on a metric that somebody writes, under exactly the dimensions that it is written with."""
    alarms = alarms_of(resources)
    taken_off = {f"{name}, taken off": it["Less"] for name, it in alarms.items() if "Less" in it}
    for name, it in {**alarms, **taken_off}.items():
        wrong = unknown(it.get("Namespace"), it.get("MetricName"), dimensions(it))
        assert not wrong, f"{name}: {wrong}"
        for one in it["Dimensions"]:
            # A name that is written out is another stack's, or nobody's.
            assert set(one["Value"]) <= {"Ref", "Fn::GetAtt"}, f"{name}: {one['Value']} is no reference"
            assert target(one["Value"]).split(".")[0] in resources, f"{name}: {one['Value']} is not deployed"


def check_alarms_can_be_evaluated(resources):
    """What they look back on is no longer than CloudWatch allows: a day, and seven where periods are an hour or more."""
    for name, it in alarms_of(resources).items():
        period, periods = it.get("Period", 0), it.get("EvaluationPeriods", 0)
        assert period > 0 and period % 60 == 0, f"{name}: a period of {period} s"
        longest = 7 * DAY if period >= HOUR else DAY
        assert 0 < period * periods <= longest, f"{name} looks back on {period * periods} s of {longest} s"
        points = it.get("DatapointsToAlarm", periods)
        assert 0 < points <= periods, f"{name} takes {points} points of {periods}"
        same(f"{name}: kinds of statistic", len({"Statistic", "ExtendedStatistic"} & set(it)), 1)


def check_alarms_are_told(resources, parameters):
    """They go to the operator's topic and nowhere else, and so does the news that all is well again."""
    expected = TOLD if parameters.get("AlarmTopicArn") else None
    for name, it in properties(resources, ALARM).items():
        for actions in ("AlarmActions", "OKActions"):
            same(f"{name}: {actions}", it.get(actions), expected)
        same(f"{name}: other actions", {"InsufficientDataActions", "ActionsEnabled"} & set(it), set())


def check_alarms_are_explained(resources):
    """Each says in one sentence what it means, and where the runbook goes on."""
    for name, it in properties(resources, ALARM).items():
        text = it.get("AlarmDescription", "")
        found = re.fullmatch(r"[^.()]+ \(docs/runbook\.md, ([^()]+)\)", text)
        assert found, f"{name} does not say what it means and where to read on: {text!r}"
        assert f"`{name}`" in RUNBOOK.get(found[1], ""), f"{name} sends its reader to {found[1]}"


def check_nothing_fails_in_silence(resources):
    """Every function and every queue of what was given up has its alarms, whatever is added."""
    watched = {
        (it["Namespace"], it["MetricName"], *dimensions(it).values()) for it in alarms_of(resources).values()
    }
    for function in properties(resources, LAMBDA):
        for metric in (("AWS/Lambda", "Errors"), ("AWS/Lambda", "Throttles"), (NAMESPACE, "Failures")):
            assert (*metric, function) in watched, f"nobody hears of {metric[1]} of {function}"
    for queue in destinations(resources):
        visible = ("AWS/SQS", "ApproximateNumberOfMessagesVisible", f"{queue}.QueueName")
        assert visible in watched, f"nobody hears of messages in {queue}"


def destinations(resources):
    """The queues that something is sent to when it is given up."""
    mappings = properties(resources, "AWS::Lambda::EventSourceMapping").values()
    arns = [target(it["DestinationConfig"]["OnFailure"]["Destination"]) for it in mappings if "DestinationConfig" in it]
    schedules = properties(resources, SCHEDULE).values()
    arns += [target(it["Target"]["DeadLetterConfig"]["Arn"]) for it in schedules if "DeadLetterConfig" in it["Target"]]
    # Those that a state machine sends to are among its references.
    given = [
        value for it in properties(resources, MACHINE).values() for value in it["DefinitionSubstitutions"].values()
    ]
    queues = properties(resources, "AWS::SQS::Queue")
    named = {it.removesuffix(".Arn") for it in (*arns, *map(target, given))} & set(queues)
    assert named and all(it.removesuffix(".Arn") in queues for it in arns), f"no queue of this stack: {arns}"
    return named


def check_drift_alarm(template):
    """How much drift is too much is decided where the stack is deployed, and none is never too much."""
    parameter = template["Parameters"]["DriftAlarm"]
    same("DriftAlarm", json.dumps([parameter.get("Default"), parameter.get("MinValue")]), "[10, 1]")
