//! Parses requests: parameters, preconditions and bodies. Rejects everything that is not documented.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use lambda_http::{Request, RequestExt};
use rollcall::core::account::authorization::Question;
use rollcall::core::account::etag::{Preconditions, Tags};
use rollcall::core::account::json;
use rollcall::core::account::members::{DEFAULT_LIMIT, MAX_LIMIT, Query};
use rollcall::core::id::{AnyUserId, OrganizationId};
use rollcall::core::problem::Problem;
use rollcall::services::account::users::MAX_USERS;
use serde_json::{Map, Value};

use crate::problems::{
    BODY_INVALID, BODY_TOO_LARGE, CURSOR_INVALID, ID_INVALID, JSON_EXPECTED, LIMIT_INVALID, MERGE_PATCH_EXPECTED,
    ORGANIZATION_INVALID, PARAMETER_REPEATED, PARAMETER_UNKNOWN, PRECONDITION_MALFORMED, QUESTION_INVALID,
    QUESTION_MISSING, TOO_MANY_USERS, USERS_MISSING,
};

/// The longest body, in bytes: a record of 16 KB, with white space and escapes.
const MAX_BODY: usize = 64 * 1024;
/// The longest name of a role or a permission.
const MAX_NAME: usize = 128;

/// Rejects parameters that the route does not have: a misspelled `organization_id` must not lead to another record.
///
/// # Errors
///
/// The problem of an unknown parameter.
pub fn only(request: &Request, known: &[&str]) -> Result<(), Problem> {
    let parameters = request.query_string_parameters();
    if parameters.iter().all(|(name, _)| known.contains(&name)) { Ok(()) } else { Err(PARAMETER_UNKNOWN) }
}

/// The one value of a parameter, if the parameter is given.
fn single(request: &Request, name: &str) -> Result<Option<String>, Problem> {
    let parameters = request.query_string_parameters();
    let all = parameters.all(name).unwrap_or_default();
    match all.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).to_owned())),
        _ => Err(PARAMETER_REPEATED),
    }
}

/// The name of a role or a permission, if it is given. An empty one is no absent one: otherwise a page whose variable
/// is empty would ask for less than it means.
fn named(request: &Request, parameter: &str) -> Result<Option<String>, Problem> {
    let value = single(request, parameter)?;
    let is_name =
        |text: &String| (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if value.as_ref().is_none_or(is_name) { Ok(value) } else { Err(QUESTION_INVALID) }
}

/// `organization_id`, if it is given.
///
/// # Errors
///
/// The problem with the request.
pub fn organization(request: &Request) -> Result<Option<OrganizationId>, Problem> {
    let id = single(request, "organization_id")?;
    id.map(|id| id.parse().map_err(|_| ORGANIZATION_INVALID)).transpose()
}

/// The question of a request to `GET /me/authorization`.
///
/// # Errors
///
/// The problem with the request.
pub fn question(request: &Request) -> Result<Question, Problem> {
    let question = Question {
        role: named(request, "role")?,
        permission: named(request, "permission")?,
        organization: organization(request)?.map(|id| id.to_string()),
    };
    if question.role.is_none() && question.permission.is_none() { Err(QUESTION_MISSING) } else { Ok(question) }
}

/// The requested page of members.
///
/// # Errors
///
/// The problem with the request.
pub fn members(request: &Request) -> Result<Query, Problem> {
    let parameters = request.path_parameters();
    let id = parameters.first("id").unwrap_or_default();
    let organization: OrganizationId = id.parse().map_err(|_| ORGANIZATION_INVALID)?;
    let role = named(request, "role")?;
    let limit = match single(request, "limit")? {
        None => DEFAULT_LIMIT,
        Some(text) => {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let limit = text.parse().ok().filter(|limit| is_number && (1..=MAX_LIMIT).contains(limit));
            limit.ok_or(LIMIT_INVALID)?
        }
    };
    let after = single(request, "cursor")?;
    let after = after.map(|cursor| Query::position(&organization, role.as_deref(), &cursor).ok_or(CURSOR_INVALID));
    Ok(Query { after: after.transpose()?, organization, role, limit })
}

/// The id in the path.
///
/// # Errors
///
/// The problem with the request.
pub fn user(request: &Request) -> Result<AnyUserId, Problem> {
    request.path_parameters().first("id").unwrap_or_default().parse().map_err(|_| ID_INVALID)
}

/// The values of `id`, repeated or separated by commas.
///
/// # Errors
///
/// The problem with the request.
pub fn users(request: &Request) -> Result<Vec<AnyUserId>, Problem> {
    let parameters = request.query_string_parameters();
    let all = parameters.all("id").unwrap_or_default();
    let ids: Vec<&str> = all.iter().flat_map(|ids| ids.split(',')).filter(|id| !id.is_empty()).collect();
    match ids.len() {
        0 => Err(USERS_MISSING),
        1..=MAX_USERS => ids.into_iter().map(|id| id.parse().map_err(|_| ID_INVALID)).collect(),
        _ => Err(TOO_MANY_USERS),
    }
}

/// `If-Match` and `If-None-Match`.
///
/// # Errors
///
/// The problem with the request.
pub fn preconditions(headers: &HeaderMap) -> Result<Preconditions, Problem> {
    let tags = |name: HeaderName| -> Result<Option<Tags>, Problem> {
        let lines = headers.get_all(name).iter().map(|line| line.to_str());
        let lines: Vec<&str> = lines.collect::<Result<_, _>>().map_err(|_| PRECONDITION_MALFORMED)?;
        if lines.is_empty() {
            return Ok(None);
        }
        Tags::parse(&lines.join(",")).map(Some).map_err(|_| PRECONDITION_MALFORMED)
    };
    Ok(Preconditions { if_match: tags(IF_MATCH)?, if_none_match: tags(IF_NONE_MATCH)? })
}

/// The media type that a body must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Json,
    /// JSON, or no body at all: no fields.
    JsonOrNothing,
    MergePatch,
}

/// Whether a parameter of a media type is no `charset`, or is that of JSON.
fn is_utf_8_or_no_charset(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let value = value.trim().trim_matches('"');
    !name.trim().eq_ignore_ascii_case("charset") || ["utf-8", "utf8"].iter().any(|it| value.eq_ignore_ascii_case(it))
}

/// The object in the body.
///
/// # Errors
///
/// The problem with the request.
pub fn body(request: &Request, expected: Expected) -> Result<Map<String, Value>, Problem> {
    let bytes: &[u8] = request.body();
    if bytes.is_empty() && expected == Expected::JsonOrNothing {
        return Ok(Map::new());
    }
    let mut types = request.headers().get_all(CONTENT_TYPE).iter();
    let media_type = types.next().filter(|_| types.next().is_none()).and_then(|value| value.to_str().ok());
    let mut parts = media_type.unwrap_or_default().split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let (right, problem) = match expected {
        Expected::Json | Expected::JsonOrNothing => ("application/json", JSON_EXPECTED),
        Expected::MergePatch => ("application/merge-patch+json", MERGE_PATCH_EXPECTED),
    };
    if !media_type.eq_ignore_ascii_case(right) || !parts.all(is_utf_8_or_no_charset) {
        return Err(problem);
    }
    if bytes.len() > MAX_BODY {
        return Err(BODY_TOO_LARGE);
    }
    json::object(bytes).ok_or(BODY_INVALID)
}
