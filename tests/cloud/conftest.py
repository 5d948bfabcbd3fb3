"""What the scenarios share: one local AWS, and for each theme a stack with a Clerk of its own."""

import signal

import pytest

from aws import Aws
from clerk import Clerk
from deployment import package
from monitored import Monitored, topic
from stack import Stack, without_react
from waiting import SCENES, given_up, late, rotated, scheduled  # noqa: F401 (pytest finds fixtures by their names here)


def pytest_configure():
    """Whoever ends the tests ends what they have started, too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """What needs a minute of waiting is begun first, below, and looked at last."""
    items.sort(key=lambda item: not SCENES.isdisjoint(item.fixturenames))


@pytest.fixture(scope="session", autouse=True)
def begun(request):
    """Begins the scenes that some test asks for."""
    wanted = {name for item in request.session.items for name in item.fixturenames}
    for scene in sorted(SCENES & wanted):
        request.getfixturevalue(scene)


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
def clerk():
    """Starts a Clerk."""
    clerks = []

    def start(name, *arguments):
        clerks.append(Clerk(name, *arguments))
        return clerks[-1]

    yield start
    for one in clerks:
        one.stop()


@pytest.fixture(scope="session")
def deploy(aws, template_url, clerk):
    """Deploys a stack, whose Clerk delivers to it."""

    def deploy(name, arguments=(), stand_in=None, **parameters):
        stack = Stack(aws, name, template_url, clerk(name, *arguments), parameters, stand_in)
        stack.clerk.deliver_to(stack.webhook_url)
        return stack

    return deploy


@pytest.fixture(scope="session")
def watch(deploy, aws):
    """Deploys a stack whose alarms tell somebody."""

    def watch(name, **parameters):
        arn, queue = topic(aws, name)
        return Monitored(deploy(name, AlarmTopicArn=arn, **parameters), queue)

    return watch


@pytest.fixture(scope="session")
def stack(deploy):
    """The stack of most scenarios: the template's defaults."""
    return deploy("rollcall")


@pytest.fixture(scope="session")
def counted(deploy):
    """A stack without react: what else its functions ask for can be counted."""
    return without_react(deploy("counted"))
