"""Mistakes in the alarms, as in mistakes.py: most of them deploy, and then nobody hears of anything."""

import checks_alarms
from changes import both, drop, put
from variants import REMOVING, STARTING, TELLING, WRITING, all_but


def of(alarm, *path_and_value):
    """Sets a property of an alarm."""
    return put(alarm, "Properties", *path_and_value)


def no(prop, alarm):
    """Takes a property of an alarm away."""
    return drop(alarm, "Properties", prop)


def dimension(alarm, **changes):
    """Changes the first dimension of an alarm."""
    return lambda t: t["Resources"][alarm]["Properties"]["Dimensions"][0].update(changes)


def beside(alarm, name, value):
    """Gives an alarm one dimension more."""
    return lambda t: t["Resources"][alarm]["Properties"]["Dimensions"].append({"Name": name, "Value": value})


def condition(name, value):
    """Gives a condition another value."""
    return lambda t: t["Conditions"].update({name: value})


def parameter(**changes):
    """Changes the parameter DriftAlarm."""
    return lambda t: t["Parameters"]["DriftAlarm"].update(changes)


def ref(name):
    return {"Ref": name}


def attribute(name, which="Arn"):
    return {"Fn::GetAtt": [name, which]}


def chosen(name, value):
    """The condition that a parameter has a value."""
    return {"Fn::Equals": [ref(name), value]}


SOMETIMES, UNTOLD, MORE_THAN = "DatapointsToAlarm", all_but(*TELLING), "GreaterThanThreshold"
NEVER, ALWAYS = ({"Fn::Equals": ["", it]} for it in ("never", ""))
GIVEN_UP = ("ReactFunction", "Properties", "Events", "Directory", "Properties", "DestinationConfig", "OnFailure")
DEAD_LETTERS = ("SettleStart", "Properties", "Target", "DeadLetterConfig")
TOLD_IN_MACHINE = ("ReconcileStateMachine", "Properties", "Definition", "States", "Tell", "Arguments")
QUEUE = {"Type": "AWS::SQS::Queue"}
FUNCTION = {
    "Type": "AWS::Serverless::Function",
    "Properties": {"CodeUri": "functions/more", "Handler": "bootstrap", "Role": "arn:x"},
}

