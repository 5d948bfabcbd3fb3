//! Reads the events of five kinds of APIs.
//!
//! No field names the kind of an event, and a Rust type for one kind accepts events of other kinds. Therefore the
//! module reads the event as JSON, and checks in a fixed order which fields the event has. Source: AWS, "Use API
//! Gateway Lambda authorizers", "Control access to HTTP APIs with AWS Lambda authorizers" and "Configuring
//! authorization and authentication to secure your GraphQL APIs".

use http::header::{COOKIE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;

/// The form of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// An HTTP API with payload 2.0 and simple answers.
    Simple,
    /// A REST API, a WebSocket API, or an HTTP API with payload 1.0.
    Policy {
        /// The ARN of all routes in the stage of the request.
        resource: String,
        /// Whether the API turns the error `Unauthorized` into 401. AWS documents this for REST and WebSocket APIs, but
        /// not for HTTP APIs.
        knows_unauthorized: bool,
    },
    AppSync,
}

/// Where the token of a request may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Credentials {
    /// The value of the `Authorization` header. The event contains nothing else of the request.
    Authorization(String),
    /// The headers, and whether the method is safe. A request that opens a WebSocket has no method. It is not safe,
    /// because a page of another site can send it with the user's cookies.
    Headers { headers: HeaderMap, is_safe: bool },
}

/// One request to authorize.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub form: Form,
    pub credentials: Credentials,
    /// The id of the request in the API's own log, if the event has it.
    pub request_id: Option<String>,
}

impl Asked {
    /// Reads an event. `None` if it is not an event for an authorizer.
    pub fn read(event: &Value) -> Option<Asked> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let request_id = text("/requestContext/requestId").map(str::to_owned);
        let credentials = |method: Option<&str>| {
            let is_safe = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
            Credentials::Headers { headers: headers(event), is_safe: is_safe.is_some_and(|method| method.is_safe()) }
        };
        if text("/version") == Some("2.0") {
            // Without this field the event comes from a route that names this function by mistake.
            (text("/type")? == "REQUEST").then_some(())?;
            let credentials = credentials(text("/requestContext/http/method"));
            return Some(Asked { form: Form::Simple, credentials, request_id });
        }
        if let Some(arn) = text("/methodArn") {
            let knows_unauthorized = text("/version") != Some("1.0");
            let form = Form::Policy { resource: stage(arn)?, knows_unauthorized };
            let credentials = match text("/type")? {
                "TOKEN" => authorization(text("/authorizationToken")),
                "REQUEST" => credentials(text("/httpMethod")),
                _ => return None,
            };
            return Some(Asked { form, credentials, request_id });
        }
        // An event with a `type` comes from API Gateway, and lacks a required field.
        (event.get("type").is_none() && event.get("requestContext")?.is_object()).then_some(())?;
        let credentials = authorization(Some(text("/authorizationToken")?));
        Some(Asked { form: Form::AppSync, credentials, request_id })
    }
}

fn authorization(value: Option<&str>) -> Credentials {
    Credentials::Authorization(value.unwrap_or_default().to_owned())
}

/// The headers of a request. `multiValueHeaders` has all values of a header, `headers` only the last value.
fn headers(event: &Value) -> HeaderMap {
    let object = |name: &str| event.get(name).and_then(Value::as_object).filter(|map| !map.is_empty());
    let mut headers = HeaderMap::new();
    for (name, value) in object("multiValueHeaders").or_else(|| object("headers")).into_iter().flatten() {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values.iter().filter_map(Value::as_str) {
            append(&mut headers, &name, value);
        }
    }
    for cookie in event.get("cookies").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        append(&mut headers, &COOKIE, cookie);
    }
    headers
}

/// An invalid cookie is left out, and the other cookies stay: another site may have set the invalid cookie. Any other
/// invalid header value becomes an empty value, so that a second `Origin` still counts as a second one.
fn append(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if name == COOKIE {
        let values = value.split(';').filter_map(|pair| HeaderValue::from_str(pair.trim()).ok());
        for value in values {
            // The map can hold 32,768 values. API Gateway accepts only 10 KB of headers.
            let _ = headers.try_append(name, value);
        }
    } else {
        let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
        let _ = headers.try_append(name, value);
    }
}

/// The ARN of all methods in the stage of a method. If an API caches the answer, it applies the answer to other
/// methods, too; an ARN of one method would deny them.
fn stage(method: &str) -> Option<String> {
    let mut parts = method.splitn(6, ':');
    let (arn, service) = (parts.next()?, parts.clone().nth(1)?);
    (arn == "arn" && service == "execute-api").then_some(())?;
    let mut path = parts.nth(4)?.split('/');
    let (api, stage) = (path.next()?, path.next()?);
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte))
    };
    // The ARN has no stage if the console tests an authorizer.
    (is_plain(api) && (is_plain(stage) || stage == "*")).then_some(())?;
    let end = method.len() - method.splitn(6, ':').nth(5)?.len();
    Some(format!("{}{api}/{stage}/*", method.get(..end)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_is_about_all_of_the_stage() {
        for (method, all) in [
            (
                "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/request",
                Some("arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/*"),
            ),
            (
                "arn:aws-cn:execute-api:cn-north-1:123456789012:abcdef123/$default/POST/a:b/*/c",
                Some("arn:aws-cn:execute-api:cn-north-1:123456789012:abcdef123/$default/*"),
            ),
            (
                "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/test/$connect",
                Some("arn:aws:execute-api:eu-west-1:123456789012:abcdef123/test/*"),
            ),
            (
                "arn:aws:execute-api:us-west-2:123456789012:ymy8tbxw7b/*/GET/",
                Some("arn:aws:execute-api:us-west-2:123456789012:ymy8tbxw7b/*/*"),
            ),
            ("arn:aws:execute-api:us-east-1:123456789012:*/test/GET/", None),
            ("arn:aws:execute-api:us-east-1:123456789012:abcdef123", None),
            ("arn:aws:execute-api:us-east-1:123456789012:abcdef123//GET/", None),
            ("arn:aws:execute-api:us-east-1:123456789012:/test/GET/", None),
            ("arn:aws:execute-api:us-east-1:123456789012:abc/te*/GET/", None),
            ("arn:aws:lambda:us-east-1:123456789012:abcdef123/test/GET/request", None),
            ("*", None),
            ("", None),
            ("arn:::::", None),
        ] {
            assert_eq!(stage(method).as_deref(), all, "{method}");
        }
    }

    #[test]
    fn a_header_or_a_cookie_that_cannot_be_one_leaves_the_others() {
        let event = json!({
            "headers": { "Authorization": "Bearer a", "Origin": "https://a\u{7}", "b\u{e9}": "x", "n": 1 },
            "cookies": ["__session=a; x=\u{7}; __session_b=c", 5],
        });
        let headers = headers(&event);
        let all =
            |name: &str| -> Vec<_> { headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect() };
        assert_eq!(all("authorization"), ["Bearer a"]);
        assert_eq!(all("origin"), [""]);
        assert_eq!(all("cookie"), ["__session=a", "__session_b=c"]);
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn all_values_of_a_header_count() {
        let one = json!({ "Origin": "https://app.example.com" });
        let two = json!({ "Origin": ["https://app.example.com", "https://evil.example"] });
        let found = |event: Value| headers(&event).get_all("origin").iter().count();
        assert_eq!(found(json!({ "headers": one, "multiValueHeaders": two })), 2);
        assert_eq!(found(json!({ "headers": one, "multiValueHeaders": null })), 1);
        assert_eq!(found(json!({ "headers": one, "multiValueHeaders": {} })), 1);
    }
}
