//! The registry of all Lambda functions. The local gateway takes its routes from the registry, `rollcall settings` the
//! variables, the log the targets. docs/adding-a-function.md lists what else a function needs.

use rollcall::adapters::lambda::function::Function;

/// All functions, in the order in which they process an event.
pub const FUNCTIONS: [Function; 4] =
    [webhook::FUNCTION, ensure_profile::FUNCTION, react::FUNCTION, reconcile::FUNCTION];

/// The function and the route key that API Gateway chooses for a request; `None` if no route matches.
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

    /// The routes of a function in template.yaml: SAM's events of the function, and the paths and routes that are
    /// written out.
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
