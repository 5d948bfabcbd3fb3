"""One stack for all tests, and the figures at the end."""

from collections import Counter

import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from sessions import World
from stack import LOGS, Stack

set_hypothesis_home_dir(LOGS / "hypothesis")
CALLS = pytest.StashKey[Counter]()


def pytest_configure(config):
    config.stash[CALLS] = Counter()


@pytest.fixture(scope="session")
def world():
    stack = Stack()
    try:
        yield World(stack)
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def count(pytestconfig):
    """Counts an answer, by the operation and the status."""
    calls = pytestconfig.stash[CALLS]

    def count(label, status):
        calls[label, status] += 1

    return count


def pytest_terminal_summary(terminalreporter, config):
    calls = config.stash[CALLS]
    operations = sorted({label for label, _ in calls})
    terminalreporter.section("answers")
    for operation in operations:
        of_it = sorted((status, times) for (label, status), times in calls.items() if label == operation)
        terminalreporter.write_line(f"{operation:<34}" + "  ".join(f"{status}: {times}" for status, times in of_it))
    terminalreporter.write_line(f"{calls.total()} requests")
