//! The registry: every Lambda function, once. The local gateway finds its routes here, `rollcall settings` its variables,
//! the log its targets; the local stack and the tests call HTTP functions through [`Functions`].
//! docs/adding-a-function.md lists what else a function needs.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use axum::response::Response;
use ensure_profile::EnsureProfile;
use rollcall::adapters::lambda::function::Function;
use rollcall::settings::variables::InvalidSettings;
use serde_json::Value;
use webhook::Webhook;

use crate::Clock;
use crate::invocation::invoke;

/// All functions, in the order in which an event meets them.
pub const FUNCTIONS: [Function; 4] =
    [webhook::FUNCTION, ensure_profile::FUNCTION, react::FUNCTION, reconcile::FUNCTION];

/// The HTTP functions, each over the same tables.
#[derive(Clone)]
pub struct Functions {
    /// It receives Clerk's events.
    pub webhook: Arc<Webhook>,
    /// It answers to front ends and browsers.
    pub ensure_profile: Arc<EnsureProfile>,
    /// What time it is for them.
    pub clock: Clock,
}

impl Functions {
    /// Each with its own settings.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] of the first whose settings are not complete.
    pub fn new(
        lookup: &dyn Fn(&str) -> Option<String>,
        dynamodb: &Client,
        clock: Clock,
    ) -> Result<Functions, InvalidSettings> {
        let webhook = Webhook::new(webhook::settings::Settings::read(lookup)?, dynamodb);
        let ensure_profile = EnsureProfile::new(ensure_profile::settings::Settings::read(lookup)?, dynamodb);
        Ok(Functions { webhook: Arc::new(webhook), ensure_profile: Arc::new(ensure_profile), clock })
    }

    /// Invokes one of them, by its name in the registry, with an event of API Gateway's; nothing if it is none of them.
    pub async fn invoke(self, name: &str, event: Value) -> Option<Response> {
        let clock = move || (self.clock)();
        match name {
            "webhook" => Some(invoke(webhook::service(self.webhook, clock), event).await),
            "ensure-profile" => Some(invoke(ensure_profile::service(self.ensure_profile, clock), event).await),
            _ => None,
        }
    }
}

/// The function, and its route key, that API Gateway chooses for a request; nothing if no route fits.
pub fn route(method: &str, path: &str) -> Option<(&'static Function, &'static str)> {
    let fits =
        |key: &str| key.split_once(' ').is_some_and(|(verb, pattern)| verb == method && has_shape(pattern, path));
    let routes = FUNCTIONS.iter().flat_map(|function| function.routes.iter().map(move |key| (function, *key)));
    // As API Gateway does: a route without parameters before one with some.
    let mut fitting: Vec<_> = routes.filter(|(_, key)| fits(key)).collect();
    fitting.sort_by_key(|(_, key)| key.contains('{'));
    fitting.first().copied()
}

/// The parameters of a path, by the names that the route key has in braces.
pub fn path_parameters<'a>(key: &'a str, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let pattern = key.split_once(' ').map_or(key, |(_, pattern)| pattern);
    let pairs = pattern.split('/').zip(path.split('/'));
    pairs.filter_map(|(name, value)| Some((parameter(name)?, value)))
}

fn has_shape(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    let fits = |(part, value): (&&str, &&str)| part == value || parameter(part).is_some() && !value.is_empty();
    pattern.len() == path.len() && pattern.iter().zip(&path).all(fits)
}

fn parameter(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_yaml_ng::Value;

    use super::*;
    use crate::template;

    #[test]
    fn every_folder_below_functions_is_in_the_registry_under_its_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
        let folders: BTreeSet<String> = std::fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().join("Cargo.toml").is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        assert_eq!(folders, FUNCTIONS.map(|function| function.name.to_owned()).into());
        for function in FUNCTIONS {
            assert_eq!(function.log_target, function.name.replace('-', "_"), "the target of the crate's lines");
        }
    }

    /// The routes of a function in template.yaml: SAM's events of the function, and the paths and routes that are written out.
    fn deployed(folder: &str) -> BTreeSet<String> {
        let template = template::read().unwrap();
        let resources = template["Resources"].as_mapping().unwrap();
        let is_it = |resource: &Value| resource["Properties"]["CodeUri"] == format!("functions/{folder}").as_str();
        let (name, function) = resources.iter().find(|(_, resource)| is_it(resource)).unwrap();
        let mut routes = BTreeSet::new();
        for event in function["Properties"]["Events"].as_mapping().into_iter().flat_map(|events| events.values()) {
            if event["Type"] == "HttpApi" {
                let text = |name: &str| event["Properties"][name].as_str().unwrap().to_owned();
                routes.insert(format!("{} {}", text("Method"), text("Path")));
            }
        }
        let paths = resources["Api"]["Properties"]["DefinitionBody"]["paths"].as_mapping().unwrap();
        for (path, route) in paths {
            let route = serde_yaml_ng::to_string(route).unwrap();
            if route.contains(&format!("${{{}.Arn}}", name.as_str().unwrap())) && route.contains("post:") {
                routes.insert(format!("POST {}", path.as_str().unwrap()));
            }
        }
        routes
    }

    #[test]
    fn the_routes_of_the_registry_are_those_of_the_template() {
        for function in FUNCTIONS {
            let ours: BTreeSet<String> = function.routes.iter().map(|&route| route.to_owned()).collect();
            assert_eq!(ours, deployed(function.name), "{}", function.name);
        }
    }

    #[test]
    fn a_route_is_found_by_its_method_and_its_whole_path() {
        let found = |method: &str, path: &str| route(method, path).map(|(function, key)| (function.name, key));
        assert_eq!(found("GET", "/sync"), Some(("ensure-profile", "GET /sync")));
        for (method, path) in [("POST", "/sync"), ("GET", "/a/sync"), ("GET", "/sync/"), ("GET", "/"), ("get", "/sync")]
        {
            assert_eq!(found(method, path), None, "{method} {path}");
        }
        assert!(has_shape("/users/{id}/rows", "/users/user_1/rows") && !has_shape("/users/{id}", "/users/"));
        let parameters: Vec<_> = path_parameters("GET /users/{id}/rows/{row}", "/users/user_1/rows/7").collect();
        assert_eq!(parameters, [("id", "user_1"), ("row", "7")]);
    }
}
