"""ensure-profile with sessions that Clerk has issued."""


def test_a_caller_gets_what_is_missing_and_then_finds_it(stack):
    """No event has come yet when somebody who has just signed up calls."""
    clerk = stack.clerk
    clerk.faults(webhooks={"drop": 1})
    user = clerk.create_user("Radia", "Perlman")
    organization = clerk.create_organization("Bridges", user["id"])
    clerk.faults()
    assert stack.user(user["id"]) is None

    token = clerk.session_token(user["id"], organization["id"])
    first = stack.post("/profiles/ensure", token)
    assert first.status_code == 201, first.text
    answer = first.json()
    assert set(answer["created"]) == {"user", "profile", "organization", "membership", "membership_profile"}
    assert answer["user"]["name"] == "Radia Perlman"
    assert answer["organization"]["name"] == "Bridges"

    row = stack.user(user["id"])
    assert (row["id"], row["applied_by"]) == (answer["user"]["id"], "ensure")
    assert stack.row("ProfilesTable", row["pk"], "PROFILE")["user_id"] == row["id"]

    second = stack.post("/profiles/ensure", token)
    assert second.status_code == 200, second.text
    assert second.json()["created"] == []


def test_no_session_no_answer(stack):
    refused = stack.post("/profiles/ensure", "not-a-token")
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_browser_is_sent_back_to_an_allowed_site_only(stack):
    clerk = stack.clerk
    user = clerk.create_user("Sophie", "Wilson")
    cookie = {"cookie": f"__session={clerk.session_token(user['id'])}"}
    back = stack.get("/sync", params={"redirect_url": f"{clerk.front_end}/home"}, headers=cookie)
    assert (back.status_code, back.headers["location"]) == (303, f"{clerk.front_end}/home")
    refused = stack.get("/sync", params={"redirect_url": "https://elsewhere.example"}, headers=cookie)
    assert refused.status_code == 400


def test_b13_an_event_costs_one_request_and_so_does_a_caller_who_lacks_nothing(counted):
    """The figures of B13 are times, which `make bench` measures; what makes them is counted here, by CloudTrail."""
    clerk = counted.clerk
    before = counted.store_requests()
    user = clerk.create_user("Hedy", "Lamarr")
    clerk.delivered(user["id"], "user.created")
    assert counted.store_requests() == [*before, "PutItem"]

    # The same message again, as Svix may send it.
    (message,) = clerk.deliveries(user["id"])
    clerk.replay(message["svix_id"])
    assert counted.store_requests() == [*before, *["PutItem"] * 2]

    token = clerk.session_token(user["id"])
    assert counted.post("/profiles/ensure", token).status_code == 201
    before = counted.store_requests()
    asked = clerk.requests()
    assert counted.post("/profiles/ensure", token).status_code == 200
    assert counted.store_requests() == [*before, "BatchGetItem"]
    assert clerk.requests() == asked
