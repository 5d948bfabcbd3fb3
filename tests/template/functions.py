"""What is expected of each function, once: change this together with template.yaml, which is compared with it. It is
written by hand, so that a wrong template does not agree with itself. The lists of the checks are made from it, and the
mistakes that must be seen of every function.

What its role may do beside writing its log and its traces is in permissions.py, and alarms beyond those that every
function has in checks_alarms.py.
"""

from dataclasses import dataclass, field

# Single failures pass; what stays is met in three periods of an hour, however little happens.
STAYS = {"periods": 12, "DatapointsToAlarm": 3}


def limits(rate, burst):
    """Requests a second, and at once."""
    return {"ThrottlingRateLimit": rate, "ThrottlingBurstLimit": burst}


@dataclass(frozen=True)
class Function:
    """A function as it must be deployed."""

    # Its time limit. Svix gives up after 15 s, API Gateway after 30 s, and Lambda ends every function after 900 s.
    seconds: int
    # The metrics that it writes, beside Failures, which all do.
    counts: list
    # Its routes but for the webhook's, and the limits of each, so that a flood of one leaves the others usable. A stranger
    # can send more than some dozens a second, so no limit is below some hundreds.
    routes: dict = field(default_factory=dict)
    # When its failures are an alarm.
    failing: dict = field(default_factory=lambda: STAYS)
    # The metric of errors that it makes on purpose, which are taken off those that are an alarm.
    purposely: str | None = None


WEBHOOK, ENSURE, ACCOUNT, AUTHORIZER, REACT, RECONCILE = (
    f"{name}Function" for name in ("Webhook", "EnsureProfile", "Account", "Authorizer", "React", "Reconcile")
)

FUNCTIONS = {
    WEBHOOK: Function(
        seconds=10,
        counts=[
            "Events",
            "SyncLag",
            "BadSignatures",
            "Quarantined",
            "Refusals",
            "ClerkCalls",
            "UnknownRoles",
            "UnreadableRows",
        ],
    ),
    ENSURE: Function(
        seconds=10,
        counts=["Refusals", "NotSynced", "ClerkCalls", "UnknownRoles", "UnreadableRows"],
        routes={("POST", "/profiles/ensure"): limits(500, 1000), ("GET", "/sync"): limits(500, 1000)},
    ),
    ACCOUNT: Function(
        seconds=10,
        counts=["Refusals", "ClerkCalls", "UnknownRoles", "UnreadableRows"],
        routes={
            ("GET", "/me"): limits(500, 1000),
            ("DELETE", "/me"): limits(200, 400),
            ("GET", "/me/profile"): limits(500, 1000),
            ("POST", "/me/profile"): limits(200, 400),
            ("PUT", "/me/profile"): limits(200, 400),
            ("PATCH", "/me/profile"): limits(200, 400),
            ("GET", "/me/authorization"): limits(500, 1000),
            ("GET", "/organizations/{id}/members"): limits(200, 400),
            ("GET", "/users/{id}"): limits(500, 1000),
            ("GET", "/users"): limits(200, 400),
        },
    ),
    AUTHORIZER: Function(
        # HTTP APIs and AppSync wait no longer.
        seconds=10,
        counts=["Refusals", "UnauthorizedErrors", "UnreadableRows"],
        purposely="UnauthorizedErrors",
    ),
    REACT: Function(seconds=300, counts=["ClerkCalls", "UnreadableRows", "WritebackConflicts"]),
    RECONCILE: Function(
        seconds=900,
        counts=[
            "Drift",
            "DriftHealed",
            "DeletionsPendingApproval",
            "OutOfSync",
            "RunsFinished",
            "PurgesLeft",
            "ClerkCalls",
            "UnknownRoles",
            "UnreadableRows",
            "WritebackConflicts",
        ],
        # A run is one of a few in a day.
        failing={},
    ),
}
ALL = list(FUNCTIONS)


def short(function):
    """What the names of everything that belongs to a function begin with."""
    return function.removesuffix("Function")


def another(function):
    """Another function than this one."""
    return next(it for it in ALL if it != function)
