//! The registry of all Lambda functions. The local gateway takes its routes from the registry, `rollcall settings` the
//! variables, the log the targets. The local stack and the tests call HTTP functions through [`Functions`].
//! docs/adding-a-function.md lists what else a function needs.

use std::borrow::Cow;
use std::sync::Arc;

use account::Account;
use aws_sdk_dynamodb::Client;
use axum::response::Response;
use ensure_profile::EnsureProfile;
use percent_encoding::percent_decode_str;
use rollcall::adapters::lambda::function::Function;
use rollcall::settings::variables::InvalidSettings;
use serde_json::Value;
use webhook::Webhook;

use crate::Clock;
use crate::invocation::invoke;

/// All functions, in the order in which they process an event.
pub const FUNCTIONS: [Function; 6] = [
    webhook::FUNCTION,
    ensure_profile::FUNCTION,
    authorizer::FUNCTION,
    account::FUNCTION,
    react::FUNCTION,
    reconcile::FUNCTION,
];

/// The HTTP functions, all over the same tables.
#[derive(Clone)]
pub struct Functions {
    /// The function that receives Clerk's events.
    pub webhook: Arc<Webhook>,
    /// The function that front ends and browsers call.
    pub ensure_profile: Arc<EnsureProfile>,
    /// The function that answers callers about themselves and about one another.
    pub account: Arc<Account>,
    /// The clock of the functions.
    pub clock: Clock,
}

impl Functions {
    /// Creates each function with its own settings.
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
        let account = Account::new(account::settings::Settings::read(lookup)?, dynamodb);
        Ok(Functions {
            webhook: Arc::new(webhook),
            ensure_profile: Arc::new(ensure_profile),
            account: Arc::new(account),
            clock,
        })
    }

    /// Invokes the function with this name in the registry with an event of API Gateway; `None` if it is no HTTP function.
    pub async fn invoke(self, name: &str, event: Value) -> Option<Response> {
        let clock = move || (self.clock)();
        match name {
            "webhook" => Some(invoke(name, webhook::service(self.webhook, clock), event).await),
            "ensure-profile" => Some(invoke(name, ensure_profile::service(self.ensure_profile, clock), event).await),
            "account" => Some(invoke(name, account::service(self.account, clock), event).await),
            _ => None,
        }
    }
}

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

/// The decoded parameters of a path, by the names that the route key has in braces.
pub fn path_parameters<'a>(key: &'a str, path: &'a str) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
    let pattern = key.split_once(' ').map_or(key, |(_, pattern)| pattern);
    let pairs = pattern.split('/').zip(path.split('/'));
    pairs.filter_map(|(name, value)| Some((parameter(name)?, percent_decode_str(value).decode_utf8_lossy())))
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
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::fmt::Debug;
    use std::path::Path;

    use rollcall::settings::variables::{CLERK_WEBHOOK_SIGNING_SECRET, Source};
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
        let parameters: Vec<_> = path_parameters("GET /users/{id}/rows/{row}", "/users/user_1/rows/7%2F8").collect();
        assert_eq!(parameters, [("id", "user_1".into()), ("row", Cow::from("7/8"))]);
    }

    /// Good values of what some function does not start without.
    const REQUIRED: [(&str, &str); 9] = [
        ("DIRECTORY_TABLE", "rollcall-directory"),
        ("PROFILES_TABLE", "rollcall-profiles"),
        ("OPERATIONS_TABLE", "rollcall-operations"),
        ("CLERK_INSTANCE_ID", "ins_2nUcuErN3glWyZnAP6qLqp85VBT"),
        ("CLERK_SECRET_KEY", "sk_test_x"),
        ("CLERK_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("CLERK_ISSUER", "https://clerk.example.com"),
        ("ALLOWED_ORIGINS", "https://app.example.com"),
        ("BACKUP_BUCKET", "rollcall-backups"),
    ];

    type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

    /// Compares what a function declares with what its code reads. Answers with its name.
    fn check<S: Debug>(function: &Function, read: fn(Lookup<'_>) -> Result<S, InvalidSettings>) -> &'static str {
        let required =
            |name: &str| REQUIRED.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        // The ARN of the secret is read before the settings, and only by a function that has secrets.
        let has_secrets = function.variables().any(|variable| variable.source == Source::Secret);
        let arn = has_secrets.then(|| "ROLLCALL_SECRET_ARN".to_owned());
        let asked = RefCell::new(arn.into_iter().collect::<BTreeSet<_>>());
        let without = read(&|name| {
            // Another name of a variable that is declared.
            if name != CLERK_WEBHOOK_SIGNING_SECRET {
                asked.borrow_mut().insert(name.to_owned());
            }
            required(name)
        });
        let declared: BTreeSet<String> = function.variables().map(|variable| variable.name.to_owned()).collect();
        assert_eq!(asked.into_inner(), declared, "{}: variables that are read", function.name);

        let default =
            |name: &str| function.variables().find(|variable| variable.name == name)?.default.map(str::to_owned);
        let with = read(&|name| required(name).or_else(|| default(name))).unwrap();
        assert_eq!(format!("{:?}", without.unwrap()), format!("{with:?}"), "{}: defaults", function.name);

        // A function that needs nothing starts with nothing.
        let refused = read(&|_| None).err();
        let missing: BTreeSet<&str> = refused.iter().flat_map(InvalidSettings::names).collect();
        for variable in function.variables().filter(|variable| variable.required) {
            assert!(missing.contains(variable.name), "{} starts without {}", function.name, variable.name);
        }
        function.name
    }

    #[test]
    fn each_function_reads_the_variables_that_it_declares_with_the_defaults_that_they_have() {
        let checked = [
            check(&webhook::FUNCTION, webhook::settings::Settings::read),
            check(&ensure_profile::FUNCTION, ensure_profile::settings::Settings::read),
            check(&authorizer::FUNCTION, authorizer::settings::Settings::read),
            check(&account::FUNCTION, account::settings::Settings::read),
            check(&react::FUNCTION, react::settings::Settings::read),
            check(&reconcile::FUNCTION, reconcile::settings::Settings::read),
        ];
        assert_eq!(checked[..], FUNCTIONS.map(|function| function.name)[..]);
    }

    /// What a reader looks up by the name of a function or of its route.
    #[test]
    fn every_function_and_every_route_is_in_the_documents() {
        let page = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
            (name.to_owned(), std::fs::read_to_string(path).unwrap())
        };
        let has = |(name, page): &(String, String), text: &str| assert!(page.contains(text), "{name} has no {text}");
        let (readme, changelog) = (page("README.md"), page("CHANGELOG.md"));
        let (api, operations) = (page("docs/http-api.md"), page("docs/operations.md"));
        for function in FUNCTIONS {
            has(&readme, &format!("- **{}**", function.name));
            has(&changelog, &format!("- **{}**", function.name));
            // What its role allows.
            has(&operations, &format!("\n| {} | ", function.name));
            for route in function.routes {
                has(&api, &format!("\n## `{route}`\n"));
                has(&api, &format!("| [`{route}`](#"));
            }
        }
    }
}
