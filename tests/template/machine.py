"""A state machine as Step Functions runs it, as far as the template's go: what it does where the services that it calls
answer so and so. The time that it would wait is added up and not waited.
"""

import ast
import operator
import re

# Longer than any run that ends.
STEPS = 1000


class Refused(Exception):
    """A service's error, by its name in Step Functions."""


def successors(state):
    """The states that may follow a state."""
    following = [it.get(name) for it in (state, *state.get("Choices", []), *state.get("Catch", [])) for name in NEXT]
    return {it for it in following if it}


NEXT = ("Next", "Default")


def play(machine, services, context):
    """Runs `machine` to its end: (the type of its last state, its error or output), and the seconds that it waited.

    `services` has for each Resource what takes the arguments of a task and returns its result, or raises Refused.
    """
    names, waited = {"states": {"input": context["Execution"]["Input"], "context": context}}, 0
    assert machine.get("QueryLanguage") == "JSONata", "expressions would be taken for text"
    at = machine["StartAt"]
    for _ in range(STEPS):
        assert at in machine["States"], f"there is no state {at}"
        state = machine["States"][at]
        after, output = state, names["states"]["input"]
        match state["Type"]:
            case "Succeed":
                return ("Succeed", output), waited
            case "Fail":
                return ("Fail", fill(state["Error"], names)), waited
            case "Wait":
                waited += state["Seconds"]
            case "Choice":
                chosen = [it for it in state["Choices"] if fill(it["Condition"], names)]
                after = chosen[0] if chosen else state | {"Next": state.get("Default")}
            case "Task":
                outcome, seconds = attempt(state, services, names)
                waited += seconds
                if isinstance(outcome, Refused):
                    after = handler(state.get("Catch", []), outcome)
                    if not after:
                        return ("Fail", str(outcome)), waited
                    outcome = {"Error": str(outcome), "Cause": "user_2abc is at fault"}
                    names["states"]["errorOutput"] = output = outcome
                else:
                    names["states"]["result"] = output = outcome
        assigned, output = fill(after.get("Assign", {}), names), fill(after.get("Output", output), names)
        names = names | assigned | {"states": {"input": output, "context": context}}
        at = after["Next"]
    raise AssertionError(f"no end after {STEPS} states")


def attempt(state, services, names):
    """A task's result or final error, and the seconds between its attempts."""
    arguments = fill(state["Arguments"], names)
    assert state["Resource"] in services, f"{state['Resource']} is no service that it calls"
    waited, failed = 0, {}
    while True:
        try:
            return services[state["Resource"]](arguments), waited
        except Refused as refused:
            retry = handler(state.get("Retry", []), refused)
            done = failed.get(id(retry), 0)
            if not retry or done >= retry.get("MaxAttempts", 3):
                return refused, waited
            failed[id(retry)] = done + 1
            delay = retry.get("IntervalSeconds", 1) * retry.get("BackoffRate", 2) ** done
            waited += min(delay, retry.get("MaxDelaySeconds", delay))


def handler(handlers, refused):
    """The first of some retriers or catchers that is meant for an error."""
    meant = [it for it in handlers if {str(refused), "States.ALL"} & set(it["ErrorEquals"])]
    return meant[0] if meant else None


def fill(value, names):
    """A part of a state with its expressions evaluated."""
    match value:
        case dict():
            return {name: fill(it, names) for name, it in value.items()}
        case list():
            return [fill(it, names) for it in value]
        case str() if found := re.fullmatch(r"\{% (.+) %\}", value):
            return evaluate(found[1], names)
    return value


OPERATORS = {"=": operator.eq, ">=": operator.ge, "+": operator.add, "in": lambda one, many: one in many}


def evaluate(expression, names):
    """The little of JSONata that is used: one operand, or two around an operator."""
    match expression.split(maxsplit=2):
        case [one]:
            return operand(one, names)
        case [one, sign, other] if sign in OPERATORS:
            return OPERATORS[sign](operand(one, names), operand(other, names))
    raise NotImplementedError(f"this expression is not understood yet: {expression!r}")


def operand(text, names):
    """A literal, or what a path such as `$states.input.state` leads to; a key that is not there leads to nothing."""
    if not text.startswith("$"):
        return ast.literal_eval(text)
    name, *path = text[1:].split(".")
    assert name in names, f"${name} has no value"
    at = names[name]
    for step in path:
        at = at.get(step) if isinstance(at, dict) else None
    return at
