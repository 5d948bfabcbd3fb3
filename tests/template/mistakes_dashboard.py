"""Mistakes in the dashboard, as in mistakes.py."""

import checks_dashboard
from changes import drop, put, reached
from variants import STARTING

DASHBOARD = ("Dashboard", "Properties")
GIVEN = (*DASHBOARD, "DashboardBody", "Fn::Sub", 1)
ALARMS = (*GIVEN, "Alarms", "Fn::Join", 1)


def written(old, new):
    """Writes something else in the place of a text of the body that is there once."""

    def change(template):
        sub = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        if sub[0].count(old) != 1:
            # Not an AssertionError: a test that expects a check to fail must not take this for it.
            raise ValueError(f"{old!r} is not there once")
        sub[0] = sub[0].replace(old, new)

    return change


def everywhere(old, new):
    """Writes something else wherever a text is."""

    def change(template):
        sub = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        sub[0] = sub[0].replace(old, new)

    return change


def listed(alarm):
    """The position of an alarm in the list."""

    def found(alarms):
        arns = [it["Fn::If"][1] if "Fn::If" in it else it for it in alarms]
        return arns.index({"Fn::GetAtt": [alarm, "Arn"]})

    return found


def further(alarm):
    """Lists one alarm more."""

    return lambda t: reached(t, ALARMS).append({"Fn::GetAtt": [alarm, "Arn"]})


def searched(which, dimensions, metric):
    """Searches for something else."""
    return put(*GIVEN, which, f'{{{dimensions}}} MetricName=\\"{metric}\\"')


def of(function):
    """The term of a search that names a function."""
    return f'FunctionName=\\"${{{function}Function}}\\"'


ERRORS_OF_REACT = '"${ReactFunction}", {"label": "react: errors"}'
IGNORED = """Outcome=\\"ignored\\"', 'Sum', 300))"""
FURTHER = "Rollcall,FunctionName"

# What is wrong and how to make it, by the check that must see it.
BY_CHECK = {
    checks_dashboard.check_dashboard: [
        ("no dashboard", drop("Dashboard")),
        ("one dashboard for all stacks", put(*DASHBOARD, "DashboardName", "rollcall")),
        ("one dashboard for all regions", put(*DASHBOARD, "DashboardName", {"Ref": "AWS::StackName"})),
        ("a comma too many", written("]}}\n]}", "]}},\n]}")),
        ("a comma too few", written('"label": "applied"}],', '"label": "applied"}]')),
        ("quotes that end the text", put(*GIVEN, "Drift", '{Rollcall,FunctionName,Kind} MetricName="Drift"')),
        ("one region's metrics", everywhere("${AWS::Region}", "eu-central-1")),
        ("a kind of widget that is none", written('"type": "alarm"', '"type": "alarms"')),
        ("wider than the page", written('"width": 24', '"width": 25')),
        ("the mean", everywhere('"stat": "p90", "period"', '"stat": "mean", "period"')),
        ("no title", everywhere('"title"', '"name"')),
        ("a graph of seconds", everywhere('"period": 3600', '"period": 60')),
    ],
    checks_dashboard.check_dashboard_has_data: [
        ("a function that is not there", written(ERRORS_OF_REACT, ERRORS_OF_REACT.replace("React", "Nobody"))),
        (
            "a function that is written out",
            written(ERRORS_OF_REACT, ERRORS_OF_REACT.replace("${", "", 1).replace("}", "", 1)),
        ),
        ("another metric of before", written('"DeletionsPendingApproval"', '"DeletionsHeld"')),
        ("one that has more dimensions", written('"DriftHealed"', '"Drift"')),
        (
            "the age of no stream",
            written('"IteratorAge", "FunctionName", "${React', '"IteratorAge", "FunctionName", "${Webhook'),
        ),
        ("a queue by its URL", written("${ReactFailures.QueueName}", "${ReactFailures}")),
        ("a dimension less", searched("Refusals", FURTHER, "Refusals")),
        ("another dimension", searched("Refusals", f"{FURTHER},Kind", "Refusals")),
        ("dimensions in another order", searched("Drift", "Rollcall,Kind,FunctionName", "Drift")),
        ("a search for what is not there", searched("Drift", f"{FURTHER},Kind", "Drifts")),
        ("a search in every stack", searched("Events", f"{FURTHER},Type,Outcome", "Events")),
        ("the webhook's drift", written(of("Reconcile"), of("Webhook"))),
        ("an outcome that is none", written('Outcome=\\"ignored\\"', 'Outcome=\\"ignore\\"')),
        ("a statistic that is none", written("'Maximum', 3600", "'Most', 3600")),
        ("a search that does not end", written(IGNORED, IGNORED[:-1])),
        ("a variable that has no value", drop(*GIVEN, "Drift")),
    ],
    checks_dashboard.check_dashboard_shows_all: [
        ("one outcome twice", written('Outcome=\\"ignored\\"', 'Outcome=\\"applied\\"')),
        ("the slowest only", written('{"stat": "p50"', '{"stat": "Maximum"')),
        ("one queue twice", written("${ReactFailures.QueueName}", "${ReconcileFailures.QueueName}")),
        ("another graph of errors", everywhere('"Duration"', '"Errors"')),
        ("no calls", everywhere('"ClerkCalls"', '"Failures"')),
        ("one function's refusals", written("${Refusals} " + of("EnsureProfile"), "${Refusals} " + of("Webhook"))),
        ("runs that are not shown", written('"RunsFinished"', '"OutOfSync"')),
        ("throttles on it", everywhere('"AWS/Lambda", "Errors"', '"AWS/Lambda", "Throttles"')),
    ],
    checks_dashboard.check_dashboard_shows_alarms: [
        ("an alarm that is not on it", drop(*ALARMS, listed("WebhookErrors"))),
        ("an alarm twice", further("SyncLag")),
        ("an alarm that is not there", further("RunsMissing"), "untouched"),
        ("alarms by their names", put(*ALARMS, listed("WebhookErrors"), {"Ref": "WebhookErrors"})),
        (
            "another's condition",
            put(*ALARMS, listed("WritebackConflicts"), "Fn::If", 0, "EnsureVerifies"),
            *(it for it in STARTING if it != "verify"),
        ),
        ("no list", written('"alarms": ["${Alarms}"]', '"alarms": []')),
    ],
}

MISTAKES = [(name, check, *how) for check, mistakes in BY_CHECK.items() for name, *how in mistakes]
