"""The account routes, with sessions that Clerk has issued."""

import pytest

from presets import parameters
from waits import until


def test_a_page_reads_the_caller_and_is_told_when_nothing_has_changed(stack):
    clerk = stack.clerk
    user, _, token = member(stack, "Milly", "Koss")
    first = stack.send("GET", "/me", token)
    assert first.status_code == 200, first.text
    assert first.json()["user"]["name"] == "Milly Koss"
    (one,) = first.json()["organizations"]
    assert one["organization"]["organization_id"] == first.json()["active_organization_id"]
    assert (first.headers["cache-control"], first.headers["vary"]) == ("private, no-cache", "authorization, cookie, origin")

    known = {"If-None-Match": first.headers["etag"]}
    again = stack.send("GET", "/me", token, headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    clerk.update_user(user["id"], last_name="Koss-Lord")
    until("the change has come", lambda: stack.send("GET", "/me", token, headers=known).status_code == 200)


def test_an_owner_writes_the_own_record_and_nobody_overwrites_what_was_not_read(leaving):
    user, organization, token = member(leaving, "Karen", "Jones")
    record = until("the record is there", lambda: read(leaving, token))
    assert record.json()["level"] == 1
    tagged = {"If-Match": record.headers["etag"]}
    written = leaving.send("PUT", "/me/profile", token, json={"bio": "I rank words."}, headers=tagged)
    assert written.status_code == 200, written.text
    assert (written.json()["bio"], written.json()["level"]) == ("I rank words.", 1)
    assert written.headers["etag"] != record.headers["etag"] == tagged["If-Match"]
    assert read(leaving, token).headers["etag"] == written.headers["etag"]
    late = leaving.send("PUT", "/me/profile", token, json={"bio": "Lost."}, headers=tagged)
    assert (late.status_code, late.headers["etag"]) == (412, written.headers["etag"])
    stored = leaving.row("ProfilesTable", leaving.user(user["id"])["pk"], "PROFILE")
    assert (stored["bio"], stored["profile_version"]) == ("I rank words.", 1)

    # A merge patch is no text to API Gateway, which hands it over in base64.
    merge = {"Content-Type": "application/merge-patch+json"}
    patched = leaving.send("PATCH", "/me/profile", token, data='{"bio":null}', headers=merge)
    assert patched.status_code == 200 and "bio" not in patched.json(), patched.text
    refused = leaving.send("PATCH", "/me/profile", token, data='{"level":99}', headers=merge)
    assert (refused.status_code, refused.json()["code"]) == (422, "field_not_writable")

    # That of the membership, which react creates, too.
    of_member = until("that of the member, too", lambda: read(leaving, token, organization))
    assert of_member.json()["organization_id"] == organization


def test_members_are_shown_to_members_alone(stack):
    clerk = stack.clerk
    user, organization, token = member(stack, "Joan", "Clarke")
    stranger = clerk.create_user("Eve", "Moneypenny")
    clerk.delivered(stranger["id"])
    page = stack.send("GET", f"/organizations/{organization}/members", token)
    assert page.status_code == 200, page.text
    (one,) = page.json()["members"]
    assert (one["user"]["clerk_user_id"], one["user"]["email"]) == (user["id"], "joan.clarke@example.com")
    assert (one["role"], page.json()["next_cursor"]) == ("org:admin", None)
    of_stranger = clerk.session_token(stranger["id"])
    refused = stack.send("GET", f"/organizations/{organization}/members", of_stranger)
    assert (refused.status_code, refused.json()["code"]) == (404, "organization_not_found")
    assert stack.send("GET", f"/users/{user['id']}", of_stranger).status_code == 404

    may = stack.send("GET", f"/me/authorization?role=org:admin&organization_id={organization}", token)
    assert (may.json()["authorized"], may.json()["because"]) == (True, "allowed")


def test_e8_a_user_deletes_the_account_and_every_row_goes(leaving):
    """Of a fresh sign-in only. Clerk's event does the rest, here at once."""
    clerk = leaving.clerk
    user, _, _ = member(leaving, "Kateryna", "Yushchenko")
    until("the record is there", lambda: read(leaving, clerk.session_token(user["id"])))
    row = leaving.user(user["id"])
    old = clerk.token(user["id"], fva=[10, -1])
    refused = leaving.send("DELETE", "/me", old)
    assert (refused.status_code, refused.json()["clerk_error"]["reason"]) == (403, "reverification-error")
    assert clerk.user(user["id"])["id"] == user["id"]

    fresh = clerk.token(user["id"], fva=[0, -1])
    accepted = leaving.send("DELETE", "/me", fresh)
    assert (accepted.status_code, accepted.json()) == (202, {"outcome": "accepted"}), accepted.text
    until("the tombstone is there", lambda: leaving.ended_row("DirectoryTable", row["pk"], "USER"))
    gone = leaving.send("GET", "/me", fresh)
    assert (gone.status_code, gone.json()["code"]) == (410, "user_deleted")
    until("the record is gone", lambda: leaving.row("ProfilesTable", row["pk"], "PROFILE") is None)
    done = until("the purge is done", lambda: complete(leaving, row))
    assert "email" not in done and "clerk_user_id" not in done


def member(stack, first_name, last_name):
    """Somebody who administers an organization, once both have come; with a token that is active in it."""
    clerk = stack.clerk
    user = clerk.create_user(first_name, last_name)
    organization = clerk.create_organization(f"{first_name}'s", user["id"])["id"]
    token = clerk.session_token(user["id"], organization)

    def has_come():
        me = stack.send("GET", "/me", token)
        return me.status_code == 200 and me.json()["active_organization_id"] == organization

    until(f"{first_name} is stored", has_come)
    return user, organization, token


def read(stack, token, organization=None):
    """The own record, or none while it is not there."""
    query = f"?organization_id={organization}" if organization else ""
    answer = stack.send("GET", f"/me/profile{query}", token)
    return answer if answer.status_code == 200 else None


def complete(stack, row):
    """The tombstone once nothing is left to do about it."""
    tombstone = stack.row("DirectoryTable", row["pk"], row["sk"])
    return tombstone if "consequences_at" in tombstone else None


@pytest.fixture(scope="module")
def leaving(deploy):
    """Where users may delete their accounts, which has effects at once, and write a field of their record."""
    preset = parameters("progress-and-purge")
    return deploy("leaving", **preset | {"PurgeAfterHours": 0, "OwnedTables": "[]", "ProfileWritable": '["bio"]'})
