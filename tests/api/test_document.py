"""No request, in whatever session, gets a 5xx or an answer that docs/openapi.json does not have.

The requests are schemathesis's: the examples, the boundaries and the opposites of what the document says of parameters and
bodies, and random ones. They are the same in each run.
"""

import zlib
from contextlib import contextmanager

import pytest
import requests
import schemathesis
from conftest import CALLS
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import load_all_checks, not_a_server_error
from sessions import ACCEPTED, REFUSED
from stack import ORIGIN, ROOT

load_all_checks()
from schemathesis.specs.openapi import checks as conformance  # noqa: E402

DOCUMENT = ROOT / "docs" / "openapi.json"
CHECKS = [
    not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]


def document(examples, has_boundaries):
    """The document, with so many random requests for each operation and session."""
    config = schemathesis.Config.from_dict(
        {
            "seed": 1,
            # A busy machine is no failure.
            "suppress-health-check": ["all"],
            "generation": {
                "deterministic": True,
                "database": "none",
                "max-examples": examples,
                "with-security-parameters": False,
            },
            # What is sent does not depend on what came back, so that each run is the same.
            "phases": {
                "coverage": {"enabled": has_boundaries, "extra-data-sources": {"responses": False}},
                "fuzzing": {"extra-data-sources": {"responses": False}, "error-feedback": {"enabled": False}},
            },
        }
    )
    return schemathesis.openapi.from_path(DOCUMENT, config=config)


# Boundaries and opposites of parameters and bodies say little more in another session.
FULL = document(25, True)
BRIEF = document(4, False)
THOROUGH = ["member", "administrator", "cookie"]
EVENTS = [None, "session.created", "user.updated", "organization.created", "organizationMembership.deleted"]


@contextmanager
def lent(case):
    """The kinds of sessions share the examples: what one changes must not reach the next."""
    before = {name: getattr(case, name) for name in ("path_parameters", "query", "headers", "body")}
    for name in ("path_parameters", "query", "headers"):
        setattr(case, name, before[name] and before[name].copy())
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(case, name, value)


def known(world, case):
    """Puts what exists into the parameters of every second request: random ones hit nothing."""
    given = [sorted((part or {}).items()) for part in (case.path_parameters, case.query, case.headers)]
    chance = zlib.crc32(repr(given).encode())
    if chance % 2:
        return
    chance //= 2

    def one(*choices):
        return choices[chance % len(choices)]

    users = [world.bob, world.internal[world.grace], world.internal[world.ada], world.banned, world.deleted]
    path, query = case.operation.path, case.query or {}
    if path == "/users/{id}":
        case.path_parameters["id"] = one(*users)
    elif path == "/organizations/{id}/members":
        case.path_parameters["id"] = one(world.acme, world.acme, world.other)
    elif path == "/users":
        query["id"] = [*users[chance % 5 :], one("user_unknown", world.alone)]
    for name, values in (
        ("cursor", [world.cursor]),
        ("organization_id", [world.acme, world.acme, world.other]),
        ("permission", ["org:sys_memberships:read", "org:sys_domains:manage"]),
        ("redirect_url", [f"{ORIGIN}/a?b=c", "https://evil.example.com", f"{world.stack.api}/sync"]),
        ("role", ["org:admin", "admin", "user"]),
    ):
        if name in query:
            query[name] = one(*values)
    if "if-none-match" in (case.headers or {}):
        etag = world.etag(path)
        case.headers["if-none-match"] = one(etag, f"W/{etag}", "*")


def has_route(case):
    return case.method == case.operation.method.upper()


def connection(case):
    """A preflight is answered before its body is read; then the connection ends, and must not be used again."""
    return {} if has_route(case) else {"connection": "close"}


def hold(count, case, answer, checks):
    """Holds an answer against the document."""
    if not has_route(case):
        # No route: API Gateway answers, OPTIONS by its CORS configuration.
        count("other methods", answer.status_code)
        assert answer.status_code == (200 if case.method == "OPTIONS" else 404)
        return
    count(case.operation.label, answer.status_code)
    case.validate_response(answer, checks=checks)
    is_json = "json" in answer.headers.get("content-type", "")
    assert not (is_json and answer.json().keys() == {"message"}), "API Gateway itself answers"
    assert not answer.text or case.operation.path == "/webhooks/clerk" or answer.headers.get("cache-control")


