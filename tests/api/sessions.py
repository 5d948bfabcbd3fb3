"""Kinds of sessions: what a request of each carries, and how it is refused if it is."""

import copy

from stack import ORIGIN, until

GARBAGE = "eyJhbGciOiJSUzI1NiJ9.e30.AA"


def bearer(token):
    return {"authorization": f"Bearer {token}"}


class World:
    """Two organizations, and users of every kind."""

    def __init__(self, stack):
        self.stack = stack
        self.ada = stack.user("Ada", public_metadata={"plan": "pro", "tags": ["a", "ä", ""]})
        self.bob = stack.user("Bob", username="bob")
        self.grace = stack.user("Grace", public_metadata={"role": "admin"})
        self.alone = stack.user("Alone")
        self.banned = stack.user("Banned")
        self.deleted = stack.user("Deleted")
        self.acme = stack.organization("Acme", self.ada)
        self.other = stack.organization("Other", self.grace)
        stack.join(self.acme, self.bob)
        stack.join(self.acme, self.grace)
        users = (self.ada, self.bob, self.grace, self.alone, self.banned, self.deleted)
        self.internal = {user: stack.arrived(user)["id"] for user in users}
        stack.clerk("POST", f"/users/{self.banned}/ban")
        stack.clerk("DELETE", f"/users/{self.deleted}")
        self.until("/me", self.banned, 403)
        self.until("/me", self.deleted, 410)
        for user in (self.ada, self.bob, self.grace):
            self.until(f"/me/profile?organization_id={self.acme}", user, 200)
        self.until(f"/me/profile?organization_id={self.other}", self.grace, 200)
        self.throwaways = []
        page = stack.get(f"/organizations/{self.acme}/members?limit=1", stack.token(self.ada)).json()
        self.cursor = page["next_cursor"]

    def until(self, path, user, status):
        """Waits until the copy has arrived, and what react makes of it."""
        token = self.stack.token(user)
        until(f"{path} of {user} is {status}", lambda: self.stack.get(path, token).status_code == status)

    def etag(self, path):
        """The entity tag of what Ada sees now."""
        return self.stack.get(path, self.stack.token(self.ada)).headers.get("etag", '"none"')

    def expendable(self):
        """The same world, in which everybody who signs in may be deleted."""
        other = copy.copy(self)
        self.throwaways.append(self.stack.user(f"Throwaway{len(self.throwaways)}"))
        other.ada = other.grace = other.alone = self.throwaways[-1]
        self.stack.arrived(other.ada)
        return other

    def headers(self, kind):
        """The headers of a request in a session of this kind."""
        return ACCEPTED[kind](self) if kind in ACCEPTED else REFUSED[kind][1](self)


def of_ada(**request):
    return lambda world: bearer(world.stack.token(world.ada, organization_id=world.acme, **request))


def of(name, **request):
    return lambda world: bearer(world.stack.token(getattr(world, name), **request))


def cookie(**headers):
    return lambda world: {"cookie": f"__session={world.stack.token(world.ada)}", **headers}


# Sessions that pass.
ACCEPTED = {
    "member": of_ada(),
    "version-1": of_ada(version=1),
    "stale": of_ada(claims={"fva": [10, -1]}),
    "never-verified": of_ada(claims={"fva": [-1, -1]}),
    "impersonated": of_ada(claims={"act": {"sub": "user_2impersonator"}}),
    "administrator": of("grace"),
    "alone": of("alone"),
    "outsider": lambda world: bearer(world.stack.token(world.ada, organization_id=world.other)),
    "strange-claims": of_ada(claims={"metadata": {"role": ["x"], "dbId": 7}, "fva": [2**40]}),
    "cookie": cookie(origin=ORIGIN),
    "browser": cookie(origin=ORIGIN, accept="text/html,*/*;q=0.8"),
}

# Sessions that do not: the status and the code, and what the request carries.
REFUSED = {
    "none": ((401, "session_missing"), lambda world: {}),
    "browser-without": ((401, None), lambda world: {"accept": "text/html,*/*;q=0.8"}),
    "other-scheme": ((401, "session_missing"), lambda world: {"authorization": "Basic YTpi"}),
    "garbage": ((401, "token_malformed"), lambda world: bearer("garbage")),
    "empty-claims": ((401, None), lambda world: bearer(GARBAGE)),
    "expired": ((401, "token_expired"), of_ada(expires_in=-60)),
    "not-yet": ((401, "token_not_yet_valid"), of_ada(claims={"nbf": 4_000_000_000})),
    "other-origin": ((401, "token_origin"), of_ada(claims={"azp": "https://evil.example.com"})),
    "other-issuer": ((401, "token_issuer"), of_ada(claims={"iss": "https://evil.example.com"})),
    "other-key": ((401, "token_signature"), of_ada(key="foreign")),
    "tampered": ((401, "token_signature"), of_ada(tamper="payload")),
    "unsigned": ((401, "token_algorithm"), of_ada(alg="none")),
    "public-key": ((401, "token_algorithm"), of_ada(alg="HS256-with-public-key")),
    "pending": ((401, "session_pending"), of_ada(claims={"sts": "pending"})),
    "not-of-a-user": ((401, None), of_ada(claims={"sub": "mch_1"})),
    "banned": ((403, "user_banned"), of("banned")),
    "deleted": ((410, "user_deleted"), of("deleted")),
}
