//! Settings that are missing or malformed: all named at once, and the function does not start.

use rollcall_tests::World;
use webhook::FUNCTION;
use webhook::settings::Settings;

const GOOD: [(&str, &str); 9] = [
    ("DIRECTORY_TABLE", "rollcall-directory"),
    ("OPERATIONS_TABLE", "rollcall-operations"),
    ("CLERK_INSTANCE_ID", "ins_2nUcuErN3glWyZnAP6qLqp85VBT"),
    ("CLERK_API_URL", "https://api.clerk.com"),
    ("CLERK_SECRET_KEY", "sk_test_x"),
    ("CLERK_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("DELETION_POLICY", "purge"),
    ("MIRROR", "off"),
    ("ROLES", "admin,user,owner"),
];

/// Every value here is malformed.
const MALFORMED: [(&str, &str); 35] = [
    ("DIRECTORY_TABLE", "ab"),
    ("DIRECTORY_TABLE", "with space"),
    ("DIRECTORY_TABLE", "slash/ed"),
    ("DIRECTORY_TABLE", "Größe"),
    ("OPERATIONS_TABLE", "x"),
    ("OPERATIONS_TABLE", "a#b"),
    ("OPERATIONS_TABLE", "arn:aws:dynamodb:eu-west-1:1:table/a b"),
    ("CLERK_INSTANCE_ID", "ins 1"),
    ("CLERK_INSTANCE_ID", "ins/1"),
    ("CLERK_INSTANCE_ID", "ins#1"),
    ("CLERK_INSTANCE_ID", "ïns_1"),
    ("CLERK_API_URL", "clerk.example.com"),
    ("CLERK_API_URL", "/v1"),
    ("CLERK_API_URL", "ftp://clerk.example.com"),
    ("CLERK_API_URL", "https:///"),
    ("CLERK_API_URL", "https//clerk.example.com"),
    ("CLERK_API_URL", "mailto:a@example.com"),
    ("CLERK_SECRET_KEY", "sk test"),
    ("CLERK_SECRET_KEY", "sk_test\nsk_test"),
    ("CLERK_SECRET_KEY", "sk_tést"),
    ("CLERK_WEBHOOK_SECRET", "whsec_"),
    ("CLERK_WEBHOOK_SECRET", "whsec_***not-base64***"),
    ("CLERK_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw whsec_"),
    ("CLERK_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("CLERK_WEBHOOK_SECRET", "https://dashboard.clerk.com"),
    ("DELETION_POLICY", "delete"),
    ("DELETION_POLICY", "Redact"),
    ("DELETION_POLICY", "redact,purge"),
    ("DELETION_POLICY", "1"),
    ("MIRROR", "true"),
    ("MIRROR", "On"),
    ("MIRROR", "0"),
    ("MIRROR", "no"),
    ("MIRROR", "on off"),
    ("ROLES", "owner/all"),
];

fn read(settings: &[(&str, &str)]) -> Result<Settings, rollcall::settings::variables::InvalidSettings> {
    Settings::read(&|name| {
        settings.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn good_settings_are_taken() {
    read(&GOOD).unwrap();
    // What has a default may be left out, and what is blank counts as left out.
    let optional = ["CLERK_API_URL", "DELETION_POLICY", "MIRROR", "ROLES"];
    let required: Vec<_> = GOOD.into_iter().filter(|(name, _)| !optional.contains(name)).collect();
    read(&required).unwrap();
    read(&[&required[..], &optional.map(|name| (name, " "))].concat()).unwrap();
}

#[test]
fn each_malformed_setting_is_named_and_its_value_is_not_repeated() {
    for (name, value) in MALFORMED {
        let error = read(&[&GOOD[..], &[(name, value)]].concat()).unwrap_err();
        assert_eq!(error.names(), [name], "{value}");
        let text = error.to_string();
        assert!(text.contains("is invalid: expected"), "{text}");
        assert!(value.len() < 9 || !text.contains(value), "{text}");
    }
}

#[test]
fn each_missing_setting_is_named_and_all_of_them_at_once() {
    let required =
        ["DIRECTORY_TABLE", "OPERATIONS_TABLE", "CLERK_INSTANCE_ID", "CLERK_SECRET_KEY", "CLERK_WEBHOOK_SECRET"];
    for missing in required {
        let rest: Vec<_> = GOOD.into_iter().filter(|(name, _)| *name != missing).collect();
        for settings in [rest.clone(), [&rest[..], &[(missing, "")]].concat(), [&rest[..], &[(missing, "  ")]].concat()]
        {
            let error = read(&settings).unwrap_err();
            assert_eq!(error.names(), [missing]);
            assert!(error.to_string().contains("is missing: expected"), "{error}");
        }
    }
    assert_eq!(read(&[]).unwrap_err().names(), required);
    let mixed = read(&[("MIRROR", "maybe"), ("CLERK_API_URL", "nowhere")]).unwrap_err();
    assert_eq!(mixed.names().len(), required.len() + 2, "{mixed}");
}

#[test]
fn the_function_reads_what_it_says_it_reads() {
    let asked = std::cell::RefCell::new(Vec::new());
    let _ = Settings::read(&|name| {
        asked.borrow_mut().push(name.to_owned());
        None
    });
    // `main.rs` follows ROLLCALL_SECRET_ARN before the settings are read.
    asked.borrow_mut().push("ROLLCALL_SECRET_ARN".to_owned());
    let mut asked = asked.into_inner();
    let said = FUNCTION.variables().flat_map(|variable| [Some(variable.name), variable.name_in_clerks_sdks()]);
    let mut said: Vec<&str> = said.flatten().collect();
    asked.sort();
    said.sort_unstable();
    assert_eq!(asked, said);
}

#[tokio::test]
async fn settings_do_not_show_their_secrets() {
    let shown = format!("{:?}", read(&GOOD).unwrap());
    assert!(!shown.contains("sk_test_x") && !shown.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "{shown}");
    let world = World::start().await;
    let shown = format!("{:?}", world.functions.webhook);
    assert!(
        !shown.contains(&world.stack.addresses.clerk_secret_key)
            && !shown.contains(&world.stack.addresses.webhook_secret)
    );
}
