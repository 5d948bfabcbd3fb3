//! The OpenAPI document of all HTTP functions: made from the types of the responses, from the problems of the functions, and
//! from what `routes` says about each route. [`contract`] holds every response of a test against it.

pub mod contract;
mod problems;
mod routes;
mod schemas;

use serde_json::{Map, Value, json};

/// What the document says about one route.
pub(crate) struct Route {
    /// The route key, such as `GET /me`.
    pub key: &'static str,
    pub summary: &'static str,
    pub description: &'static str,
    pub parameters: Vec<Value>,
    /// The request body.
    pub body: Option<Value>,
    /// The responses that are no problems, by their statuses.
    pub responses: Vec<(u16, Value)>,
    pub problems: Vec<rollcall::core::problem::Problem>,
    pub security: Value,
}

/// The document, with all members in a fixed order.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in routes::all() {
        let (method, path) = route.key.split_once(' ').unwrap();
        let operations = paths.entry(path).or_insert_with(|| json!({}));
        operations[method.to_lowercase()] = operation(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Rollcall",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The HTTP API of a Rollcall deployment",
            "description": "Rollcall keeps a DynamoDB copy of Clerk's users, organizations and memberships. Every error is a \
                problem (RFC 9457) with a `code` that does not change. API Gateway itself answers 404, 413, 429 and 503 with \
                `{\"message\": …}`.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "http://127.0.0.1:4400", "description": "The local stack, `rollcall dev`" }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "examples": problems::examples(routes::all().into_iter().flat_map(|route| route.problems)),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "Clerk's session token, as `getToken()` returns it" },
                "cookie": { "type": "apiKey", "in": "cookie", "name": "__session",
                    "description": "Clerk's session cookie. On POST, PUT, PATCH and DELETE the request needs an `Origin` in \
                        ALLOWED_ORIGINS" },
                "svix": { "type": "apiKey", "in": "header", "name": "svix-signature",
                    "description": "Svix's signature over svix-id, svix-timestamp and the body" },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut responses = Map::new();
    for (status, response) in &route.responses {
        responses.insert(status.to_string(), response.clone());
    }
    for (status, response) in problems::responses(&route.problems) {
        let status = status.to_string();
        match responses.get_mut(&status) {
            // A page for browsers and a problem share the status.
            Some(shared) => {
                let content = response["content"].as_object().unwrap().clone();
                shared["content"].as_object_mut().unwrap().extend(content);
            }
            None => drop(responses.insert(status, response)),
        }
    }
    let words: Vec<String> = route.key.split(|letter: char| !letter.is_alphanumeric()).map(capital).collect();
    let id = words.concat();
    let mut operation = json!({
        "operationId": format!("{}{}", id[..1].to_lowercase(), &id[1..]),
        "summary": route.summary,
        "description": route.description,
        "security": route.security,
        "responses": responses,
    });
    if !route.parameters.is_empty() {
        operation["parameters"] = route.parameters.clone().into();
    }
    if let Some(body) = &route.body {
        operation["requestBody"] = body.clone();
    }
    operation
}

/// A word of a route key as a part of an operation's id.
fn capital(word: &str) -> String {
    let word = word.to_lowercase();
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
