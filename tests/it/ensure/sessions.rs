//! Session tokens: every published case, a table of bad tokens, and the keys that come and go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rollcall::adapters::clerk::session_tokens::{SessionTokens, TokenRejected};
use rollcall::core::millis::Millis;
use rollcall::core::session::claims::{ActiveOrganization, Claim, Rejection, Rules, SKEW_SECONDS, Session};
use rollcall::core::session::origins::Origins;
use rollcall_tests::serve;
use rollcall_tests::tokens::{
    FOREIGN_KEY, ISSUER, KEY, KEY_ID, ORIGIN, PUBLIC_KEY, claims, header, parts, sign, sign_as,
};
use serde_json::{Value, json};

const VECTORS: &str = include_str!("../../contracts/clerk-jwt-vectors.json");
pub(crate) const NOW: u64 = 1_800_000_000;

fn rules() -> Rules {
    Rules {
        issuers: vec![ISSUER.to_owned()],
        origins: Origins::parse(&format!("{ORIGIN} https://admin.example.com")).unwrap(),
        allow_missing_azp: false,
        skew_seconds: SKEW_SECONDS,
    }
}

fn seconds(now: u64) -> Millis {
    Millis::try_from(i64::try_from(now * 1000).unwrap()).unwrap()
}

async fn verify_with(rules: Rules, token: &str) -> Result<Session, Rejection> {
    let tokens = SessionTokens::with_pem(rules, PUBLIC_KEY).unwrap();
    tokens.verify(token, seconds(NOW)).await.map_err(|refused| match refused {
        TokenRejected::Rule(rejection) => rejection,
        TokenRejected::KeysUnavailable(_) => panic!("a PEM is always there"),
    })
}

async fn verify(token: &str) -> Result<Session, Rejection> {
    verify_with(rules(), token).await
}

