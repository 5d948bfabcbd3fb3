"""What must hold of how reconcile is started and called, as in checks.py."""

import json
import re
from itertools import chain, product, repeat

from checks import LAMBDA, MACHINE, SCHEDULE, same, target
from machine import Refused, play, successors
from policies import removes
from translated import properties, takes

# What the state machine does with the answers of reconcile, the last of which is repeated for ever: how it ends, how
# often it called, for how many seconds it waited, and the error that it sent to the queue.
CRASH = Refused("Sandbox.Timedout")
CONTINUE, BUSY, DONE = ({"state": state} for state in ("continue", "busy", "done"))
RUNS = {
    "done": ([DONE], ("Succeed", 1, 0, None)),
    "pending approval": ([{"state": "pending_approval"}], ("Succeed", 1, 0, None)),
    "incomplete": ([{"state": "incomplete"}], ("Succeed", 1, 0, None)),
    "several calls": ([CONTINUE, CONTINUE, CONTINUE, DONE], ("Succeed", 4, 0, None)),
    "another run": ([BUSY, BUSY, DONE], ("Succeed", 3, 120, None)),
    "another run between two calls": ([CONTINUE, BUSY, CONTINUE, DONE], ("Succeed", 4, 60, None)),
    "without an end": ([CONTINUE], ("Fail", 40, 0, "Unfinished")),
    "another run without an end": ([BUSY], ("Fail", 40, 39 * 60, "Unfinished")),
    "an unknown answer": ([{"state": "asleep"}], ("Fail", 1, 0, "Unfinished")),
    "no answer": ([{}], ("Fail", 1, 0, "Unfinished")),
    "throttled once": ([Refused("Lambda.TooManyRequestsException"), DONE], ("Succeed", 2, 60, None)),
    "killed twice, and its lease runs": ([CONTINUE, CRASH, CRASH, BUSY, DONE], ("Succeed", 5, 60 + 120 + 60, None)),
    "killed each time": ([CRASH], ("Fail", 5, 60 + 120 + 240 + 480, "Sandbox.Timedout")),
    "out of time": ([Refused("States.Timeout")], ("Fail", 5, 60 + 120 + 240 + 480, "States.Timeout")),
}

# What the schedules start it with, and what each call is to get.
NIGHTLY, HOURLY = {}, {"order": "purge_due"}

# How long a run that was killed keeps the others out.
LEASE = 300

# How EventBridge writes when something starts. A mistake in it would show when the stack is half deployed.
EXPRESSION = r"rate\(1 (minute|hour|day)\)|rate\(([2-9]|[1-9]\d+) (minutes|hours|days)\)|cron\(\S+( \S+){5}\)"
WRONG_RATES = [
    "rate(1 hours)",
    "rate(12 hour)",
    "rate(0 hours)",
    "rate(-1 hours)",
    "rate(2 weeks)",
    "rate(hour)",
    "1 hour",
]


def schedule(description, expression, role, order):
    """A schedule that starts the state machine, whose role is its own, and that tells if it could not."""
    return {
        "Description": description,
        "ScheduleExpression": expression,
        "State": {"Ref": "ReconcileState"},
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": {"Ref": "ReconcileStateMachine"},
            "RoleArn": {"Fn::GetAtt": [role, "Arn"]},
            "Input": json.dumps(order, separators=(",", ":")),
            "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 10},
            "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["ReconcileFailures", "Arn"]}},
        },
    }


RECONCILE_START = schedule("Starts reconcile", {"Ref": "ReconcileSchedule"}, "ReconcileStartRole", NIGHTLY)
# Five minutes after each full hour.
SETTLE_START = schedule("Starts reconcile for what is due", "cron(5 * * * ? *)", "SettleStartRole", HOURLY)


def definition(machine):
    """A state machine's definition, with references as text."""
    [separator, lines] = machine["DefinitionString"]["Fn::Join"]
    text = separator.join(lines)
    for name, value in machine.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{name}}}", target(value))
    return json.loads(text)


def the_machine(resources):
    """The definition of the only state machine."""
    machines = properties(resources, MACHINE)
    same("state machines", set(machines), {"ReconcileStateMachine"})
    return definition(machines["ReconcileStateMachine"])


