//! What the document says about each route, beyond the types and the problems.

use account::problems as account;
use rollcall::core::problem::Problem;
use serde_json::{Value, json};

use super::Route;
use super::problems::{of_admission, of_session};

fn session() -> Value {
    json!([{ "bearer": [] }, { "cookie": [] }])
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn shown(description: &str, schema: &Value, example: &Value) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema, "example": example } } })
}

/// The same with an entity tag.
fn tagged(description: &str, schema: &Value, example: &Value) -> Value {
    let mut response = shown(description, schema, example);
    response["headers"] = json!({ "etag": {
        "description": "The strong entity tag of this representation", "schema": { "type": "string" } } });
    response
}

fn not_modified() -> Value {
    json!({ "description": "The representation has one of the tags in If-None-Match", "headers": { "etag": {
        "description": "The entity tag of the representation", "schema": { "type": "string" } } } })
}

fn query(name: &str, description: &str, example: &str) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": description, "schema": { "type": "string" },
        "example": example })
}

fn header(name: &str, description: &str, example: &str) -> Value {
    json!({ "name": name, "in": "header", "required": false, "description": description, "schema": { "type": "string" },
        "example": example })
}

/// An entity tag as the functions return it.
const TAG: &str = "\"kX0d5yPz9XqjZ1rV\"";

fn if_none_match_to_read() -> Value {
    header("if-none-match", "Entity tags that the client has: 304 if one of them is current", TAG)
}

fn required(mut parameter: Value) -> Value {
    parameter["required"] = true.into();
    parameter
}

fn path(description: &str, example: &str) -> Value {
    json!({ "name": "id", "in": "path", "required": true, "description": description, "schema": { "type": "string" },
        "example": example })
}

fn organization() -> Value {
    query(
        "organization_id",
        "The record of the caller's membership of this organization instead of the user's record",
        "org_2nUcuGVlS1HMqAgkWtYhrvyo3vG",
    )
}

fn record(media_type: &str, description: &str, example: &Value) -> Value {
    json!({ "required": media_type != "application/json-or-nothing", "description": description,
        "content": { media_type.trim_end_matches("-or-nothing"): { "schema": { "type": "object" }, "example": example } } })
}

/// Problems that every route of the account function may answer.
fn of_account(is_unsafe: bool, further: &[Problem]) -> Vec<Problem> {
    let common = [
        account::NOT_FOUND,
        account::UNAVAILABLE,
        account::BROKEN,
        account::CLERK_UNAVAILABLE,
        account::PARAMETER_UNKNOWN,
    ];
    let admission = of_admission().into_iter();
    let admission =
        admission.map(|problem| if problem.code == account::NOT_SYNCED.code { account::NOT_SYNCED } else { problem });
    of_session(is_unsafe).into_iter().chain(admission).chain(common).chain(further.iter().copied()).collect()
}

const OF_A_CHANGE: [Problem; 16] = [
    account::ORGANIZATION_NOT_SYNCED,
    account::PARAMETER_REPEATED,
    account::ORGANIZATION_INVALID,
    account::NO_ORGANIZATION,
    account::PRECONDITION_MALFORMED,
    account::BODY_INVALID,
    account::BODY_TOO_LARGE,
    account::PROFILE_CONFLICT,
    account::NOT_WRITABLE,
    account::NOT_JSON,
    account::TOO_DEEP,
    account::NUMBER_NOT_STORABLE,
    account::NAME_INVALID,
    account::TOO_MANY_FIELDS,
    account::PROFILE_TOO_LARGE,
    account::PROFILE_MISSING,
];

fn changes(further: &[Problem]) -> Vec<Problem> {
    let all: Vec<Problem> = OF_A_CHANGE.into_iter().chain(further.iter().copied()).collect();
    of_account(true, &all)
}

pub(super) fn all() -> Vec<Route> {
    let mut routes = vec![webhook(), ensure(), sync(), me(), delete_me()];
    routes.extend(profile());
    routes.extend([authorization(), members(), user(), users()]);
    routes
}

