//! Settings of account that are missing or malformed: all named at once, and the function does not start.

use account::FUNCTION;
use account::settings::Settings;
use rollcall::core::account::visibility::UserVisibility;
use rollcall::settings::variables::InvalidSettings;

const GOOD: [(&str, &str); 15] = [
    ("DIRECTORY_TABLE", "rollcall-directory"),
    ("PROFILES_TABLE", "rollcall-profiles"),
    ("OPERATIONS_TABLE", "rollcall-operations"),
    ("CLERK_INSTANCE_ID", "ins_2nUcuErN3glWyZnAP6qLqp85VBT"),
    ("CLERK_SECRET_KEY", "sk_test_x"),
    ("CLERK_ISSUER", "https://clerk.example.com"),
    ("ALLOWED_ORIGINS", "https://app.example.com"),
    ("PROFILE_WRITABLE", r#"["bio","timezone"]"#),
    ("PROFILE_IF_MATCH", "required"),
    ("ACCOUNT_DELETION", "on"),
    ("USER_VISIBILITY", "signed-in"),
    ("ROLE_POINTER", "/primary_role"),
    ("ORGANIZATION_ROLES_POINTER", "/organization_roles"),
    ("SUPPORT_CONTACT", "help@example.com"),
    ("CLERK_RATE_SHARE", "50"),
];

/// Every value here is malformed.
const MALFORMED: [(&str, &str); 20] = [
    ("DIRECTORY_TABLE", "a b"),
    ("CLERK_INSTANCE_ID", "ins 1"),
    ("CLERK_SECRET_KEY", "sk test"),
    ("CLERK_ISSUER", "https://clerk.example.com/.well-known/jwks.json"),
    ("ALLOWED_ORIGINS", "https://app.example.com/page"),
    ("PROFILE_WRITABLE", "bio"),
    ("PROFILE_WRITABLE", r#"{"bio":true}"#),
    ("PROFILE_WRITABLE", r#"["pk"]"#),
    ("PROFILE_WRITABLE", r#"["bio",7]"#),
    ("PROFILE_WRITABLE", "**"),
    ("PROFILE_IF_MATCH", "yes"),
    ("ACCOUNT_DELETION", "true"),
    ("USER_VISIBILITY", "everybody"),
    ("ROLE_POINTER", "role"),
    ("ROLE_POINTER", "/"),
    ("ROLE_POINTER", "/a~2"),
    ("ORGANIZATION_ROLES_POINTER", "$.organization_roles"),
    ("MIRROR", "no"),
    ("CLERK_RATE_SHARE", "101"),
    ("PROFILE_DEFAULTS", r#"{"profile_version":1}"#),
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
fn good_settings_of_account_are_read_and_every_variable_is_listed() {
    let settings = read(&GOOD).unwrap();
    assert!(settings.account.deletion && settings.account.requires_if_match && settings.rate_share == 50);
    assert_eq!(settings.account.visibility, UserVisibility::SignedIn);
    assert!(settings.account.pointers.role.is_some() && settings.account.pointers.organization_roles.is_some());
    for (name, _) in GOOD {
        assert!(FUNCTION.variables().any(|variable| variable.name == name), "{name}");
    }
}

#[test]
fn what_account_misses_is_named_all_at_once() {
    let needed = [
        "DIRECTORY_TABLE",
        "PROFILES_TABLE",
        "OPERATIONS_TABLE",
        "CLERK_INSTANCE_ID",
        "CLERK_ISSUER",
        "ALLOWED_ORIGINS",
    ];
    assert_eq!(names(&[]), needed);
    // The key is needed where Clerk is asked alone.
    let without_key: Vec<_> = GOOD.into_iter().filter(|(name, _)| *name != "CLERK_SECRET_KEY").collect();
    assert_eq!(names(&without_key), ["CLERK_SECRET_KEY"]);
    let with = |name, value| without_key.iter().copied().chain([(name, value)]).collect::<Vec<_>>();
    assert!(names(&with("ACCOUNT_DELETION", "off")).is_empty());
    let mut uncopied = with("ACCOUNT_DELETION", "off");
    uncopied.push(("MIRROR", "off"));
    assert_eq!(names(&uncopied), ["CLERK_SECRET_KEY"]);
}

#[test]
fn what_is_malformed_for_account_is_named_and_never_quoted() {
    for (name, value) in MALFORMED {
        let given: Vec<_> = GOOD.into_iter().chain([(name, value)]).collect();
        let problems = read(&given).unwrap_err();
        assert_eq!(problems.names(), [name], "{value}");
        assert!(!problems.to_string().contains(&format!(" {value} ")), "{problems}");
    }
}