def send(world, count, case, headers):
    """Sends a request in a session."""
    request = case.as_transport_kwargs(base_url=world.stack.api, headers=headers | connection(case))
    answer = world.stack.http.request(**request, allow_redirects=False, timeout=20)
    hold(count, case, answer, [*CHECKS, conformance.negative_data_rejection])
    return answer


def in_a_session(world, count, case, kind):
    with lent(case):
        if case.method == "DELETE" and case.operation.path == "/me":
            world = world.expendable()
        else:
            known(world, case)
        creates = case.method == "POST" or (case.method == "PUT" and "if-none-match" in (case.headers or {}))
        if creates and kind == "member":
            # Otherwise there is a record, and none can be created.
            world.stack.forget_record(world.internal[world.ada])
        send(world, count, case, world.headers(kind))


@pytest.mark.parametrize("kind", THOROUGH)
@FULL.exclude(path="/webhooks/clerk").parametrize()
def test_a_usual_session_gets_documented_answers(case, world, count, kind):
    in_a_session(world, count, case, kind)


@pytest.mark.parametrize("kind", sorted(ACCEPTED.keys() - THOROUGH))
@BRIEF.exclude(path="/webhooks/clerk").parametrize()
def test_a_strange_session_gets_documented_answers(case, world, count, kind):
    in_a_session(world, count, case, kind)


@pytest.mark.parametrize("kind", REFUSED)
@BRIEF.exclude(path="/webhooks/clerk").parametrize()
def test_a_refused_session_gets_its_problem(case, world, count, kind):
    (status, code), headers = REFUSED[kind][0], world.headers(kind)
    with lent(case):
        known(world, case)
        answer = send(world, count, case, headers)
    if answer.status_code in (400, 415) and (status != 401 or case.operation.path == "/sync"):
        # The request is read before the caller is looked up; on /sync before the session is verified.
        return
    assert answer.status_code == status, answer.text
    assert not code or answer.json()["code"] == code, answer.text


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("type", EVENTS)
@FULL.include(path="/webhooks/clerk").parametrize()
def test_an_event_gets_documented_answers(case, world, count, type, is_signed):
    with lent(case):
        if type and isinstance(case.body, dict):
            instance = world.stack.addresses["clerk_instance_id"]
            event = {"object": "event", "type": type, "instance_id": instance, "timestamp": 1_767_225_660_000}
            case.body = {**event, "data": case.body}
        request = case.as_transport_kwargs(base_url=world.stack.api, headers=connection(case))
        request = requests.Request(**request).prepare()
        if is_signed:
            body = request.body or b""
            request.headers.update(world.stack.signed(body.encode() if isinstance(body, str) else body))
        answer = world.stack.http.send(request, timeout=20)
        hold(count, case, answer, CHECKS)


def test_sequences_of_calls_get_documented_answers(world, count):
    """Values of one answer in the next request, as schemathesis finds them by their names."""

    class Caller(document(1, False).exclude(path="/webhooks/clerk").exclude(method="DELETE").as_state_machine()):
        def call(self, case, **_):
            return send(world, count, case, world.headers("member"))

        def validate_response(self, *_, **__):
            """Done in `send`."""

    run_state_machine_as_test(
        Caller,
        settings=settings(
            max_examples=20,
            stateful_step_count=6,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_documented_success_occurred(pytestconfig):
    """Otherwise the tests above prove less than they seem to."""
    seen = pytestconfig.stash[CALLS]
    called = {label for label, _ in seen}
    for operation in (result.ok() for result in FULL.get_all_operations()):
        successes = [int(status) for status in operation.definition.raw["responses"] if status < "400"]
        missing = [status for status in successes if not seen[operation.label, status]]
        assert operation.label not in called or not missing, f"{operation.label} was never {missing}"