fn webhook() -> Route {
    Route {
        key: "POST /webhooks/clerk",
        summary: "Receive an event of Clerk",
        description: "Called by Svix. A deployment with the parameter WebhookPath has this route at /webhooks/clerk/{WebhookPath} \
            instead.",
        parameters: vec![
            required(header("svix-id", "The id of the message", "msg_2nUcuHxWnKZ1mVn3pQJbDyv0aXc")),
            required(header("svix-timestamp", "Unix seconds", "1767225660")),
        ],
        body: Some(json!({ "required": true, "content": { "application/json": { "schema": { "type": "object" } } } })),
        responses: vec![(
            200,
            shown(
                "The event is processed",
                &json!({ "type": "object", "required": ["outcome"],
            "additionalProperties": false, "properties": { "outcome": { "enum": ["applied", "duplicate", "superseded", "ignored"] } } }),
                &json!({ "outcome": "applied" }),
            ),
        )],
        problems: webhook::answers::PROBLEMS.to_vec(),
        security: json!([{ "svix": [] }]),
    }
}

fn ensure() -> Route {
    let problems =
        of_session(true).into_iter().chain(of_admission()).chain(ensure_profile::answers::PROBLEMS.iter().copied());
    let example = json!({
        "user": { "id": "1c1157ac-33d3-5114-bbd8-09b23e2ca922", "clerk_user_id": "user_1", "name": "Ada Example", "role": "user" },
        "profile": { "user_id": "1c1157ac-33d3-5114-bbd8-09b23e2ca922", "created_at": 1_767_225_660_000_u64 },
        "organization": null, "membership": null, "membership_profile": null, "created": ["user", "profile"],
        "needs_sync": true, "actor": null,
    });
    let schema = schema("Ensured");
    Route {
        key: "POST /profiles/ensure",
        summary: "Create what the caller lacks, and return it",
        description: "May be called on every request: nothing is written if nothing is missing. A body is ignored.",
        parameters: vec![],
        body: None,
        responses: vec![
            (200, shown("Nothing was missing", &schema, &example)),
            (201, shown("Missing rows or records were created", &schema, &example)),
        ],
        problems: problems
            .filter(|problem| !["redirect_not_allowed", "sync_loop", "email_missing"].contains(&problem.code))
            .collect(),
        security: session(),
    }
}

