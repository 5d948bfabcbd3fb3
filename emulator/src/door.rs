//! Checks the headers Host, Origin and Content-Type, against DNS rebinding and cross-site requests.
//!
//! The servers listen on 127.0.0.1 only, but a page in the developer's browser can reach that address, too: by a
//! request that needs no preflight, such as a POST of plain text, or by its own host name that points to 127.0.0.1 (DNS
//! rebinding). The browser sets [`Host`](HOST) and [`Origin`](ORIGIN): a page cannot choose them.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use axum::{
    Json, Router,
    body::HttpBody,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{CONTENT_TYPE, HOST, ORIGIN},
        uri::Authority,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// A page can send these types only after a preflight.
const JSON_TYPES: [&str; 2] = ["application/json", "application/x-amz-json-1.0"];

/// A host name that requests may name, without scheme and port, such as `abc.ngrok-free.app`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

/// Text that is no [`HostName`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a host name must have no scheme, port or path, such as abc.ngrok-free.app")]
pub struct InvalidHostName;

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if text.is_empty() || text.starts_with('.') || !text.bytes().all(known) {
            return Err(InvalidHostName);
        }
        Ok(Self(bare(text)))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The allowed hosts and origins, for one server or several.
#[derive(Clone, Debug, Default)]
pub struct Door(Arc<Rules>);

#[derive(Debug, Default)]
struct Rules {
    /// The names besides those of this machine.
    names: Vec<String>,
    /// The origin of one further allowed page.
    page: Option<String>,
}

impl Door {
    /// Allows the names of this machine, all IP addresses (a page cannot rebind an address), and these names.
    pub fn new(names: &[HostName]) -> Self {
        Self(Arc::new(Rules { names: names.iter().map(HostName::to_string).collect(), page: None }))
    }

    /// Allows pages of one more origin.
    pub(crate) fn and_page(&self, origin: &str) -> Self {
        let page = Some(origin.trim_end_matches('/').to_ascii_lowercase());
        Self(Arc::new(Rules { names: self.0.names.clone(), page }))
    }

    /// Wraps a server that checks origins itself: only `Host` is checked.
    pub fn by_host(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), check_host))
    }

    /// Wraps a server that answers only pages of this machine and of the allowed names: `Host` and `Origin` are
    /// checked, and the body of a POST, PUT, PATCH or DELETE must be JSON.
    pub fn by_host_and_origin(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), check_all))
    }
}

