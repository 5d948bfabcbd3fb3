//! Settings of the authorizer that are missing or malformed: all named at once, and the function does not start.

use authorizer::FUNCTION;
use authorizer::settings::Settings;
use rollcall::settings::variables::{InvalidSettings, Source};

const GOOD: [(&str, &str); 9] = [
    ("DIRECTORY_TABLE", "rollcall-directory"),
    ("CLERK_INSTANCE_ID", "ins_2nUcuErN3glWyZnAP6qLqp85VBT"),
    ("CLERK_ISSUER", "https://clerk.example.com"),
    ("CLERK_JWKS_URL", "https://clerk.example.com/.well-known/jwks.json"),
    ("CLERK_PUBLISHABLE_KEY", "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k"),
    ("ALLOWED_ORIGINS", "https://app.example.com"),
    ("ALLOW_MISSING_AZP", "true"),
    ("MIRROR", "off"),
    ("ROLES", "owner,editor"),
];

/// Every value here is malformed.
const MALFORMED: [(&str, &str); 14] = [
    ("DIRECTORY_TABLE", "a b"),
    ("CLERK_INSTANCE_ID", "ins 1"),
    ("CLERK_ISSUER", "clerk.example.com"),
    ("CLERK_ISSUER", "https://clerk.example.com/.well-known/jwks.json"),
    ("CLERK_JWKS_URL", "clerk.example.com/jwks"),
    ("CLERK_JWT_KEY", "MIIB"),
    ("CLERK_PUBLISHABLE_KEY", "sk_live_x"),
    ("ALLOWED_ORIGINS", "*"),
    ("ALLOWED_ORIGINS", "app.example.com"),
    ("ALLOW_MISSING_AZP", "yes"),
    ("MIRROR", "true"),
    ("MIRROR", "Off"),
    ("ROLES", "a/b"),
    ("ROLES", ","),
];

fn read(settings: &[(&str, &str)]) -> Result<Settings, InvalidSettings> {
    Settings::read(&|name| {
        settings.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn good_settings_of_the_authorizer_are_read_and_every_variable_is_listed() {
    let settings = read(&GOOD).unwrap();
    assert!(!settings.mirror.is_on && settings.mirror.roles.knows("editor") && !settings.mirror.roles.knows("admin"));
    for (name, _) in GOOD {
        assert!(FUNCTION.variables().any(|variable| variable.name == name), "{name}");
    }
}

#[test]
fn the_authorizer_starts_without_any_secret_and_without_the_other_tables() {
    assert!(FUNCTION.variables().all(|variable| variable.source == Source::Environment));
    let settings = read(&[GOOD[0], GOOD[1], GOOD[2], GOOD[5]]).unwrap();
    assert!(settings.mirror.is_on);
}

#[test]
fn what_the_authorizer_misses_is_named_all_at_once() {
    let needed = ["DIRECTORY_TABLE", "CLERK_INSTANCE_ID", "CLERK_ISSUER", "ALLOWED_ORIGINS"];
    assert_eq!(read(&[]).unwrap_err().names(), needed);
}

#[test]
fn what_is_malformed_for_the_authorizer_is_named_and_never_quoted() {
    for (name, value) in MALFORMED {
        let given: Vec<_> = GOOD.into_iter().chain([(name, value)]).collect();
        let problems = read(&given).unwrap_err();
        assert_eq!(problems.names(), [name], "{value}");
        assert!(!problems.to_string().contains(&format!(" {value} ")), "{problems}");
    }
}
