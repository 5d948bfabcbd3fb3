//! What each function says of its variables, from which documents and checks are made, is what its code does.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;

use rollcall::adapters::lambda::function::Function;
use rollcall::settings::variables::{InvalidSettings, Source};

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

fn check<S: Debug>(function: &Function, read: fn(Lookup<'_>) -> Result<S, InvalidSettings>) {
    let required = |name: &str| REQUIRED.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    // The ARN of the secret is read before the settings, and only by a function that has secrets.
    let has_secrets = function.variables().any(|variable| variable.source == Source::Secret);
    let arn = has_secrets.then(|| "ROLLCALL_SECRET_ARN".to_owned());
    let asked = RefCell::new(arn.into_iter().collect::<BTreeSet<_>>());
    let without = read(&|name| {
        asked.borrow_mut().insert(name.to_owned());
        required(name)
    });
    let declared: BTreeSet<String> = function.variables().map(|variable| variable.name.to_owned()).collect();
    assert_eq!(asked.into_inner(), declared, "{}: variables that are read", function.name);

    let default = |name: &str| function.variables().find(|variable| variable.name == name)?.default.map(str::to_owned);
    let with = read(&|name| required(name).or_else(|| default(name))).unwrap();
    assert_eq!(format!("{:?}", without.unwrap()), format!("{with:?}"), "{}: defaults", function.name);

    let missing: BTreeSet<&str> = read(&|_| None).unwrap_err().names().into_iter().collect();
    for variable in function.variables().filter(|variable| variable.required) {
        assert!(missing.contains(variable.name), "{} starts without {}", function.name, variable.name);
    }
}

#[test]
fn each_function_reads_the_variables_that_it_declares_with_the_defaults_that_they_have() {
    check(&webhook::FUNCTION, webhook::settings::Settings::read);
    check(&ensure_profile::FUNCTION, ensure_profile::settings::Settings::read);
    check(&react::FUNCTION, react::settings::Settings::read);
    check(&reconcile::FUNCTION, reconcile::settings::Settings::read);
}