async fn check_host(State(door): State<Door>, request: Request, next: Next) -> Response {
    match door.0.host(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn check_all(State(door): State<Door>, request: Request, next: Next) -> Response {
    let checked =
        door.0.host(&request).and_then(|()| door.0.origin(request.headers())).and_then(|()| is_json(&request));
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

impl Rules {
    fn host(&self, request: &Request) -> Result<(), Refusal> {
        let mut named = request.headers().get_all(HOST).iter().map(host).collect::<Vec<_>>();
        // `GET http://name/ HTTP/1.1` names it in the first line.
        named.extend(request.uri().authority().map(|authority| Some(bare(authority.host()))));
        if named.is_empty() {
            named.push(None);
        }
        for name in named {
            let name = name.unwrap_or_default();
            if !self.is_ours(&name) && address(&name).is_none() {
                return Err(Refusal::Host(name));
            }
        }
        Ok(())
    }

    fn origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        for origin in headers.get_all(ORIGIN) {
            let text = origin.to_str().unwrap_or_default().to_ascii_lowercase();
            let name = text.split_once("://").and_then(|(_, authority)| authority.parse::<Authority>().ok());
            let is_ours = name.is_some_and(|authority| self.is_ours(&bare(authority.host())));
            if !is_ours && self.page.as_ref() != Some(&text) {
                return Err(Refusal::Origin(text));
            }
        }
        Ok(())
    }

    fn is_ours(&self, name: &str) -> bool {
        name == "localhost"
            || name.ends_with(".localhost")
            || address(name).is_some_and(|address| address.is_loopback())
            || self.names.iter().any(|allowed| allowed == name)
    }
}

/// The name in a `Host`, without its port; nothing if it cannot be read.
fn host(value: &HeaderValue) -> Option<String> {
    let authority: Authority = value.to_str().ok()?.parse().ok()?;
    (!authority.as_str().contains('@')).then(|| bare(authority.host()))
}

fn bare(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn address(name: &str) -> Option<IpAddr> {
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether the body is JSON or absent. For a request without a body, `Origin` alone shows where it comes from.
fn is_json(request: &Request) -> Result<(), Refusal> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        return Ok(());
    }
    let Some(media_type) = request.headers().get(CONTENT_TYPE) else {
        return if request.body().is_end_stream() { Ok(()) } else { Err(Refusal::MediaType) };
    };
    let media_type = media_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if JSON_TYPES.iter().any(|json| media_type.eq_ignore_ascii_case(json)) { Ok(()) } else { Err(Refusal::MediaType) }
}

enum Refusal {
    Host(String),
    Origin(String),
    MediaType,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Host(name) => (
                StatusCode::FORBIDDEN,
                format!(
                    "the request is for the host {name:?}, which is not this machine: start with --allow-host NAME if \
                     a tunnel or a container uses that name"
                ),
            ),
            Self::Origin(origin) => (
                StatusCode::FORBIDDEN,
                format!(
                    "requests from the origin {origin:?} are not allowed: start with --allow-host NAME if that site is \
                     yours"
                ),
            ),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a POST, PUT, PATCH or DELETE request with a body must have the header Content-Type: application/json"
                    .to_owned(),
            ),
        };
        tracing::warn!(reason = %message, "request rejected");
        (status, Json(json!({ "message": message }))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn rules() -> Rules {
        Rules { names: vec!["abc.ngrok-free.app".to_owned()], page: Some("https://app.example.com".to_owned()) }
    }

    fn admits_host(uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        rules().host(&request.body(Body::empty()).unwrap()).is_ok()
    }

    #[test]
    fn only_names_of_this_machine_and_the_allowed_ones_are_answered() {
        for host in [
            "127.0.0.1:3000",
            "127.0.0.1",
            "127.8.8.8:1",
            "[::1]:3000",
            "[::1]",
            "localhost:3000",
            "LocalHost",
            "localhost.",
            "app.localhost:3000",
            "abc.ngrok-free.app",
            "ABC.ngrok-free.app:443",
            "192.168.1.7:3000",
        ] {
            assert!(admits_host("/", &[host]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:3000",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "x.abc.ngrok-free.app",
            "127.0.0.1, evil.example",
            "::1",
            "a b",
        ] {
            assert!(!admits_host("/", &[host]), "{host}");
        }
        assert!(!admits_host("/", &[]), "no name at all");
        assert!(!admits_host("/", &["127.0.0.1", "evil.example"]), "two names");
        assert!(!admits_host("http://evil.example/", &["127.0.0.1"]), "another one in the first line");
        assert!(admits_host("http://localhost:3000/", &["localhost:3000"]));
    }

    #[test]
    fn only_pages_of_this_machine_and_of_the_allowed_sites_are_answered() {
        let admits = |origin: &'static str| {
            rules().origin(&HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))])).is_ok()
        };
        for origin in
            ["http://localhost:5173", "http://127.0.0.1:8080", "https://abc.ngrok-free.app", "https://app.example.com"]
        {
            assert!(admits(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "https://evil.example",
            "http://192.168.1.7:3000",
            "https://localhost.evil.example",
            "localhost",
            "https://app.example.com.evil.example",
            "http://app.example.com",
            "file://",
        ] {
            assert!(!admits(origin), "{origin}");
        }
        assert!(rules().origin(&HeaderMap::new()).is_ok(), "no page");
    }

    #[test]
    fn what_changes_something_is_json_or_nothing() {
        let admits = |method: &str, media_type: Option<&str>, body: &'static str| {
            let mut request = Request::builder().method(method);
            if let Some(media_type) = media_type {
                request = request.header(CONTENT_TYPE, media_type);
            }
            is_json(&request.body(Body::from(body)).unwrap()).is_ok()
        };
        for media_type in ["application/json", "Application/JSON; charset=utf-8", "application/x-amz-json-1.0"] {
            assert!(admits("POST", Some(media_type), "{}"), "{media_type}");
        }
        for media_type in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json"]
        {
            assert!(!admits("POST", Some(media_type), "{}"), "{media_type}");
            assert!(!admits("DELETE", Some(media_type), ""), "{media_type}");
        }
        assert!(!admits("POST", None, "{}"));
        assert!(admits("POST", None, "") && admits("GET", Some("text/plain"), ""));
    }

    #[test]
    fn a_name_has_no_scheme_no_port_and_no_path() {
        assert_eq!("ABC.ngrok-free.app.".parse::<HostName>().unwrap().to_string(), "abc.ngrok-free.app");
        for text in ["", "https://a.example", "a.example:80", "a.example/x", "*.a.example", ".a.example", "a b"] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }
}
