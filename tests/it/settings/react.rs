//! Settings of react that are missing or malformed: all named at once, and the function does not start.

use react::FUNCTION;
use react::settings::Settings;
use rollcall::settings::variables::InvalidSettings;

const GOOD: [(&str, &str); 17] = [
    ("DIRECTORY_TABLE", "rollcall-directory"),
    ("PROFILES_TABLE", "rollcall-profiles"),
    ("OPERATIONS_TABLE", "rollcall-operations"),
    ("CLERK_INSTANCE_ID", "ins_2nUcuErN3glWyZnAP6qLqp85VBT"),
    ("CLERK_API_URL", "https://api.clerk.com"),
    ("CLERK_SECRET_KEY", "sk_test_x"),
    ("DELETION_POLICY", "purge"),
    ("PURGE_AFTER_HOURS", "0"),
    ("OWNED_TABLES", r#"[{"table":"tasks","key":"user_id","sort_key":"task_id","index":null,"id":"internal"}]"#),
    ("BACKUP_BUCKET", "rollcall-backups"),
    ("BACKUP_DAYS", "7"),
    ("RECONCILE_POLICY", "report"),
    ("METADATA_WRITEBACK", "on"),
    ("CLERK_RATE_SHARE", "50"),
    ("PROFILE_DEFAULTS", r#"{"level":1}"#),
    ("MEMBERSHIP_PROFILE_DEFAULTS", "{}"),
    ("EVENT_BUS", "arn:aws:events:eu-west-1:123456789012:event-bus/rollcall-changes"),
];

/// Every value here is malformed.
const MALFORMED: [(&str, &str); 33] = [
    ("DIRECTORY_TABLE", "a b"),
    ("PROFILES_TABLE", "x"),
    ("CLERK_INSTANCE_ID", "ins 1"),
    ("CLERK_API_URL", "clerk.acme.org"),
    ("CLERK_SECRET_KEY", "sk test"),
    ("OPERATIONS_TABLE", "x"),
    ("DELETION_POLICY", "delete"),
    ("PURGE_AFTER_HOURS", "-1"),
    ("PURGE_AFTER_HOURS", "1.5"),
    ("PURGE_AFTER_HOURS", "8761"),
    ("OWNED_TABLES", "tasks"),
    ("OWNED_TABLES", r#"[{"table":"tasks"}]"#),
    ("OWNED_TABLES", r#"[{"table":"a b","key":"user_id"}]"#),
    ("OWNED_TABLES", r#"[{"table":"tasks","key":""}]"#),
    ("OWNED_TABLES", r#"[{"table":"tasks","key":"user_id","id":"email"}]"#),
    ("OWNED_TABLES", r#"[{"table":"tasks","key":"user_id","sortkey":"x"}]"#),
    ("OWNED_TABLES", r#"[{"table":"tasks","key":"user_id"},{"table":"tasks","key":"user_id"}]"#),
    ("OWNED_TABLES", r#"[{"table":"rollcall-profiles","key":"pk"}]"#),
    ("BACKUP_BUCKET", "Rollcall"),
    ("BACKUP_BUCKET", "backups/here"),
    ("BACKUP_DAYS", "0"),
    ("BACKUP_DAYS", "always"),
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
    assert!(settings.writes_back && settings.rate_share == 50);
    assert!(settings.event_bus.is_some());
    for (name, _) in GOOD {
        assert!(FUNCTION.variables().any(|variable| variable.name == name), "{name}");
    }
}

#[test]
fn what_react_misses_is_named_all_at_once() {
    let needed = ["DIRECTORY_TABLE", "PROFILES_TABLE", "OPERATIONS_TABLE", "CLERK_INSTANCE_ID", "CLERK_SECRET_KEY"];
    assert_eq!(names(&[]), [&needed[..], &["BACKUP_BUCKET"]].concat());
    // Without the write-back Clerk is not asked, so no key is needed; and where everything is kept there is nothing to
    // back up.
    let without = [GOOD[0], GOOD[1], GOOD[2], GOOD[3], ("METADATA_WRITEBACK", "off"), ("DELETION_POLICY", "retain")];
    let settings = read(&without).unwrap();
    assert!(!settings.writes_back && settings.removal.backups.is_none());
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
