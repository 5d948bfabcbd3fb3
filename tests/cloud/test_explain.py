"""What an operator learns about one row and from the logs, of the deployed stack and with its name alone."""

import json

from operator_cli import rollcall, run
from waits import until


def test_a_row_is_explained_and_the_log_is_shown(stack):
    user = stack.clerk.create_user("Adele", "Goldstine")
    stack.clerk.delivered(user["id"], "user.created")

    status, explained = rollcall(stack, "explain", user["id"])
    found = {it["finding"]: it for it in explained["findings"]}
    assert "live" in found, explained
    assert explained["row"]["applied_by"] == "webhook"
    assert explained["fields"]["name"]["clerk"] == "Adele Goldstine"
    assert "log_missing" not in found, found["log_missing"]
    assert status in (0, 2)

    # The log of a function comes a moment after its answer.
    lines = until("the log tells of the event", lambda: told(stack, user["id"]))
    events = [it for it in lines if it["message"] == "event"]
    assert [it["outcome"] for it in events][0] == "applied"
    assert {it["function"] for it in events} == {"webhook"}
    assert "Goldstine" not in json.dumps(lines)


def told(stack, id):
    """The lines of the log about somebody."""
    shown = run(stack, "tail", "--once", "--json", "--since", "1h", "--id", id)
    return [json.loads(line) for line in shown.stdout.splitlines()]
