//! Settings of ensure-profile that are missing or malformed: all named at once, and the function does not start.

use ensure_profile::FUNCTION;
use ensure_profile::settings::Settings;
use rollcall::settings::variables::InvalidSettings;
use rollcall_tests::World;
use rollcall_tests::tokens::PUBLIC_KEY;

const GOOD: [(&str, &str); 20] = [
    ("DIRECTORY_TABLE", "rollcall-directory"),
    ("PROFILES_TABLE", "rollcall-profiles"),
    ("OPERATIONS_TABLE", "rollcall-operations"),
    ("CLERK_INSTANCE_ID", "ins_2nUcuErN3glWyZnAP6qLqp85VBT"),
    ("CLERK_ISSUER", "https://clerk.example.com"),
    ("CLERK_JWKS_URL", "https://clerk.example.com/.well-known/jwks.json"),
    ("CLERK_JWT_KEY", PUBLIC_KEY),
    ("CLERK_PUBLISHABLE_KEY", "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k"),
    ("ALLOWED_ORIGINS", "https://app.example.com http://localhost:5173"),
    ("ALLOW_MISSING_AZP", "true"),
    ("SIGN_IN_URL", "https://app.example.com/sign-in"),
    ("ENSURE_POLICY", "create"),
    ("MIRROR", "on"),
    ("ROLES", "admin,owner user"),
    ("PROFILE_DEFAULTS", r#"{"level":1}"#),
    ("MEMBERSHIP_PROFILE_DEFAULTS", "{}"),
    ("SUPPORT_CONTACT", "help@example.com"),
    ("CLERK_API_URL", "https://api.clerk.com"),
    ("CLERK_RATE_SHARE", "50"),
    ("CLERK_SECRET_KEY", "sk_test_x"),
];

/// Every value here is malformed.
const MALFORMED: [(&str, &str); 56] = [
    ("DIRECTORY_TABLE", "a b"),
    ("PROFILES_TABLE", "x"),
    ("OPERATIONS_TABLE", "x"),
    ("CLERK_INSTANCE_ID", "ins 1"),
    ("CLERK_ISSUER", "clerk.acme.org"),
    ("CLERK_ISSUER", "ftp://clerk.acme.org"),
    // The address of the keys, which stands beside it in Clerk's dashboard.
    ("CLERK_ISSUER", "https://clerk.acme.org/.well-known/jwks.json"),
    ("CLERK_ISSUER", "https://clerk.acme.org https://acme.org/__clerk/.well-known/jwks.json"),
    ("CLERK_ISSUER", "https://api.clerk.com/v1/jwks"),
    ("CLERK_ISSUER", "https://clerk.acme.org?x=1"),
    ("CLERK_JWKS_URL", "https://clerk.acme.org"),
    ("CLERK_PUBLISHABLE_KEY", "sk_live_Y2xlcmsuZXhhbXBsZS5jb20k"),
    ("CLERK_PUBLISHABLE_KEY", "pk_live_Y2xlcmsuZXhhbXBsZS5jb20"),
    ("CLERK_JWKS_URL", "/keys/jwks.json"),
    ("CLERK_JWKS_URL", "file:///etc/jwks.json"),
    ("CLERK_JWT_KEY", "a key"),
    ("CLERK_JWT_KEY", "-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----"),
    ("CLERK_JWT_KEY", "-----BEGIN PUBLIC KEY-----"),
    ("ALLOWED_ORIGINS", "shop.acme.org"),
    ("ALLOWED_ORIGINS", "*"),
    ("ALLOWED_ORIGINS", "https://*.acme.org/x"),
    ("ALLOWED_ORIGINS", "https://shop.acme.org/path"),
    ("ALLOWED_ORIGINS", "https://shop.acme.org:443"),
    ("ALLOWED_ORIGINS", "https://SHOP.acme.org"),
    ("ALLOWED_ORIGINS", "https://user@shop.acme.org"),
    ("ALLOWED_ORIGINS", "https://shop.acme.org?x"),
    ("ALLOWED_ORIGINS", "https://my-app-*.vercel.app"),
    ("ALLOWED_ORIGINS", "https://*.com"),
    ("ALLOWED_ORIGINS", "htps://shop.acme.org"),
    ("ALLOWED_ORIGINS", "null"),
    ("ALLOWED_ORIGINS", "https://good.acme.org bad"),
    ("ALLOWED_ORIGINS", " , "),
    ("ALLOW_MISSING_AZP", "yes"),
    ("ALLOW_MISSING_AZP", "1"),
    ("ALLOW_MISSING_AZP", "True"),
    ("SIGN_IN_URL", "/sign-in"),
    ("SIGN_IN_URL", "javascript:alert(1)"),
    ("ENSURE_POLICY", "Create"),
    ("ENSURE_POLICY", "off"),
    ("MIRROR", "true"),
    ("ROLES", "owner of all/everything"),
    ("PROFILE_DEFAULTS", "[]"),
    ("PROFILE_DEFAULTS", "{"),
    ("PROFILE_DEFAULTS", r#"{"pk":"x"}"#),
    ("PROFILE_DEFAULTS", r#"{"user_id":"x"}"#),
    ("PROFILE_DEFAULTS", r#"{"":1}"#),
    ("PROFILE_DEFAULTS", r#"{"n":1e300}"#),
    ("MEMBERSHIP_PROFILE_DEFAULTS", r#""text""#),
    ("MEMBERSHIP_PROFILE_DEFAULTS", r#"{"organization_id":"x"}"#),
    ("MEMBERSHIP_PROFILE_DEFAULTS", r#"{"created_at":0}"#),
    ("SUPPORT_CONTACT", "a\u{7}b"),
    ("CLERK_API_URL", "clerk.acme.org"),
    ("CLERK_RATE_SHARE", "0"),
    ("CLERK_RATE_SHARE", "101"),
    ("CLERK_RATE_SHARE", "20%"),
    ("CLERK_SECRET_KEY", "sk test"),
];

fn read(settings: &[(&str, &str)]) -> Result<Settings, InvalidSettings> {
    Settings::read(&|name| {
        settings.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn without(names: &[&str]) -> Vec<(&'static str, &'static str)> {
    GOOD.into_iter().filter(|(name, _)| !names.contains(name)).collect()
}

#[test]
fn good_settings_are_taken() {
    read(&GOOD).unwrap();
    let required = [
        "DIRECTORY_TABLE",
        "PROFILES_TABLE",
        "OPERATIONS_TABLE",
        "CLERK_INSTANCE_ID",
        "CLERK_ISSUER",
        "ALLOWED_ORIGINS",
        "CLERK_SECRET_KEY",
    ];
    let bare: Vec<_> = GOOD.into_iter().filter(|(name, _)| required.contains(name)).collect();
    read(&bare).unwrap();
    for missing in required {
        let rest: Vec<_> = bare.iter().copied().filter(|(name, _)| *name != missing).collect();
        for rest in [rest.clone(), [&rest[..], &[(missing, " ")]].concat()] {
            let error = read(&rest).unwrap_err();
            assert_eq!(error.names(), [missing]);
            assert!(error.to_string().contains("is missing: expected"), "{error}");
        }
    }
    assert_eq!(read(&[]).unwrap_err().names().len(), required.len());
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
    let long = "x".repeat(201);
    assert_eq!(read(&[&GOOD[..], &[("SUPPORT_CONTACT", &long)]].concat()).unwrap_err().names(), ["SUPPORT_CONTACT"]);
}

#[test]
fn several_forms_of_one_value_are_the_same() {
    for origins in [
        "https://app.example.com",
        "https://app.example.com/",
        " https://app.example.com ",
        "https://app.example.com,",
        "https://app.example.com\n",
    ] {
        let settings = read(&[&GOOD[..], &[("ALLOWED_ORIGINS", origins)]].concat()).unwrap();
        assert_eq!(settings.sessions.origins().home(), Some("https://app.example.com"), "{origins:?}");
    }
    let many = "https://a.example.com, https://b.example.com\thttp://localhost:3000";
    let settings = read(&[&GOOD[..], &[("ALLOWED_ORIGINS", many)]].concat()).unwrap();
    for one in many.split([' ', ',', '\t']).filter(|one| !one.is_empty()) {
        assert!(settings.sessions.origins().allow(one), "{one}");
    }
    // An application that is no web page, and a site for each branch.
    for apps in ["tauri://localhost capacitor://localhost", "https://*.example.com"] {
        read(&[&GOOD[..], &[("ALLOWED_ORIGINS", apps)]].concat()).unwrap();
    }
    // One line, as a template's parameter holds it.
    let key = PUBLIC_KEY.trim().replace('\n', "\\n");
    read(&[&GOOD[..], &[("CLERK_JWT_KEY", &key)]].concat()).unwrap();
}

#[test]
fn verify_needs_no_key_and_something_to_verify() {
    let verify = ("ENSURE_POLICY", "verify");
    read(&[&without(&["CLERK_SECRET_KEY"])[..], &[verify]].concat()).unwrap();
    let error = read(&[&GOOD[..], &[verify, ("MIRROR", "off")]].concat()).unwrap_err();
    assert_eq!(error.to_string(), "ENSURE_POLICY is verify, but with MIRROR=off there is no copy to verify");
}

#[test]
fn two_tables_must_be_two() {
    let error = read(&[&GOOD[..], &[("PROFILES_TABLE", "rollcall-directory")]].concat()).unwrap_err();
    assert_eq!(error.names(), ["PROFILES_TABLE"]);
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
    let mut said: Vec<&str> = FUNCTION.variables().map(|variable| variable.name).collect();
    asked.sort();
    said.sort_unstable();
    assert_eq!(asked, said);
}

#[tokio::test]
async fn settings_do_not_show_their_secrets() {
    let shown = format!("{:?}", read(&GOOD).unwrap());
    assert!(!shown.contains("sk_test_x"), "{shown}");
    let world = World::start().await;
    let shown = format!("{:?}", world.functions.ensure_profile);
    assert!(!shown.contains(&world.stack.addresses.clerk_secret_key));
}
