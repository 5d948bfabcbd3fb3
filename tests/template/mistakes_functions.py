"""Mistakes that must be seen of every function, as in mistakes.py: made from functions.py, so that a new function has them."""

import checks
import checks_alarms
import checks_dashboard
from changes import drop, moved, put, reached, sid
from functions import ALL, FUNCTIONS, another, short
from metrics import KNOWN, NAMESPACE, OF_FUNCTIONS, WRITTEN_BY
from mistakes_dashboard import written


def event(route):
    """The name of the event that gives a function its route."""
    method, path = route

    def found(events):
        properties = [(it["Properties"].get("Method"), it["Properties"].get("Path")) for it in events.values()]
        return list(events)[properties.index((method, path))]

    return found


def of_route(function, route):
    """Mistakes in a route and its limits."""
    at, name = (function, "Properties", "Events", event(route)), " ".join(route)
    limits = ("Api", "Properties", "RouteSettings")
    yield f"no {name}", checks.check_routes, drop(*at)
    yield f"another path than {name}", checks.check_routes, put(*at, "Properties", "Path", f"{route[1]}/other")
    yield f"another method than {name}", checks.check_routes, put(*at, "Properties", "Method", "HEAD")
    throttling = checks.check_throttling_and_access_log
    yield f"no limit of {name}", throttling, drop(*limits, name)
    yield f"any burst of {name}", throttling, drop(*limits, name, "ThrottlingBurstLimit")
    yield f"a limit of {name} that one stranger fills", throttling, put(*limits, name, "ThrottlingRateLimit", 20)
    yield f"the limit of a misspelt {name}", throttling, moved(limits, name, f"{name}x")


def of_function(function):
    """Mistakes in a function, its role and its log."""
    properties, other = (function, "Properties"), another(function)
    seconds = FUNCTIONS[function].seconds
    yield f"another time limit of {function}", checks.check_time_limits, put(*properties, "Timeout", seconds - 1)
    yield f"{function} without traces", checks.check_tracing, put(*properties, "Tracing", "PassThrough")
    yield f"a variable that {function} does not read", checks.check_environment, variable(function, "NOBODY_READS", "x")
    secret = variable(function, "CLERK_SECRET_KEY", "x")
    yield f"a secret in the environment of {function}", checks.check_no_secret_in_environment, secret
    log, logs = (*properties, "LoggingConfig"), f"{short(function)}Logs"
    yield f"no log group of {function}", checks.check_logs, drop(*log)
    yield f"text logs of {function}", checks.check_logs, put(*log, "LogFormat", "Text")
    yield f"the log of another for {function}", checks.check_logs, put(*log, "LogGroup", {"Ref": f"{short(other)}Logs"})
    yield f"{logs} for ever", checks.check_logs, drop(logs, "Properties", "RetentionInDays")
    yield f"{logs} that outlive the stack", checks.check_deletion_policies, put(logs, "DeletionPolicy", "Retain")

    may, role = checks.check_permissions, f"{short(function)}Role"
    statements = (role, "Properties", "Policies", 0, "PolicyDocument", "Statement")
    yield f"SAM's own role for {function}", may, drop(*properties, "Role")
    of_other = {"Fn::GetAtt": [f"{short(other)}Role", "Arn"]}
    yield f"the role of another for {function}", may, put(*properties, "Role", of_other)
    yield f"no log in {role}", may, drop(*statements, sid("Logs"))
    yield f"any log in {role}", may, put(*statements, sid("Logs"), "Resource", "*")
    yield f"no traces in {role}", may, drop(*statements, sid("Traces"))
    yield f"traces read in {role}", may, put(*statements, sid("Traces"), "Action", "xray:*")
    more = {"Sid": "More", "Effect": "Allow", "Action": "dynamodb:DeleteTable", "Resource": "*"}
    yield f"one statement more in {role}", may, lambda t: reached(t, statements).append(more)
    anybody = ("AssumeRolePolicyDocument", "Statement", 0, "Principal")
    yield f"anybody in {role}", may, put(role, "Properties", *anybody, {"AWS": "*"})


def variable(function, name, value):
    """Gives a function one variable more."""
    return put(function, "Properties", "Environment", "Variables", name, value)


def of_alarms(function):
    """Mistakes in the alarms that every function has."""
    for metric in ("Errors", "Throttles", "Failing"):
        alarm = (f"{short(function)}{metric}", "Properties")
        yield f"no {metric} of {function}", checks_alarms.check_nothing_fails_in_silence, drop(alarm[0])
        differs = metric == "Errors" and FUNCTIONS[function].purposely
        measured = (*alarm, "Metrics", 0, "MetricStat", "Metric") if differs else alarm
        of_another = put(*measured, "Dimensions", 0, "Value", {"Ref": another(function)})
        yield f"{alarm[0]} of another", checks_alarms.check_alarms, of_another
        yield f"{alarm[0]} beyond one", checks_alarms.check_alarms, put(*alarm, "Threshold", 2)
        yield f"{alarm[0]} of a day", checks_alarms.check_alarms, put(*alarm, "EvaluationPeriods", 288)
        silent = drop(*alarm, "AlarmDescription")
        yield f"{alarm[0]} without a word", checks_alarms.check_alarms_are_explained, silent


def of_graphs(function):
    """What a function counts, or AWS counts of it, drawn as another function's: then a line of its own is missing."""
    drawn = {
        (NAMESPACE, metric): writers
        for metric, writers in WRITTEN_BY.items()
        if metric in KNOWN[NAMESPACE][1] and metric not in checks_dashboard.SEEN_ELSEWHERE | {"SyncLag"}
    } | {("AWS/Lambda", metric): whose for metric, whose in OF_FUNCTIONS.items() if metric != "Throttles"}
    for (namespace, metric), writers in drawn.items():
        if function not in writers or (metric, function) == ("WritebackConflicts", "ReactFunction"):
            continue
        line = f'["{namespace}", "{metric}", "FunctionName", "${{{function}}}"'
        wrong = line.replace(function, another(function))
        shown = checks_dashboard.check_dashboard_shows_all
        yield f"{metric} of {function} drawn as another's", shown, written(line, wrong)


MISTAKES = [
    mistake
    for function in ALL
    for mistakes in (of_function, of_alarms, of_graphs)
    for mistake in mistakes(function)
] + [mistake for name, it in FUNCTIONS.items() for route in it.routes for mistake in of_route(name, route)]
