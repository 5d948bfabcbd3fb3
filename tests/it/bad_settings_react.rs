//! Settings of react that are missing or malformed: all named at once, and the function does not start.

use react::settings::{Settings, VARIABLES};
use rollcall::core::settings::InvalidSettings;

const GOOD: [(&str, &str); 12] = [
    ("DIRECTORY_TABLE", "rollcall-directory"),
    ("PROFILES_TABLE", "rollcall-profiles"),
    ("CLERK_INSTANCE_ID", "ins_2nUcuErN3glWyZnAP6qLqp85VBT"),
    ("CLERK_API_URL", "https://api.clerk.com"),
    ("CLERK_SECRET_KEY", "sk_test_x"),
    ("DELETION_POLICY", "purge"),
    ("RECONCILE_POLICY", "report"),
    ("METADATA_WRITEBACK", "on"),
    ("CLERK_RATE_SHARE", "50"),
    ("PROFILE_DEFAULTS", r#"{"level":1}"#),
    ("MEMBERSHIP_PROFILE_DEFAULTS", "{}"),
    ("EVENT_BUS", "arn:aws:events:eu-west-1:123456789012:event-bus/rollcall-changes"),
];

/// Every value here is malformed.
const MALFORMED: [(&str, &str); 17] = [
    ("DIRECTORY_TABLE", "a b"),
    ("PROFILES_TABLE", "x"),
    ("CLERK_INSTANCE_ID", "ins 1"),
    ("CLERK_API_URL", "clerk.acme.org"),
    ("CLERK_SECRET_KEY", "sk test"),
    ("DELETION_POLICY", "delete"),
    ("RECONCILE_POLICY", "off"),
    ("METADATA_WRITEBACK", "true"),
    ("METADATA_WRITEBACK", "On"),
    ("CLERK_RATE_SHARE", "0"),
    ("CLERK_RATE_SHARE", "101"),
    ("CLERK_RATE_SHARE", "20%"),
    ("PROFILE_DEFAULTS", "[]"),
    ("PROFILE_DEFAULTS", r#"{"pk":"x"}"#),
    ("MEMBERSHIP_PROFILE_DEFAULTS", r#"{"organization_id":"x"}"#),
    ("EVENT_BUS", "my bus"),
    ("EVENT_BUS", "https://bus?"),
];

fn read(settings: &[(&str, &str)]) -> Result<Settings, InvalidSettings> {
    Settings::read(&|name| {
        settings.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn names(settings: &[(&str, &str)]) -> Vec<&'static str> {
    read(settings).err().map(|problems| problems.names()).unwrap_or_default()
}

#[test]
fn good_settings_of_react_are_read_and_every_variable_is_listed() {
    let settings = read(&GOOD).unwrap();
    assert!(settings.write_back.is_some_and(|needs| needs.rate_share == 50));
    assert!(settings.event_bus.is_some());
    for (name, _) in GOOD {
        assert!(VARIABLES.iter().any(|variable| variable.name == name), "{name}");
    }
}

#[test]
fn what_react_misses_is_named_all_at_once() {
    assert_eq!(names(&[]), ["DIRECTORY_TABLE", "PROFILES_TABLE", "CLERK_INSTANCE_ID", "CLERK_SECRET_KEY"]);
    // Without the write-back Clerk is not asked, so no key is needed.
    let without = [GOOD[0], GOOD[1], GOOD[2], ("METADATA_WRITEBACK", "off")];
    assert!(read(&without).unwrap().write_back.is_none());
}

#[test]
fn what_is_malformed_for_react_is_named_and_never_quoted() {
    for (name, value) in MALFORMED {
        let given: Vec<_> = GOOD.into_iter().chain([(name, value)]).collect();
        let problems = read(&given).unwrap_err();
        assert_eq!(problems.names(), [name], "{value}");
        assert!(!problems.to_string().contains(&format!(" {value} ")), "{problems}");
    }
}