fn sync() -> Route {
    let problems: Vec<Problem> = of_session(false)
        .into_iter()
        .chain(of_admission())
        .chain(ensure_profile::answers::PROBLEMS.iter().copied())
        .collect();
    let mut responses = vec![(
        303,
        json!({ "description": "Back to redirect_url, or to SIGN_IN_URL without a session",
        "headers": { "location": { "description": "The target", "schema": { "type": "string" } } } }),
    )];
    let page = json!({ "text/html": { "schema": { "type": "string" } } });
    let mut statuses: Vec<u16> = problems.iter().map(|problem| problem.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    responses.extend(statuses.into_iter().map(|status| {
        let description = "A problem: a page for a browser, else JSON. 403 without a body answers a prefetch";
        (status, json!({ "description": description, "content": page }))
    }));
    Route {
        key: "GET /sync",
        summary: "Update a browser's session, and redirect back",
        description: "Fetches the caller from Clerk, applies the state, and redirects to `redirect_url`.",
        parameters: vec![query(
            "redirect_url",
            "Where to go afterwards: a URL with an origin in ALLOWED_ORIGINS",
            "http://localhost:5173/courses",
        )],
        body: None,
        responses,
        problems,
        security: json!([{ "cookie": [] }, { "bearer": [] }]),
    }
}

fn me() -> Route {
    let user = json!({ "id": "1c1157ac-33d3-5114-bbd8-09b23e2ca922", "clerk_user_id": "user_1", "name": "Ada Example",
        "email": "ada@example.com", "role": "user" });
    let example = json!({ "user": user, "organizations": [{
            "organization": { "organization_id": "org_1", "name": "Acme" },
            "membership": { "organization_id": "org_1", "clerk_user_id": "user_1", "role": "org:admin" } }],
        "active_organization_id": "org_1", "needs_sync": false, "actor": null });
    Route {
        key: "GET /me",
        summary: "Read the caller and the caller's organizations",
        description: "With MIRROR=off from Clerk, and only with the active organization.",
        parameters: vec![if_none_match_to_read()],
        body: None,
        responses: vec![(200, tagged("The caller", &schema("Me"), &example)), (304, not_modified())],
        problems: of_account(false, &[account::PRECONDITION_MALFORMED]),
        security: session(),
    }
}

fn delete_me() -> Route {
    let problems = [
        account::DELETION_OFF,
        account::BEARER_REQUIRED,
        account::IMPERSONATED,
        account::REVERIFICATION,
        account::CLERK_UNAVAILABLE,
    ];
    Route {
        key: "DELETE /me",
        summary: "Delete the caller's account",
        description: "Deletes the user in Clerk. The deletion's event does the rest. Needs ACCOUNT_DELETION=on, a bearer token, \
            and a first factor that was verified less than ten minutes ago.",
        parameters: vec![],
        body: None,
        responses: vec![(
            202,
            shown("Clerk has deleted the user", &schema("Outcome"), &json!({ "outcome": "accepted" })),
        )],
        problems: of_account(true, &problems),
        security: json!([{ "bearer": [] }]),
    }
}

fn profile() -> [Route; 4] {
    let example = json!({ "user_id": "1c1157ac-33d3-5114-bbd8-09b23e2ca922", "created_at": 1_767_225_660_000_u64, "bio": "Hello" });
    let record_schema = schema("Record");
    let answer = |description: &str| tagged(description, &record_schema, &example);
    let if_match =
        || header("if-match", "The entity tag of the record that the client has read, or `*`: a record", "*");
    let if_none_match = || header("if-none-match", "`*`: create the record as POST does, and change none", "*");
    [
        Route {
            key: "GET /me/profile",
            summary: "Read the caller's record",
            description: "The application's record of the user, or of the membership of an organization.",
            parameters: vec![organization(), if_none_match_to_read()],
            body: None,
            responses: vec![(200, answer("The record")), (304, not_modified())],
            problems: of_account(
                false,
                &[
                    account::PARAMETER_REPEATED,
                    account::ORGANIZATION_INVALID,
                    account::NO_ORGANIZATION,
                    account::PROFILE_MISSING,
                    account::PRECONDITION_MALFORMED,
                ],
            ),
            security: session(),
        },
        Route {
            key: "POST /me/profile",
            summary: "Create the caller's record",
            description: "With the default attributes, and the fields of the body that PROFILE_WRITABLE allows.",
            parameters: vec![organization()],
            body: Some(record("application/json-or-nothing", "Fields of the new record", &json!({ "bio": "Hello" }))),
            responses: vec![(201, answer("The record was created"))],
            problems: changes(&[account::JSON_EXPECTED, account::PROFILE_EXISTS, account::PRECONDITION_FAILED]),
            security: session(),
        },
        Route {
            key: "PUT /me/profile",
            summary: "Replace the writable fields of the caller's record",
            description: "Fields that PROFILE_WRITABLE does not name stay as they are; sent back unchanged they are accepted.",
            parameters: vec![organization(), if_match(), if_none_match()],
            body: Some(record("application/json", "All writable fields", &json!({ "bio": "Hello" }))),
            responses: vec![(200, answer("The record after the change")), (201, answer("The record was created"))],
            problems: changes(&[account::JSON_EXPECTED, account::PRECONDITION_FAILED, account::PRECONDITION_REQUIRED]),
            security: session(),
        },
        Route {
            key: "PATCH /me/profile",
            summary: "Change fields of the caller's record",
            description: "A merge patch (RFC 7396): null removes a field, objects are merged, other values are replaced.",
            parameters: vec![organization(), if_match()],
            body: Some(record("application/merge-patch+json", "The merge patch", &json!({ "bio": null }))),
            responses: vec![(200, answer("The record after the change"))],
            problems: changes(&[
                account::MERGE_PATCH_EXPECTED,
                account::PRECONDITION_FAILED,
                account::PRECONDITION_REQUIRED,
            ]),
            security: session(),
        },
    ]
}

fn authorization() -> Route {
    Route {
        key: "GET /me/authorization",
        summary: "Ask whether the caller has a role or a permission",
        description: "The copy must allow, and no claim of the session may say less. At least one of `role` and `permission` is needed.",
        parameters: vec![
            query(
                "role",
                "With `organization_id`, a role in that organization, such as `org:admin` or in short `admin`. Without it, a \
                    role in the application, also if `permission` is sent, too",
                "admin",
            ),
            query("permission", "A permission in the organization, such as `org:teams:read`", "org:teams:read"),
            query(
                "organization_id",
                "The organization. Without it, the permission is that in the session's active organization",
                "org_2nUcuGVlS1HMqAgkWtYhrvyo3vG",
            ),
        ],
        body: None,
        responses: vec![(
            200,
            shown(
                "The answer",
                &schema("Authorization"),
                &json!({ "authorized": true, "because": "allowed", "claims_age": 12 }),
            ),
        )],
        problems: of_account(
            false,
            &[
                account::QUESTION_MISSING,
                account::QUESTION_INVALID,
                account::PARAMETER_REPEATED,
                account::ORGANIZATION_INVALID,
            ],
        ),
        security: session(),
    }
}

fn members() -> Route {
    let user = json!({ "id": "1c1157ac-33d3-5114-bbd8-09b23e2ca922", "clerk_user_id": "user_1", "name": "Ada Example",
        "email": "ada@example.com" });
    Route {
        key: "GET /organizations/{id}/members",
        summary: "List the members of an organization",
        description: "For members of the organization. Ordered by internal id.",
        parameters: vec![
            path("The id of the organization", "org_2nUcuGVlS1HMqAgkWtYhrvyo3vG"),
            query("role", "Only members with this role, such as `org:admin` or in short `admin`", "org:admin"),
            json!({ "name": "limit", "in": "query", "required": false, "description": "Members of a page", "schema":
                { "type": "integer", "minimum": 1, "maximum": 48, "default": 20 }, "example": 20 }),
            query("cursor", "`next_cursor` of the page before", "AQlBc3scEVeszRMVEFi7D2sj4syp"),
        ],
        body: None,
        responses: vec![(
            200,
            shown(
                "A page",
                &schema("MemberPage"),
                &json!({
            "members": [{ "user": user, "role": "org:admin", "since": 1_767_225_660_000_u64 }], "next_cursor": null }),
            ),
        )],
        problems: of_account(
            false,
            &[
                account::ORGANIZATION_INVALID,
                account::NO_ORGANIZATION,
                account::NOT_COPIED,
                account::QUESTION_INVALID,
                account::LIMIT_INVALID,
                account::CURSOR_INVALID,
                account::PARAMETER_REPEATED,
            ],
        ),
        security: session(),
    }
}

fn user() -> Route {
    let example = json!({ "user": { "id": "1c1157ac-33d3-5114-bbd8-09b23e2ca922", "clerk_user_id": "user_1", "name": "Ada Example" } });
    let answer = json!({ "type": "object", "required": ["user"], "additionalProperties": false,
        "properties": { "user": schema("VisibleUser") } });
    Route {
        key: "GET /users/{id}",
        summary: "Read a user",
        description: "By Clerk's id or by the internal id. USER_VISIBILITY says who may see whom.",
        parameters: vec![path(
            "Clerk's id (`user_…`) or the internal id (a UUID)",
            "1c1157ac-33d3-5114-bbd8-09b23e2ca922",
        )],
        body: None,
        responses: vec![(200, shown("The user", &answer, &example))],
        problems: of_account(false, &[account::ID_INVALID, account::NO_USER]),
        security: session(),
    }
}

fn users() -> Route {
    let user =
        json!({ "id": "1c1157ac-33d3-5114-bbd8-09b23e2ca922", "clerk_user_id": "user_1", "name": "Ada Example" });
    let answer = json!({ "type": "object", "required": ["users"], "additionalProperties": false, "properties": { "users": {
        "type": "array", "maxItems": 100, "items": { "anyOf": [schema("VisibleUser"), { "type": "null" }] } } } });
    Route {
        key: "GET /users",
        summary: "Read up to 100 users",
        description: "In the order of the ids; null for a user who does not exist or whom the caller may not see.",
        parameters: vec![json!({ "name": "id", "in": "query", "required": true, "explode": true, "description":
            "Clerk's ids or internal ids, repeated or separated by commas",
            "schema": { "type": "array", "minItems": 1, "maxItems": 100, "items": { "type": "string" } },
            "example": ["user_2nUcuErN3glWyZnAP6qLqp85VBT", "1c1157ac-33d3-5114-bbd8-09b23e2ca922"] })],
        body: None,
        responses: vec![(200, shown("The users", &answer, &json!({ "users": [user, null] })))],
        problems: of_account(false, &[account::USERS_MISSING, account::TOO_MANY_USERS, account::ID_INVALID]),
        security: session(),
    }
}
