"""reconcile through Step Functions and the schedule. Waits between calls take a hundredth of their time here."""

import json

import pytest

from operator_cli import rollcall
from waits import until


def test_an_execution_started_by_hand_heals_what_was_lost(stack):
    clerk = stack.clerk
    clerk.faults(webhooks={"drop": 1})
    user = clerk.create_user("Edith", "Clarke")
    assert stack.user(user["id"]) is None

    ended = stack.reconcile()
    assert (ended["status"], json.loads(ended["output"])["state"]) == ("SUCCEEDED", "done")
    assert stack.user(user["id"])["applied_by"] == "reconcile"
    clerk.faults()


def test_an_execution_ordered_to_settle_settles(stack):
    ended = stack.reconcile({"order": "purge_due"})
    answer = json.loads(ended["output"])
    assert (ended["status"], answer["state"]) == ("SUCCEEDED", "done")
    assert answer["purges"]["failed"] == 0 and "run" not in answer


def test_a_run_that_stops_before_its_end_is_gone_on_with(looping):
    """The function has so little time, and Clerk is so slow, that a run takes several invocations."""
    clerk = looping.clerk
    clerk.faults(webhooks={"drop": 1})
    user = clerk.create_user("Mary", "Keller")
    clerk.faults(webhooks={"drop": 1}, api={"slow_ms": 400})
    ended = looping.reconcile()

    assert (ended["status"], json.loads(ended["output"])["state"]) == ("SUCCEEDED", "done")
    *stopped, last = answers(looping, ended["executionArn"])
    assert stopped and {it["state"] for it in stopped} == {"continue"}
    # One run throughout, which the checkpoint carries from one invocation to the next.
    assert {it["run"]["run"] for it in stopped} == {last["run"]["run"]}
    assert looping.user(user["id"])["applied_by"] == "reconcile"
    clerk.faults()


def test_a_run_that_fails_to_the_last_reaches_the_queue(looping):
    looping.clerk.faults(api={"unauthorized": 1})
    ended = looping.reconcile()
    looping.clerk.faults()
    assert ended["status"] == "FAILED"
    told = until("the failure is told", lambda: looping.messages("ReconcileFailures"))
    assert [it["execution"] for it in told] == [ended["executionArn"]]
    assert "the last execution of the state machine failed" in executions(looping)["problem"]
    assert looping.reconcile()["status"] == "SUCCEEDED"
    assert "the last one succeeded" in executions(looping)["warning"]


def executions(stack):
    """What doctor says of the executions: the message by the result."""
    _, report = rollcall(stack, "doctor")
    return {it["result"]: it["message"] for it in report["findings"] if it["check"] == "executions"}


def test_the_schedule_starts_it(scheduled):
    stack, user = scheduled
    row = until("the schedule has started reconcile", lambda: stack.user(user["id"]), 90)
    assert (row["name"], row["applied_by"]) == ("Mary Jackson", "reconcile")


def answers(stack, execution):
    """What the function has answered in an execution, call by call."""
    pages = stack.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
    exits = [it.get("stateExitedEventDetails", {}) for page in pages for it in page["events"]]
    return [json.loads(it["output"]) for it in exits if it.get("name") == "Reconcile"]


@pytest.fixture(scope="module")
def looping(deploy):
    """A stack whose reconcile has a second for each invocation: it begins nothing in the last minute of its time."""
    stack = deploy("looping")
    stack.client("lambda").update_function_configuration(FunctionName=stack.resources["ReconcileFunction"], Timeout=61)
    return stack