def run(machine, answers, queue=None, order=NIGHTLY):
    """Plays the state machine where reconcile answers so, and where the queue refuses messages if `queue` says how."""
    answers = chain(answers, repeat(answers[-1]))
    called, sent = [], []

    def respond(answer):
        if isinstance(answer, Refused):
            raise answer
        return {"Payload": answer}

    def invoke(arguments):
        called.append(arguments)
        return respond(next(answers))

    def send(arguments):
        respond(queue)
        sent.append(arguments)

    services = {
        "arn:${AWS::Partition}:states:::lambda:invoke": invoke,
        "arn:${AWS::Partition}:states:::sqs:sendMessage": send,
    }
    ended, waited = play(machine, services, {"Execution": {"Id": "arn:of:the:execution", "Input": order}})
    return ended, called, waited, sent


def check_time_for_all_calls(resources):
    """Each call is waited for, and so are as many calls as there may be."""
    limit = properties(resources, LAMBDA)["ReconcileFunction"].get("Timeout")
    machine = the_machine(resources)
    for name, state in machine["States"].items():
        if state["Type"] == "Task" and "lambda" in state["Resource"]:
            assert state.get("TimeoutSeconds", 0) > limit, f"{name} does not wait for reconcile"
    _, called, _, _ = run(machine, [CONTINUE])
    assert machine.get("TimeoutSeconds", 0) > len(called) * limit, (
        "reconcile is stopped before it has had all its calls"
    )


def check_state_machine(resources):
    """Reconcile is called until it is through, and whoever should know hears of it if it is not."""
    same("kind", [it.get("StateMachineType") for it in properties(resources, MACHINE).values()], ["STANDARD"])
    machine = the_machine(resources)
    states, reached = machine["States"], {machine["StartAt"]}
    while more := {name for state in reached & set(states) for name in successors(states[state])} - reached:
        reached |= more
    same("states", set(states), reached)

    for order, (name, (answers, (end, calls, seconds, error))) in product((NIGHTLY, HOURLY), RUNS.items()):
        ended, called, waited, sent = run(machine, answers, order=order)
        same(f"{name}: end", ended, (end, error or answers[-1]))
        same(f"{name}: calls", called, [{"FunctionName": "ReconcileFunction.Arn", "Payload": order}] * calls)
        same(f"{name}: seconds waited", waited, seconds)
        # An id and a name: what a function says about its failure may say whom it is about.
        message = {"execution": "arn:of:the:execution", "error": error}
        expected = [{"QueueUrl": "ReconcileFailures", "MessageBody": message}] if error else []
        same(f"{name}: messages", sent, expected)

    ended, _, _, _ = run(machine, [CRASH], queue=Refused("Sqs.SqsException"))
    same("end where the queue refuses", ended, ("Fail", "Sandbox.Timedout"))

    for name, state in states.items():
        for retry in state.get("Retry", []):
            same(f"{name}: jitter", retry.get("JitterStrategy"), "FULL")
    # Full jitter takes any part of a delay, half of it on average.
    _, _, waited, _ = run(machine, [CRASH])
    assert waited / 2 > LEASE, f"a killed run's lease outlives the retries, which take {waited / 2} s"


def check_expressions(resources, parameters, template):
    """Each schedule has an expression that is one, and so has whoever deploys the stack."""
    given = template["Parameters"] | {name: {"Default": value} for name, value in parameters.items()}
    for name, it in properties(resources, SCHEDULE).items():
        expression = it["ScheduleExpression"]
        text = given[expression["Ref"]]["Default"] if isinstance(expression, dict) else expression
        assert re.fullmatch(EXPRESSION, text), f"{name} starts at {text}"
    taken = [it for it in WRONG_RATES if takes(template["Parameters"]["ReconcileSchedule"], it)]
    same("rates that are taken and none", taken, [])


def check_schedule(resources, parameters, template):
    """Reconcile starts by itself, every hour where something may be due, and what is not started is not forgotten."""
    expected = {"ReconcileStart": RECONCILE_START} | ({"SettleStart": SETTLE_START} if removes(parameters) else {})
    same("schedules", properties(resources, SCHEDULE), expected)
    same("state by default", template["Parameters"]["ReconcileState"].get("Default"), "ENABLED")
