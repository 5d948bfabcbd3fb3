//! The problems of the account routes: code, status and text. The core has the problems of sessions and of rejected
//! callers.

use rollcall::core::account::document::Reason;
use rollcall::core::problem::Problem;

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal, $title:literal, $detail:literal;)*) => {
        $(
            $(#[$doc])*
            pub const $name: Problem = Problem { status: $status, code: $code, title: $title, detail: $detail };
        )*
        /// All of them.
        pub const ALL: &[Problem] = &[$($name),*];
    };
}

problems! {
    NOT_FOUND = 404 "route_not_found", "No such route",
        "The available routes are GET and DELETE /me, GET, POST, PUT and PATCH /me/profile, GET /me/authorization, GET \
         /organizations/{id}/members, GET /users/{id} and GET /users.";
    /// DynamoDB did not answer in time.
    UNAVAILABLE = 503 "unavailable", "Temporarily unavailable",
        "The request could not be completed in time, because the database or Clerk did not respond. Try again in a few seconds. If the problem persists, an \
         operator can find the cause in the function's log under this request id.";
    BROKEN = 500 "internal_error", "Internal error",
        "A retry will not help. An operator can find the cause in the function's log under this request id.";
    PARAMETER_REPEATED = 400 "parameter_repeated", "Parameter given twice",
        "Of the query parameters only `id` may be repeated. Send every other parameter once.";
    PARAMETER_UNKNOWN = 400 "parameter_unknown", "Unknown parameter",
        "The route does not have one of the query parameters. docs/http-api.md lists the parameters of each route.";
    ORGANIZATION_INVALID = 400 "organization_id_invalid", "Invalid organization id",
        "The id of an organization has 1 to 255 letters, digits, `_` or `-`, such as org_2nUcu….";
    QUESTION_MISSING = 400 "question_missing", "No role and no permission",
        "Send `role`, `permission` or both.";
    QUESTION_INVALID = 400 "question_invalid", "Invalid role or permission",
        "A role or a permission has 1 to 128 visible ASCII characters, such as admin or org:teams:read. Leave the parameter \
         out if you do not ask for it.";
    LIMIT_INVALID = 400 "limit_invalid", "Invalid limit", "`limit` must be a whole number from 1 to 48.";
    CURSOR_INVALID = 400 "cursor_invalid", "Invalid cursor",
        "The cursor does not belong to this list. Send `next_cursor` of the page before, with the same organization and the \
         same role, or start without a cursor.";
    ID_INVALID = 400 "user_id_invalid", "Invalid user id",
        "Send a Clerk id (user_…) or an internal id (a UUID in lower case with hyphens).";
    USERS_MISSING = 400 "user_ids_missing", "No user id", "Send at least one `id`, such as /users?id=user_1&id=user_2.";
    TOO_MANY_USERS = 400 "too_many_user_ids", "Too many user ids", "Send at most 100 ids in one request.";
    PRECONDITION_MALFORMED = 400 "precondition_malformed", "Malformed If-Match or If-None-Match",
        "Send `*` or a list of entity tags in quotes, as the ETag header of a response has them.";
    JSON_EXPECTED = 415 "media_type_not_supported", "Unsupported media type",
        "Send the record as JSON in UTF-8, with the header Content-Type: application/json.";
    MERGE_PATCH_EXPECTED = 415 "merge_patch_expected", "Unsupported media type",
        "Send a merge patch (RFC 7396) in UTF-8, with the header Content-Type: application/merge-patch+json.";
    BODY_TOO_LARGE = 413 "body_too_large", "Body too large", "A body has at most 64 KB.";
    BODY_INVALID = 400 "body_invalid", "Invalid body", "The body must be a JSON object in UTF-8, nested at most 127 levels deep. In one object every field name may occur only once.";
    /// The organization does not exist, or the caller is not a member. The response is the same, so that it does not
    /// reveal which organizations exist.
    NO_ORGANIZATION = 404 "organization_not_found", "No such organization",
        "There is no organization with this id of which you are a member.";
    /// The code of [`Refusal::NotSynced`](rollcall::core::ensure::admission::Refusal::NotSynced), with the text for
    /// programs that call these routes.
    NOT_SYNCED = 404 "user_not_synced", "Account not set up yet",
        "The account is not stored yet. Call POST /profiles/ensure once after the sign-in, then repeat the request. If that \
         does not help within a minute, contact support with this request id.";
    /// The record of a membership needs the row of its organization, which the webhook or ensure-profile stores.
    ORGANIZATION_NOT_SYNCED = 404 "organization_not_synced", "Organization not stored yet",
        "The organization is not stored yet. Call POST /profiles/ensure with a session in which the organization is active, \
         then repeat the request.";
    NOT_COPIED = 404 "members_not_copied", "Members are not copied",
        "This deployment copies no users (MIRROR=off). Ask Clerk for the members of an organization.";
    NO_USER = 404 "no_such_user", "No such user", "There is no user with this id whom you may see.";
    PROFILE_MISSING = 404 "profile_not_found", "No record", "There is no record yet. Create the record with POST /me/profile.";
    PROFILE_EXISTS = 409 "profile_exists", "Record exists", "There is a record already. Change the record with PUT or PATCH.";
    PROFILE_CONFLICT = 409 "profile_conflict", "Record changed",
        "Other requests changed the record at the same time. Read the record and try again.";
    /// A changed record under `If-Match`, an existing one under `If-None-Match`, or none under `If-Match`.
    PRECONDITION_FAILED = 412 "precondition_failed", "Precondition failed",
        "The condition in If-Match or If-None-Match is not true of the stored record, so nothing was changed. Read the record, \
         and decide again.";
    PRECONDITION_REQUIRED = 428 "precondition_required", "If-Match required",
        "Send the ETag of the record that you have read in the header If-Match.";
    NOT_WRITABLE = 422 "field_not_writable", "Field not writable",
        "You may not change this field (PROFILE_WRITABLE). Leave the field out, or send the stored value.";
    NOT_JSON = 422 "field_not_json", "Field cannot be merged",
        "The stored field contains values that JSON cannot express, such as binary data. It cannot be changed in part: send the whole field with PUT.";
    TOO_DEEP = 422 "value_too_deep", "Value too deep", "A record may be nested at most 16 levels deep.";
    NUMBER_NOT_STORABLE = 422 "number_not_storable", "Number not storable",
        "The number would come back as another value. Send whole numbers up to 2^53 and decimal numbers of at least 0.00001, \
         or send the number as text.";
    NAME_INVALID = 422 "name_invalid", "Invalid name", "Field names, also in nested objects, must have 1 to 255 bytes.";
    TOO_MANY_FIELDS = 422 "too_many_fields", "Too many fields", "A record has at most 100 fields, and a request changes at most 100.";
    PROFILE_TOO_LARGE = 422 "profile_too_large", "Record too large", "A record has at most 16 KB.";
    DELETION_OFF = 404 "account_deletion_off", "Accounts cannot be deleted here",
        "This deployment does not let users delete their accounts (ACCOUNT_DELETION). Contact support.";
    BEARER_REQUIRED = 403 "bearer_required", "Bearer token required",
        "Send the session token as Authorization: Bearer. A cookie does not delete an account.";
    IMPERSONATED = 403 "impersonation_not_allowed", "Not allowed under impersonation",
        "Only the user may delete the account, not somebody who acts in the name of the user.";
    REVERIFICATION = 403 "reverification_required", "Confirm that it is you",
        "The session token does not show that the first factor was verified in the last ten minutes. Verify the first factor \
         again, then repeat the request with a new token.";
    CLERK_UNAVAILABLE = 503 "clerk_unavailable", "Clerk temporarily unavailable",
        "Clerk does not answer, refuses requests, or cannot be asked at the moment. Try again in ten seconds. If the request was \
         to delete the account, Clerk may have deleted the account already.";
}

/// Problems that only an operator or support can resolve, by their codes.
pub const HELPED_BY_SUPPORT: [&str; 3] = [UNAVAILABLE.code, BROKEN.code, DELETION_OFF.code];

/// The problem of a value that cannot be stored.
pub const fn unstorable(reason: Reason) -> Problem {
    match reason {
        Reason::Depth => TOO_DEEP,
        Reason::Number => NUMBER_NOT_STORABLE,
        Reason::Name => NAME_INVALID,
        Reason::Fields => TOO_MANY_FIELDS,
        Reason::Size => PROFILE_TOO_LARGE,
        Reason::NotWritable => NOT_WRITABLE,
        Reason::NotJson => NOT_JSON,
    }
}