# What is wrong and how to make it, by the check that must see it.
BY_CHECK = {
    checks_alarms.check_alarms: [
        *((f"no {name}", drop(name)) for name in checks_alarms.ALARMS),
        *(
            (f"no {name} where it should be", drop(name), *where)
            for name, where in {
                "PurgesLeft": REMOVING,
                "WritebackConflicts": WRITING,
                "NotSynced": ["verify"],
                "RunsMissing": STARTING,
            }.items()
        ),
        ("an alarm that nobody expects", put("More", {"Type": "AWS::CloudWatch::Alarm"})),
        ("another's errors", dimension("WebhookErrors", Value=ref("ReactFunction"))),
        ("the other queue's messages", dimension("ReactGaveUp", Value=attribute("ReconcileFailures", "QueueName"))),
        ("a minute's lag in seconds", of("SyncLag", "Threshold", 60)),
        ("the median lag", of("SyncLag", "ExtendedStatistic", "p50")),
        ("the mean lag", both(no("ExtendedStatistic", "SyncLag"), of("SyncLag", "Statistic", "Average"))),
        ("one slow event", of("SyncLag", "EvaluationPeriods", 1)),
        ("one slow event of three", of("SyncLag", SOMETIMES, 1)),
        ("an hour's age in seconds", of("StreamLag", "Threshold", 3600)),
        ("the mean age", of("StreamLag", "Statistic", "Average")),
        ("no errors are too many", of("WebhookErrors", "Threshold", 0)),
        ("more than one error", of("ReactErrors", "ComparisonOperator", MORE_THAN)),
        ("too few errors", of("ReactErrors", "ComparisonOperator", "LessThanThreshold")),
        ("errors on average", of("WebhookErrors", "Statistic", "Average")),
        ("errors of an hour", of("WebhookErrors", "Period", 3600)),
        ("errors for ever", of("WebhookErrors", "TreatMissingData", "ignore")),
        ("alarmed without an error", of("WebhookErrors", "TreatMissingData", "breaching")),
        ("no word of silence", no("TreatMissingData", "ReactThrottles")),
        ("every failure of ensure-profile", of("EnsureProfileFailing", "DatapointsToAlarm", 1)),
        ("one event that fails is not enough", of("WebhookFailing", "Threshold", 5)),
        ("three failures in a row", of("WebhookFailing", "EvaluationPeriods", 3)),
        ("one stranger", of("BadSignatures", SOMETIMES, 1)),
        ("the same drift for every stack", of("DriftHealed", "Threshold", 10)),
        ("the share for the drift", of("DriftHealed", "Threshold", ref("ClerkRateShare"))),
        ("drift of five minutes", of("DriftHealed", "Period", 300)),
        ("an empty queue", of("ReactGaveUp", "Statistic", "Minimum")),
        ("silence is well", of("RunsMissing", "TreatMissingData", "notBreaching"), *STARTING),
        ("each hour without a run", of("RunsMissing", SOMETIMES, 1), *STARTING),
        ("half a day without a run", of("RunsMissing", "EvaluationPeriods", 12), *STARTING),
        ("every run is one too many", of("RunsMissing", "ComparisonOperator", MORE_THAN), *STARTING),
        ("missing though nobody starts them", drop("RunsMissing", "Condition"), "untouched"),
        ("missing where nobody starts them", condition("ReconcileStarts", chosen("ReconcileState", "DISABLED"))),
        ("nobody missed where nobody is created", put("NotSynced", "Condition", "EnsureCreates")),
        ("missed where they are created", drop("NotSynced", "Condition"), *all_but("verify")),
        ("the policies confused", condition("EnsureVerifies", chosen("EnsurePolicy", "create"))),
        ("left where nothing is removed", drop("PurgesLeft", "Condition"), *all_but(*REMOVING)),
        ("conflicts without a write-back", drop("WritebackConflicts", "Condition"), "untouched"),
    ],
    checks_alarms.check_alarms_have_data: [
        ("a lag of who has none", dimension("SyncLag", Value=ref("EnsureProfileFunction"))),
        ("a stream of who reads none", dimension("StreamLag", Value=ref("ReconcileFunction"))),
        ("the ARN for the name", dimension("ReactErrors", Value=attribute("ReactFunction"))),
        ("the name of the resource", dimension("ReactErrors", Value="ReactFunction")),
        ("a name that is written out", dimension("ReactErrors", Value={"Fn::Sub": "ReactFunction"})),
        ("a name of before", dimension("ReactErrors", Value={"Fn::Sub": "${AWS::StackName}-react"})),
        ("the stack for the function", dimension("WebhookFailing", Value=ref("AWS::StackName"))),
        ("a misspelt dimension", dimension("WebhookErrors", Name="Function")),
        ("the dimension of another service", dimension("WebhookErrors", Name="QueueName")),
        ("every stack's failures", no("Dimensions", "WebhookFailing")),
        ("two dimensions", beside("WebhookErrors", "Resource", ref("WebhookFunction"))),
        ("the URL of a queue", dimension("ReactGaveUp", Value=ref("ReactFailures"))),
        ("the ARN of a queue", dimension("ReactGaveUp", Value=attribute("ReactFailures"))),
        ("a function for a queue", dimension("ReactGaveUp", Name="FunctionName", Value=ref("ReactFunction"))),
        ("all drift", of("DriftHealed", "MetricName", "Drift")),
        ("drift of a kind", both(of("DriftHealed", "MetricName", "Drift"), beside("DriftHealed", "Kind", "tied"))),
        ("events of all types", of("EventsQuarantined", "MetricName", "Events")),
        ("a dimension to look closer", beside("EventsQuarantined", "Outcome", "quarantined")),
        ("a metric of before", of("DeletionsPendingApproval", "MetricName", "DeletionsHeld")),
        ("a misspelt metric", of("WebhookFailing", "MetricName", "Failure")),
        ("a misspelt namespace", of("WebhookFailing", "Namespace", "RollCall")),
        ("failures that are Lambda's", of("WebhookFailing", "Namespace", "AWS/Lambda")),
        ("no namespace", no("Namespace", "WebhookFailing")),
        ("the answers of any API", no("Dimensions", "ApiErrors")),
        ("the answers of a function", dimension("ApiErrors", Name="FunctionName", Value=ref("WebhookFunction"))),
        ("the metric of a REST API", of("ApiErrors", "MetricName", "5XXError")),
    ],
    checks_alarms.check_alarms_can_be_evaluated: [
        ("a day and five minutes", of("SyncLag", "EvaluationPeriods", 289)),
        ("a week and an hour", of("OutOfSync", "EvaluationPeriods", 169)),
        (
            "a day's runs in half hours",
            both(of("RunsMissing", "Period", 1800), of("RunsMissing", "EvaluationPeriods", 52)),
            *STARTING,
        ),
        ("more points than periods", of("SyncLag", SOMETIMES, 13)),
        ("a period that is none", of("SyncLag", "Period", 90)),
        ("no period", no("Period", "SyncLag")),
        ("two statistics", of("SyncLag", "Statistic", "Sum")),
        ("nothing to look at", no("Statistic", "WebhookErrors")),
    ],
    checks_alarms.check_alarms_are_told: [
        ("nobody is told", no("AlarmActions", "DriftHealed"), *TELLING),
        ("no word that it is over", no("OKActions", "DriftHealed"), *TELLING),
        ("an empty topic", of("DriftHealed", "AlarmActions", [ref("AlarmTopicArn")]), *UNTOLD),
        ("somebody else's topic", of("DriftHealed", "AlarmActions", ["arn:aws:sns:eu-central-1:210987654321:x"])),
        ("a function that is called", of("DriftHealed", "OKActions", [attribute("WebhookFunction")])),
        ("told of what is not known", of("DriftHealed", "InsufficientDataActions", [ref("AlarmTopicArn")])),
        ("muted", of("SyncLag", "ActionsEnabled", False)),
        ("told without a topic", condition("HasAlarmTopic", ALWAYS), *UNTOLD),
        ("a topic that is not told", condition("HasAlarmTopic", NEVER), *TELLING),
    ],
    checks_alarms.check_alarms_are_explained: [
        ("no explanation", no("AlarmDescription", "SyncLag")),
        ("nowhere to read on", of("SyncLag", "AlarmDescription", "Events take long")),
        ("another's page", of("SyncLag", "AlarmDescription", "Events take long (docs/runbook.md, The stream is behind)")),
        ("a page that is not there", of("SyncLag", "AlarmDescription", "Events take long (docs/runbook.md, Lag)")),
        ("two sentences", of("SyncLag", "AlarmDescription", "It is late. It is slow (docs/runbook.md, Events come late)")),
    ],
    checks_alarms.check_nothing_fails_in_silence: [
        ("a function without alarms", put("MoreFunction", FUNCTION)),
        ("failing in silence", of("ReactFailing", "MetricName", "ClerkCalls")),
        ("a queue that nobody watches", drop("ReactGaveUp")),
        ("given up into such a queue", both(put("More", QUEUE), put(*GIVEN_UP, "Destination", attribute("More")))),
        ("told into such a queue", both(put("More", QUEUE), put(*TOLD_IN_MACHINE, "QueueUrl", ref("More")))),
        ("not started into it", both(put("More", QUEUE), put(*DEAD_LETTERS, "Arn", attribute("More"))), *REMOVING),
        ("given up into another stack's queue", put(*GIVEN_UP, "Destination", "arn:x")),
    ],
    checks_alarms.check_drift_alarm: [
        ("no drift is too much", parameter(MinValue=0)),
        ("any drift is too much", parameter(Default=1)),
    ],
}

MISTAKES = [(name, check, *how) for check, mistakes in BY_CHECK.items() for name, *how in mistakes]
