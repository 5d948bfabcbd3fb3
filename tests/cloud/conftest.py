"""What the scenarios share: one local AWS, and for each theme a stack with a Clerk of its own."""

import pytest

from aws import Aws
from clerk import Clerk
from stack import Stack, package


@pytest.fixture(scope="session")
def aws():
    """The local AWS."""
    aws = Aws()
    yield aws
    aws.stop()


@pytest.fixture(scope="session")
def template_url(aws):
    """The packaged template."""
    return package(aws)


@pytest.fixture(scope="session")
def deploy(aws, template_url):
    """Deploys a stack, whose Clerk delivers to it."""
    clerks = []

    def deploy(name, webhooks=True, **parameters):
        clerk = Clerk(name)
        clerks.append(clerk)
        stack = Stack(aws, name, template_url, clerk, parameters)
        if webhooks:
            clerk.deliver_to(stack.webhook_url)
        return stack

    yield deploy
    for clerk in clerks:
        clerk.stop()


@pytest.fixture(scope="session")
def stack(deploy):
    """The stack of most scenarios: the template's defaults."""
    return deploy("rollcall")
