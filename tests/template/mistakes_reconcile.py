"""Mistakes in how reconcile is started and called, as in mistakes.py."""

import checks_reconcile
from changes import drop, put
from variants import REMOVING


def says(state):
    """The condition that reconcile answered with one state."""
    return f"{{% $states.input.state = '{state}' %}}"


def expression(**changes):
    """Changes the parameter that says when reconcile starts."""
    return lambda t: t["Parameters"]["ReconcileSchedule"].update(changes)


MACHINE = ("ReconcileStateMachine", "Properties")
STATES = (*MACHINE, "Definition", "States")
CALL, DECIDE, TELL = ((*STATES, name) for name in ("Reconcile", "Decide", "Tell"))
IF_FINISHED, IF_TOO_MANY, IF_CONTINUE, IF_BUSY = ((*DECIDE, "Choices", at) for at in range(4))
RETRY = (*CALL, "Retry", 0)
MESSAGE = (*TELL, "Arguments", "MessageBody")
START = ("ReconcileStart", "Properties")
SETTLE = ("SettleStart", "Properties", "ScheduleExpression")
ANY_RATE = r"(cron\(([^\s()]+ ){5}[^\s()]+\)|rate\([1-9][0-9]* (minute|hour|day)s?\))"

MISTAKES = [
    ("not waited for", checks_reconcile.check_time_for_all_calls, put(*CALL, "TimeoutSeconds", 600)),
    ("waited for without an end", checks_reconcile.check_time_for_all_calls, drop(*CALL, "TimeoutSeconds")),
    (
        "stopped in its middle",
        checks_reconcile.check_time_for_all_calls,
        put(*MACHINE, "Definition", "TimeoutSeconds", 3600),
    ),
    ("never stopped", checks_reconcile.check_time_for_all_calls, drop(*MACHINE, "Definition", "TimeoutSeconds")),
    ("an express machine", checks_reconcile.check_state_machine, put(*MACHINE, "Type", "EXPRESS")),
    ("paths for expressions", checks_reconcile.check_state_machine, drop(*MACHINE, "Definition", "QueryLanguage")),
    ("another first state", checks_reconcile.check_state_machine, put(*MACHINE, "Definition", "StartAt", "Reconcile")),
    ("a state without a name", checks_reconcile.check_state_machine, put(*CALL, "Next", "Decision")),
    ("a state that nothing reaches", checks_reconcile.check_state_machine, put(*STATES, "Spare", {"Type": "Succeed"})),
    (
        "another function",
        checks_reconcile.check_state_machine,
        put(*CALL, "Arguments", "FunctionName", {"Ref": "WebhookFunction"}),
    ),
    ("another service", checks_reconcile.check_state_machine, put(*CALL, "Resource", "arn:aws:states:::sns:publish")),
    (
        "not waited for its answer",
        checks_reconcile.check_state_machine,
        put(*CALL, "Arguments", "InvocationType", "Event"),
    ),
    ("no retry", checks_reconcile.check_state_machine, drop(*CALL, "Retry")),
    (
        "throttling only",
        checks_reconcile.check_state_machine,
        put(*RETRY, "ErrorEquals", ["Lambda.TooManyRequestsException"]),
    ),
    ("retried within the lease", checks_reconcile.check_state_machine, put(*RETRY, "MaxAttempts", 2)),
    ("retried at once", checks_reconcile.check_state_machine, put(*RETRY, "IntervalSeconds", 1)),
    ("retried at a steady pace", checks_reconcile.check_state_machine, put(*RETRY, "BackoffRate", 1)),
    ("retried in sync", checks_reconcile.check_state_machine, drop(*RETRY, "JitterStrategy")),
    ("no catch", checks_reconcile.check_state_machine, drop(*CALL, "Catch")),
    ("caught and not told", checks_reconcile.check_state_machine, put(*CALL, "Catch", 0, "Next", "Failed")),
    ("caught and finished", checks_reconcile.check_state_machine, put(*CALL, "Catch", 0, "Next", "Finished")),
    (
        "some errors caught",
        checks_reconcile.check_state_machine,
        put(*CALL, "Catch", 0, "ErrorEquals", ["States.Timeout"]),
    ),
    ("error without a name", checks_reconcile.check_state_machine, drop(*CALL, "Catch", 0, "Assign")),
    ("told and finished", checks_reconcile.check_state_machine, put(*TELL, "Next", "Finished")),
    ("the queue's error in the place of its own", checks_reconcile.check_state_machine, drop(*TELL, "Catch")),
    ("no loop", checks_reconcile.check_state_machine, drop(*IF_CONTINUE)),
    ("continue is the end", checks_reconcile.check_state_machine, put(*IF_CONTINUE, "Next", "Finished")),
    ("continued after a wait", checks_reconcile.check_state_machine, put(*IF_CONTINUE, "Next", "Wait")),
    (
        "another word for continue",
        checks_reconcile.check_state_machine,
        put(*IF_CONTINUE, "Condition", says("continued")),
    ),
    ("busy is the end", checks_reconcile.check_state_machine, put(*IF_BUSY, "Next", "Finished")),
    ("busy and called at once", checks_reconcile.check_state_machine, put(*IF_BUSY, "Next", "Reconcile")),
    ("a long wait", checks_reconcile.check_state_machine, put(*STATES, "Wait", "Seconds", 3600)),
    ("for ever", checks_reconcile.check_state_machine, drop(*IF_TOO_MANY)),
    ("calls not counted", checks_reconcile.check_state_machine, drop(*CALL, "Assign")),
    ("pending approval is a failure", checks_reconcile.check_state_machine, put(*IF_FINISHED, "Condition", says("done"))),
    ("the answer overlooked", checks_reconcile.check_state_machine, drop(*CALL, "Output")),
    ("all else is well", checks_reconcile.check_state_machine, put(*DECIDE, "Default", "Finished")),
    ("nothing else", checks_reconcile.check_state_machine, drop(*DECIDE, "Default")),
    (
        "the cause in the message",
        checks_reconcile.check_state_machine,
        put(*MESSAGE, "cause", "{% $states.input.Cause %}"),
    ),
    ("which execution is not said", checks_reconcile.check_state_machine, drop(*MESSAGE, "execution")),
    ("no machine", checks_reconcile.check_state_machine, drop("ReconcileStateMachine")),
    (
        "a rate in the wrong number",
        checks_reconcile.check_expressions,
        put(*START, "ScheduleExpression", "rate(1 hours)"),
    ),
    ("a rate of nothing", checks_reconcile.check_expressions, put(*START, "ScheduleExpression", "rate(0 hours)")),
    ("a rate of weeks", checks_reconcile.check_expressions, put(*START, "ScheduleExpression", "rate(2 weeks)")),
    ("five fields", checks_reconcile.check_expressions, put(*START, "ScheduleExpression", "cron(0 3 * * *)")),
    ("a bad rate to settle", checks_reconcile.check_expressions, put(*SETTLE, "rate(1 hours)"), *REMOVING),
    ("a bad rate by default", checks_reconcile.check_expressions, expression(Default="rate(12 hour)")),
    ("any rate taken", checks_reconcile.check_expressions, expression(AllowedPattern=ANY_RATE)),
    ("no schedule", checks_reconcile.check_schedule, drop("ReconcileStart")),
    ("a disabled schedule", checks_reconcile.check_schedule, put(*START, "State", "DISABLED")),
    (
        "disabled by default",
        checks_reconcile.check_schedule,
        lambda t: t["Parameters"]["ReconcileState"].update(Default="DISABLED"),
    ),
    ("a fixed time", checks_reconcile.check_schedule, put(*START, "ScheduleExpression", "cron(0 3 * * ? *)")),
    (
        "at some time of the night",
        checks_reconcile.check_schedule,
        put(*START, "FlexibleTimeWindow", {"Mode": "FLEXIBLE"}),
    ),
    ("no dead letters", checks_reconcile.check_schedule, drop(*START, "Target", "DeadLetterConfig")),
    ("a day's retries", checks_reconcile.check_schedule, drop(*START, "Target", "RetryPolicy")),
    (
        "the function without its loop",
        checks_reconcile.check_schedule,
        put(*START, "Target", "Arn", {"Fn::GetAtt": ["ReconcileFunction", "Arn"]}),
    ),
]