#[tokio::test]
async fn every_published_case_gives_its_verdict() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 18);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let origins = case["authorized_parties"].as_array().unwrap();
        let rules = Rules {
            issuers: vec!["https://clerk.inspired.puma-74.lcl.dev".to_owned()],
            // Without any, the SDK accepts all; here that is no setting that can be made.
            origins: Origins::parse(
                &origins.iter().map(|origin| origin.as_str().unwrap()).collect::<Vec<_>>().join(" "),
            )
            .unwrap_or_default(),
            allow_missing_azp: false,
            skew_seconds: u32::try_from(case["clock_skew_seconds"].as_u64().unwrap()).unwrap(),
        };
        let key = vectors["keys"][case["key"].as_str().unwrap()]["pem"].as_str().unwrap();
        let token = vectors["tokens"][case["token"].as_str().unwrap()].as_str().unwrap();
        let tokens = SessionTokens::with_pem(rules, key).unwrap();
        let verdict = tokens.verify(token, seconds(case["now"].as_u64().unwrap())).await;
        let expected = if verdict.is_ok() { "valid" } else { "invalid" };
        assert_eq!(case["expected"], expected, "{name}: {verdict:?}");
    }
    // The tokens that no case names are bad ones.
    for name in ["unsigned-alg-none", "mockMalformedJwt", "malformed-not-base64"] {
        let token = vectors["tokens"][name].as_str().unwrap();
        let tokens = SessionTokens::with_pem(rules(), vectors["keys"]["instance"]["pem"].as_str().unwrap()).unwrap();
        assert!(tokens.verify(token, seconds(1_666_648_250)).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_good_token_says_who_it_is_in_both_versions() {
    let session = verify(&sign(&header(), &claims(NOW), KEY)).await.unwrap();
    let permissions = ["org:teams:manage", "org:teams:read", "org:billing:read"].map(str::to_owned).to_vec();
    let organization = Some(ActiveOrganization {
        id: "org_1".parse().unwrap(),
        slug: Some("acme".to_owned()),
        role: Some("org:admin".to_owned()),
        permissions,
    });
    let expected = Session {
        user: "user_1".parse().unwrap(),
        organization: organization.clone(),
        db_id: Claim { metadata: Some("the-id".to_owned()), top: None },
        role: Claim { metadata: Some("admin".to_owned()), top: None },
        actor: None,
        first_factor_age: Some(3),
        issued_at: Some(NOW),
    };
    assert_eq!(session, expected);
    let old = json!({
        "azp": ORIGIN, "exp": NOW + 60, "iat": NOW, "iss": ISSUER, "nbf": NOW, "sid": "sess_1", "sub": "user_1",
        "org_id": "org_1", "org_role": "org:admin", "org_slug": "acme",
        "org_permissions": ["org:teams:manage", "org:teams:read", "org:billing:read"], "dbId": "the-id", "role": "user",
    });
    let session = verify(&sign(&header(), &old, KEY)).await.unwrap();
    assert_eq!((session.organization, session.role.top.as_deref()), (organization, Some("user")));
}

#[tokio::test]
async fn the_organization_claim_of_version_2_decodes_as_published() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    for case in vectors["v2_organization_claim"].as_array().unwrap() {
        let mut claims = claims(NOW);
        for (name, value) in case["claims"].as_object().unwrap() {
            claims[name] = value.clone();
        }
        let organization = verify(&sign(&header(), &claims, KEY)).await.unwrap().organization.unwrap();
        assert_eq!(json!(organization.role), case["org_role"]);
        let (got, expected): (BTreeSet<_>, BTreeSet<_>) = (
            organization.permissions.iter().map(String::as_str).collect(),
            case["org_permissions"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect(),
        );
        assert_eq!(got, expected, "{}", case["source"]);
    }
}

/// Tokens that the instance's own key has signed, and that are no good all the same.
pub(crate) fn signed_but_wrong() -> Vec<(String, String, Rejection)> {
    use Rejection::{
        AuthorizedParty, Category, Critical, Expired, IssuedInFuture, Issuer, Machine, Malformed, NotYetValid, Pending,
        SessionId, Subject, Type,
    };
    let mut cases = Vec::new();
    let mut claim = |name: &str, value: Value, rejection| {
        let mut claims = claims(NOW);
        let shown = format!("{name} = {value}");
        if value == "MISSING" {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        cases.push((shown, sign(&header(), &claims, KEY), rejection));
    };
    for wrong in [json!("MISSING"), Value::Null, json!(1), json!(""), json!("user 1"), json!("a#b")] {
        claim("sub", wrong, Subject);
    }
    for wrong in [json!(["user_1"]), json!({})] {
        claim("sub", wrong, Malformed);
    }
    claim("sub", json!("mch_1"), Machine);
    for wrong in [NOW - 5, NOW - 6, NOW - 86_400, 0] {
        claim("exp", json!(wrong), Expired);
    }
    for wrong in [json!("MISSING"), Value::Null, json!("1800000060"), json!([]), json!(true)] {
        claim("exp", wrong, Malformed);
    }
    claim("exp", json!(-1), Expired);
    for wrong in [NOW + 6, NOW + 3600, u64::MAX] {
        claim("nbf", json!(wrong), NotYetValid);
        claim("iat", json!(wrong), IssuedInFuture);
    }
    for name in ["nbf", "iat"] {
        claim(name, json!("soon"), Malformed);
    }
    let other = "https://clerk.example.org";
    for wrong in [
        json!("MISSING"),
        Value::Null,
        json!(""),
        json!(other),
        json!(format!("{ISSUER}/")),
        json!("http://clerk.example.com"),
    ] {
        claim("iss", wrong, Issuer);
    }
    claim("iss", json!([ISSUER]), Malformed);
    for wrong in [
        json!("MISSING"),
        Value::Null,
        json!(""),
        json!("null"),
        json!("https://evil.example.com"),
        json!("http://app.example.com"),
        json!("https://app.example.com/"),
        json!("https://app.example.com:443"),
        json!("https://app.example.com.evil.com"),
        json!("https://APP.example.com"),
        json!("app.example.com"),
    ] {
        claim("azp", wrong, AuthorizedParty);
    }
    claim("azp", json!([ORIGIN]), Malformed);
    claim("sts", json!("pending"), Pending);
    for wrong in [json!("MISSING"), Value::Null, json!(""), json!("sess_"), json!("1"), json!(7), json!(["sess_1"])] {
        claim("sid", wrong, SessionId);
    }
    claim("o", json!("org_1"), Malformed);
    claim("o", json!({ "id": "org 1" }), Malformed);
    claim("fva", json!("now"), Malformed);
    let mut head = |name: &str, value: Value, rejection| {
        let mut header = header();
        header[name] = value.clone();
        cases.push((format!("header {name} = {value}"), sign(&header, &claims(NOW), KEY), rejection));
    };
    for wrong in [Value::Null, json!(""), json!("jwt"), json!("at+jwt"), json!("application/at+jwt"), json!("JWS")] {
        head("typ", wrong, Type);
    }
    head("typ", json!(["JWT"]), Malformed);
    head("cat", json!("cl_B7d4PD333AAA"), Machine);
    // A JWT template's (github.com/clerk/javascript/pull/9469), unknown ones, and what is no text.
    for wrong in ["cl_B7d4PD222AAA", "cl_B7d4PD444AAA", "", " ", "session", "CL_B7D4PD111AAA", "cl_B7d4PD111AAA "] {
        head("cat", json!(wrong), Category);
    }
    for wrong in [Value::Null, json!(111), json!(true), json!(["cl_B7d4PD111AAA"]), json!({})] {
        head("cat", wrong, Category);
    }
    for wrong in [json!(["exp"]), json!([])] {
        head("crit", wrong, Critical);
    }
    head("crit", json!("exp"), Malformed);
    cases
}

/// Tokens that the instance's key has not signed.
pub(crate) fn not_signed() -> Vec<(String, String, Rejection)> {
    use Rejection::{Algorithm as Alg, Malformed, Signature};
    let good = sign(&header(), &claims(NOW), KEY);
    let (body, signature) = good.rsplit_once('.').unwrap();
    let payload = body.split_once('.').unwrap().1;
    let with_alg = |alg: Value| {
        let mut header = header();
        header["alg"] = alg;
        header
    };
    let mut cases = Vec::new();
    let mut add = |name: &str, token: String, rejection| cases.push((name.to_owned(), token, rejection));
    add("foreign key", sign(&header(), &claims(NOW), FOREIGN_KEY), Signature);
    add("no signature", format!("{body}."), Signature);
    add("half a signature", format!("{body}.{}", &signature[..100]), Signature);
    add(
        "another token's signature",
        {
            let other = sign(&header(), &claims(NOW - 1), KEY);
            format!("{body}.{}", other.rsplit_once('.').unwrap().1)
        },
        Signature,
    );
    add("zeros for a signature", format!("{body}.{}", URL_SAFE_NO_PAD.encode([0_u8; 256])), Signature);
    add(
        "another payload",
        {
            let mut claims = claims(NOW);
            claims["sub"] = "user_2".into();
            format!("{}.{signature}", parts(&header(), &claims))
        },
        Signature,
    );
    for alg in ["none", "None", "HS256", "RS384", "RS512", "PS256", "ES256", "EdDSA", "rs256", ""] {
        add(&format!("alg {alg}"), format!("{}.{signature}", parts(&with_alg(alg.into()), &claims(NOW))), Alg);
    }
    add("alg none, unsigned", format!("{}.", parts(&with_alg("none".into()), &claims(NOW))), Alg);
    add("no alg", format!("{}.{signature}", parts(&with_alg(Value::Null), &claims(NOW))), Alg);
    // The public key as an HMAC secret: the oldest trick.
    let confused = parts(&with_alg("HS256".into()), &claims(NOW));
    add(
        "HS256 with the public key",
        sign_as(Algorithm::HS256, &EncodingKey::from_secret(PUBLIC_KEY.as_bytes()), &confused),
        Alg,
    );
    let confused = parts(&header(), &claims(NOW));
    let hmac = sign_as(Algorithm::HS256, &EncodingKey::from_secret(PUBLIC_KEY.as_bytes()), &confused);
    add("HS256 said to be RS256", hmac, Signature);
    let key = EncodingKey::from_rsa_pem(KEY.as_bytes()).unwrap();
    add("RS512 said to be RS256", sign_as(Algorithm::RS512, &key, &confused), Signature);
    for (name, token) in [
        ("nothing", String::new()),
        ("a word", "whatever".to_owned()),
        ("two parts", body.to_owned()),
        ("four parts", format!("{good}.x")),
        ("five parts", "a.b.c.d.e".to_owned()),
        ("dots", "..".to_owned()),
        ("no base64", format!("%%%.{payload}.{signature}")),
        ("no JSON", format!("YWJj.{payload}.{signature}")),
        ("a header that is a list", format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode("[]"))),
        ("white space before", format!(" {good}")),
        ("a line break", format!("{}\n{}", &good[..40], &good[40..])),
        ("Bearer left in", format!("Bearer {good}")),
    ] {
        add(name, token, Malformed);
    }
    cases
}

#[tokio::test]
async fn every_bad_token_breaks_its_rule() {
    let cases = [signed_but_wrong(), not_signed()].concat();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for (name, token, rejection) in &cases {
        let verdict = verify(token).await;
        if verdict != Err(*rejection) {
            wrong.push(format!("{name}: {verdict:?}, expected {rejection:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} bad tokens", cases.len());
}

#[tokio::test]
async fn i17_only_the_categories_of_sessions_open_one() {
    let token = |category: Value| {
        let mut header = header();
        if category.is_null() {
            header.as_object_mut().unwrap().remove("cat");
        } else {
            header["cat"] = category;
        }
        sign(&header, &claims(NOW), KEY)
    };
    for (category, verdict) in [
        (Value::Null, Ok(())),
        (json!("cl_B7d4PD111AAA"), Ok(())),
        (json!("cl_I7d4PD111III"), Ok(())),
        (json!("cl_B7d4PD222AAA"), Err(Rejection::Category)),
        (json!("cl_B7d4PD333AAA"), Err(Rejection::Machine)),
        (json!("cl_B7d4PD999AAA"), Err(Rejection::Category)),
        (json!(""), Err(Rejection::Category)),
        (json!(1), Err(Rejection::Category)),
    ] {
        assert_eq!(verify(&token(category.clone())).await.map(|_| ()), verdict, "{category}");
    }
    // Clerk's Session Minter says in the header when it first issued the session's token.
    let mut minted = header();
    minted["oiat"] = json!(NOW - 3_600);
    assert!(verify(&sign(&minted, &claims(NOW), KEY)).await.is_ok());
    // As a template's token is: no session, years to live.
    let mut template = claims(NOW);
    template.as_object_mut().unwrap().remove("sid");
    template["exp"] = json!(NOW + 315_360_000);
    assert_eq!(verify(&sign(&header(), &template, KEY)).await, Err(Rejection::SessionId));
}

#[tokio::test]
async fn fault_b11_a_satellite_and_a_proxied_frontend_api_issue_sessions_of_the_same_instance() {
    let proxied = "https://app.example.com/__clerk";
    let both = Rules { issuers: vec![ISSUER.to_owned(), proxied.to_owned()], ..rules() };
    for issuer in [ISSUER, proxied] {
        let mut claims = claims(NOW);
        claims["iss"] = json!(issuer);
        assert!(verify_with(both.clone(), &sign(&header(), &claims, KEY)).await.is_ok(), "{issuer}");
    }
    let mut claims = claims(NOW);
    claims["iss"] = json!("https://clerk.example.org");
    assert_eq!(verify_with(both, &sign(&header(), &claims, KEY)).await, Err(Rejection::Issuer));
}

#[tokio::test]
async fn fault_b17_the_actor_of_an_impersonation_is_known_by_its_id_alone() {
    for (act, actor) in [
        (json!({ "sub": "user_2", "iss": "https://dashboard.clerk.com" }), Some("user_2")),
        (json!({ "sub": "somebody@example.com" }), Some("unknown")),
        (json!({ "sub": "agt_2" }), Some("unknown")),
        (json!({}), Some("unknown")),
        (json!("user_2"), Some("unknown")),
        (Value::Null, None),
    ] {
        let mut claims = claims(NOW);
        claims["act"] = act.clone();
        let session = verify(&sign(&header(), &claims, KEY)).await.unwrap();
        assert_eq!((session.actor.as_deref(), session.is_impersonated()), (actor, actor.is_some()), "{act}");
    }
}

#[tokio::test]
async fn clocks_may_differ_by_five_seconds_and_no_more() {
    for (name, offset, good) in [
        ("exp", -4_i64, true),
        ("exp", -5, false),
        ("nbf", 5, true),
        ("nbf", 6, false),
        ("iat", 5, true),
        ("iat", 6, false),
    ] {
        let mut claims = claims(NOW);
        claims[name] = NOW.checked_add_signed(offset).unwrap().into();
        assert_eq!(verify(&sign(&header(), &claims, KEY)).await.is_ok(), good, "{name} {offset}");
    }
}

#[tokio::test]
async fn a_token_without_an_origin_is_accepted_only_where_that_is_allowed() {
    let mut claims = claims(NOW);
    claims.as_object_mut().unwrap().remove("azp");
    let token = sign(&header(), &claims, KEY);
    assert_eq!(verify(&token).await, Err(Rejection::AuthorizedParty));
    let lax = Rules { allow_missing_azp: true, ..rules() };
    assert!(verify_with(lax.clone(), &token).await.is_ok());
    claims["azp"] = "https://evil.example.com".into();
    assert_eq!(verify_with(lax, &sign(&header(), &claims, KEY)).await, Err(Rejection::AuthorizedParty));
}

#[tokio::test]
async fn a_rejection_does_not_echo_the_token() {
    for (name, token, _) in [signed_but_wrong(), not_signed()].concat() {
        let tokens = SessionTokens::with_pem(rules(), PUBLIC_KEY).unwrap();
        let Err(refused) = tokens.verify(&token, seconds(NOW)).await else { panic!("{name}") };
        let shown = format!("{refused} {refused:?}");
        assert!(token.len() < 20 || !shown.contains(&token[..20]), "{name}: {shown}");
    }
}

/// What an instance publishes, and how often it was asked.
struct Instance {
    tokens: SessionTokens,
    asked: Arc<AtomicU32>,
}

async fn instance(status: u16, keys: Value) -> Instance {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let handler = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        (axum::http::StatusCode::from_u16(status).unwrap(), axum::Json(json!({ "keys": keys })))
    };
    let url = serve(axum::Router::new().fallback(handler)).await;
    Instance { tokens: SessionTokens::with_jwks(rules(), url.parse().unwrap()), asked }
}

/// The public key as Clerk publishes it.
fn jwk(kid: &str) -> Value {
    let key = EncodingKey::from_rsa_pem(KEY.as_bytes()).unwrap();
    let mut jwk = json!(jsonwebtoken::jwk::Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap());
    jwk["kid"] = kid.into();
    jwk
}

fn with_kid(kid: &str) -> String {
    let mut header = header();
    header["kid"] = kid.into();
    sign(&header, &claims(NOW), KEY)
}

#[tokio::test]
async fn published_keys_are_fetched_once_and_a_flood_of_unknown_ones_asks_once_a_minute() {
    // A key that cannot be read stands beside the good one.
    let Instance { tokens, asked } = instance(200, json!([{ "kty": "junk" }, jwk(KEY_ID)])).await;
    let good = with_kid(KEY_ID);
    for _ in 0..20 {
        assert!(tokens.verify(&good, seconds(NOW)).await.is_ok());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    for n in 0..100 {
        let refused = tokens.verify(&with_kid(&format!("ins_{n}")), seconds(NOW + 10)).await;
        assert!(matches!(refused, Err(TokenRejected::Rule(Rejection::UnknownKey))), "{refused:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "within the minute of the first request");
    for n in 0..100 {
        assert!(tokens.verify(&with_kid(&format!("ins_{n}")), seconds(NOW + 61)).await.is_err());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let mut nameless = header();
    nameless.as_object_mut().unwrap().remove("kid");
    let refused = tokens.verify(&sign(&nameless, &claims(NOW), KEY), seconds(NOW)).await;
    assert!(matches!(refused, Err(TokenRejected::Rule(Rejection::UnknownKey))), "{refused:?}");
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_no_verdict_about_the_token() {
    let Instance { tokens, asked } = instance(500, json!([])).await;
    for _ in 0..5 {
        let refused = tokens.verify(&with_kid(KEY_ID), seconds(NOW)).await;
        assert!(matches!(refused, Err(TokenRejected::KeysUnavailable(_))), "{refused:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "and nobody asks again at once");
    assert!(tokens.verify(&with_kid(KEY_ID), seconds(NOW + 2)).await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 2, "but soon: until then nobody is let in");
    // An instance without a key signs nothing, so that a list without one is none of its own.
    let Instance { tokens, .. } = instance(200, json!([])).await;
    let refused = tokens.verify(&with_kid(KEY_ID), seconds(NOW)).await;
    assert!(matches!(refused, Err(TokenRejected::KeysUnavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_session_of_the_emulated_clerk_passes_before_and_after_its_keys_change() {
    let clerk =
        clerk_emulator::Emulator::start(clerk_emulator::Config { users: 1, ..Default::default() }).await.unwrap();
    let rules = Rules {
        issuers: vec![clerk.issuer().to_owned()],
        origins: Origins::parse(clerk_emulator::FRONT_END).unwrap(),
        allow_missing_azp: false,
        skew_seconds: SKEW_SECONDS,
    };
    let tokens = SessionTokens::with_jwks(rules, clerk.jwks_url().parse().unwrap());
    let http = reqwest::Client::new();
    let call = async |method: reqwest::Method, path: &str, body: Value| {
        let request = http.request(method, format!("{}/v1{path}", clerk.url())).bearer_auth(clerk.secret_key());
        request.json(&body).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let user = call(reqwest::Method::GET, "/users", json!({})).await[0]["id"].clone();
    let session = call(reqwest::Method::POST, "/sessions", json!({ "user_id": user })).await["id"].clone();
    let path = format!("/sessions/{}/tokens", session.as_str().unwrap());
    let started = machine_time();
    for rotated in [false, true] {
        if rotated {
            let _ = clerk.rotate_keys(true);
        }
        let token = call(reqwest::Method::POST, &path, json!({})).await["jwt"].as_str().unwrap().to_owned();
        // The second key is asked for no sooner than a minute after the first, which no token outlives.
        let now = Millis::try_from(started + if rotated { 60_000 } else { 0 }).unwrap();
        let verified = tokens.verify(&token, now).await.unwrap();
        assert_eq!(json!(verified.user), user);
    }
    let keys = clerk.requests().get("GET /.well-known/jwks.json").copied();
    assert_eq!(keys, Some(2));
    clerk.stop().await.unwrap();
}

/// Unix ms: the emulator goes by the machine's clock.
#[expect(clippy::disallowed_methods, reason = "so does a session of the emulated Clerk")]
fn machine_time() -> i64 {
    i64::try_from(Millis::from(std::time::SystemTime::now()).get()).unwrap()
}
