//! Sessions and the tokens that the Backend API makes of them.

use std::{collections::BTreeSet, fs};

use clerk_emulator::{Config, FRONT_END, INSTANCE_ID, RateLimits};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Map, Value, json};

use crate::support::{Answer, Clerk, Endpoint, FrozenClock, NOW, delivering_to, id, read};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The JWKS as everybody may see it.
pub(crate) async fn jwks(clerk: &Clerk) -> Answer {
    read(clerk.client.get(clerk.emulator.jwks_url())).await
}

/// The claims of a token whose signature is that of a key in the JWKS, whatever the time.
pub(crate) async fn verified(clerk: &Clerk, token: &str) -> Result<Map<String, Value>, String> {
    let keys: JwkSet = serde_json::from_value(jwks(clerk).await.ok()).expect("a JWKS");
    let header = jsonwebtoken::decode_header(token).map_err(|error| error.to_string())?;
    let kid = header.kid.ok_or("no kid")?;
    let key = DecodingKey::from_jwk(keys.find(&kid).ok_or("unknown kid")?).map_err(|error| error.to_string())?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode(token, &key, &validation).map(|token| token.claims).map_err(|error| error.to_string())
}

async fn session(clerk: &Clerk, user: &Value, organization: &Value) -> Value {
    let body = json!({"user_id": user["id"], "active_organization_id": organization["id"]});
    clerk.post("/v1/sessions", body).await.ok()
}

async fn token(clerk: &Clerk, session: &Value) -> Answer {
    clerk.post(&format!("/v1/sessions/{}/tokens", id(session)), json!({})).await
}

async fn claims(clerk: &Clerk, session: &Value) -> Map<String, Value> {
    let answer = token(clerk, session).await.ok();
    assert_eq!(answer["object"], "token");
    verified(clerk, answer["jwt"].as_str().unwrap()).await.expect("a good signature")
}

async fn frozen() -> (FrozenClock, Clerk) {
    let clock = FrozenClock::new();
    let config = Config { clock: clock.clock(), ..Config::default() };
    (clock, Clerk::start(config).await)
}

#[tokio::test]
async fn a_session_is_active_until_it_is_revoked() {
    let (clock, clerk) = frozen().await;
    let ada = clerk.create_user("ada").await;
    let session = session(&clerk, &ada, &Value::Null).await;
    let path = format!("/v1/sessions/{}", id(&session));
    assert_eq!(clerk.get(&path).await.ok(), session);
    assert_eq!((&session["user_id"], &session["status"]), (&ada["id"], &json!("active")));
    assert_eq!((&session["created_at"], &session["expire_at"]), (&json!(NOW), &json!(NOW + 7 * DAY_MS)));
    token(&clerk, &session).await.ok();

    clock.advance(5);
    let revoked = clerk.call("POST", &format!("{path}/revoke"), None).await.ok();
    assert_eq!((&revoked["status"], &revoked["updated_at"]), (&json!("revoked"), &json!(NOW + 5)));
    assert_eq!(token(&clerk, &session).await.refusal(), (401, "authentication_invalid"));
    clock.advance(5);
    assert_eq!(clerk.call("POST", &format!("{path}/revoke"), None).await.ok(), revoked, "once is enough");
}

#[tokio::test]
async fn a_session_runs_out_after_a_week() {
    let (clock, clerk) = frozen().await;
    let session = session(&clerk, &clerk.create_user("ada").await, &Value::Null).await;
    clock.advance(7 * DAY_MS - 1);
    token(&clerk, &session).await.ok();
    clock.advance(1);
    assert_eq!(clerk.get(&format!("/v1/sessions/{}", id(&session))).await.ok()["status"], "expired");
    assert_eq!(token(&clerk, &session).await.refusal(), (401, "authentication_invalid"));
}

#[tokio::test]
async fn who_is_banned_or_deleted_has_no_session_left() {
    let clerk = Clerk::start(Config::default()).await;
    let (ada, grace) = (clerk.create_user("ada").await, clerk.create_user("grace").await);
    let (of_ada, of_grace) = (session(&clerk, &ada, &Value::Null).await, session(&clerk, &grace, &Value::Null).await);
    let status =
        async |session: &Value| clerk.get(&format!("/v1/sessions/{}", id(session))).await.ok()["status"].clone();

    clerk.post(&format!("/v1/users/{}/ban", id(&ada)), json!({})).await.ok();
    assert_eq!((status(&of_ada).await, status(&of_grace).await), (json!("revoked"), json!("active")));
    assert_eq!(token(&clerk, &of_ada).await.refusal(), (401, "authentication_invalid"));
    assert_eq!(clerk.post("/v1/sessions", json!({"user_id": ada["id"]})).await.refusal(), (400, "user_banned"));
    clerk.post(&format!("/v1/users/{}/unban", id(&ada)), json!({})).await.ok();
    assert_eq!(status(&of_ada).await, "revoked", "an unban gives no session back");
    token(&clerk, &session(&clerk, &ada, &Value::Null).await).await.ok();

    clerk.delete(&format!("/v1/users/{}", id(&grace))).await.ok();
    assert_eq!((status(&of_ada).await, status(&of_grace).await), (json!("revoked"), json!("removed")));
    assert_eq!(token(&clerk, &of_grace).await.refusal(), (404, "resource_not_found"));
    assert_eq!(
        clerk.post("/v1/sessions", json!({"user_id": grace["id"]})).await.refusal(),
        (404, "resource_not_found")
    );
}

#[tokio::test]
async fn impossible_sessions_and_tokens_are_refused() {
    let clerk = Clerk::start(Config::default()).await;
    let (ada, acme) = (clerk.create_user("ada").await, clerk.create_organization("Acme", &Value::Null).await);
    for (body, refusal) in [
        (json!({}), (422, "form_param_missing")),
        (json!({"user_id": ada["id"], "shoe_size": 42}), (422, "form_param_unknown")),
        (json!({"user_id": ada["id"], "active_organization_id": acme["id"]}), (404, "resource_not_found")),
        (json!({"user_id": ada["id"], "active_organization_id": "org_nowhere"}), (404, "resource_not_found")),
    ] {
        assert_eq!(clerk.post("/v1/sessions", body.clone()).await.refusal(), refusal, "{body}");
    }
    for (method, path) in [("GET", ""), ("POST", "/revoke"), ("POST", "/tokens")] {
        let refused = clerk.call(method, &format!("/v1/sessions/sess_nowhere{path}"), None).await;
        assert_eq!(refused.refusal(), (404, "resource_not_found"), "{path}");
    }
    let session = session(&clerk, &ada, &Value::Null).await;
    let tokens = format!("/v1/sessions/{}/tokens", id(&session));
    for seconds in [29, 315_360_001] {
        let refused = clerk.post(&tokens, json!({"expires_in_seconds": seconds})).await;
        assert_eq!(refused.refusal(), (422, "form_param_value_invalid"), "{seconds}");
    }
}

#[tokio::test]
async fn a_token_says_who_since_when_and_for_whom() {
    let (clock, clerk) = frozen().await;
    let ada = clerk.create_user("ada").await;
    let metadata = json!({"public_metadata": {"dbId": "u1", "role": "coach"}, "private_metadata": {"secret": 1}});
    clerk.patch(&format!("/v1/users/{}/metadata", id(&ada)), metadata).await.ok();
    let session = session(&clerk, &ada, &Value::Null).await;
    clock.advance(3 * 60_000 + 999);
    let now = NOW / 1000 + 180;
    let claims = claims(&clerk, &session).await;
    let expected = json!({
        "azp": FRONT_END, "exp": now + 60, "fva": [3, -1], "iat": now, "iss": clerk.emulator.url(),
        "jti": claims["jti"], "nbf": now - 10, "sid": session["id"], "sub": ada["id"], "v": 2,
        "pla": "u:free", "fea": "u:profile", "metadata": {"dbId": "u1", "role": "coach"},
    });
    assert_eq!(Value::Object(claims.clone()), expected);
    let next = self::claims(&clerk, &session).await;
    assert_ne!(next["jti"], claims["jti"]);
}

#[tokio::test]
async fn the_header_is_clerk_s() {
    let clerk = Clerk::start(Config::default()).await;
    let session = session(&clerk, &clerk.create_user("ada").await, &Value::Null).await;
    let jwt = token(&clerk, &session).await.ok()["jwt"].as_str().unwrap().to_owned();
    let header = serde_json::to_value(jsonwebtoken::decode_header(&jwt).unwrap()).unwrap();
    assert_eq!(header, json!({"alg": "RS256", "cat": "cl_B7d4PD111AAA", "kid": INSTANCE_ID, "typ": "JWT"}));
}

#[tokio::test]
async fn the_lifetime_can_be_chosen() {
    let clerk = Clerk::start(Config::default()).await;
    let session = session(&clerk, &clerk.create_user("ada").await, &Value::Null).await;
    let path = format!("/v1/sessions/{}/tokens", id(&session));
    for (body, seconds) in [(json!({"expires_in_seconds": 600}), 600), (json!({"expires_in_seconds": null}), 60)] {
        let answer = clerk.post(&path, body).await.ok();
        let claims = verified(&clerk, answer["jwt"].as_str().unwrap()).await.unwrap();
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), seconds);
    }
}

#[tokio::test]
async fn the_authorized_party_is_the_page_that_asks() {
    let front_end = "https://app.example.com".to_owned();
    let clerk = Clerk::start(Config { front_end: front_end.clone(), ..Config::default() }).await;
    let session = session(&clerk, &clerk.create_user("ada").await, &Value::Null).await;
    assert_eq!(claims(&clerk, &session).await["azp"], json!(front_end));
    let url = format!("{}/v1/sessions/{}/tokens", clerk.emulator.url(), id(&session));
    let asked =
        clerk.client.post(url).bearer_auth(clerk.emulator.secret_key()).header("origin", "http://localhost:3000");
    let answer = read(asked).await.ok();
    let claims = verified(&clerk, answer["jwt"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["azp"], "http://localhost:3000");
}

#[tokio::test]
async fn the_issuer_can_be_another_one() {
    let issuer = "https://clerk.example.com".to_owned();
    let clerk = Clerk::start(Config { issuer: Some(issuer.clone()), ..Config::default() }).await;
    let session = session(&clerk, &clerk.create_user("ada").await, &Value::Null).await;
    assert_eq!(claims(&clerk, &session).await["iss"], json!(issuer));
    assert_eq!(clerk.emulator.issuer(), issuer);
    assert!(clerk.emulator.jwks_url().starts_with(clerk.emulator.url()), "the keys are still here");
}

#[tokio::test]
async fn the_active_organization_is_claimed_while_its_member_is_one() {
    let clerk = Clerk::start(Config::default()).await;
    let (ada, grace) = (clerk.create_user("ada").await, clerk.create_user("grace").await);
    let acme = clerk.create_organization("Acme Corp", &ada["id"]).await;
    let members = format!("/v1/organizations/{}/memberships", id(&acme));
    clerk.post(&members, json!({"user_id": grace["id"], "role": "org:coach"})).await.ok();

    let admin = claims(&clerk, &session(&clerk, &ada, &acme).await).await;
    let o = json!({"id": acme["id"], "slg": "acme-corp", "rol": "admin", "per": "read,manage", "fpm": "3"});
    assert_eq!((&admin["o"], &admin["pla"], &admin["fea"]), (&o, &json!("o:free"), &json!("o:teams")));

    let session = session(&clerk, &grace, &acme).await;
    assert_eq!(session["last_active_organization_id"], acme["id"]);
    let o = json!({"id": acme["id"], "slg": "acme-corp", "rol": "coach", "per": "read", "fpm": "1"});
    assert_eq!(claims(&clerk, &session).await["o"], o);
    clerk.patch(&format!("{members}/{}", id(&grace)), json!({"role": "org:admin"})).await.ok();
    assert_eq!(claims(&clerk, &session).await["o"]["rol"], "admin", "as it is now");
    clerk.delete(&format!("{members}/{}", id(&grace))).await.ok();
    assert!(!claims(&clerk, &session).await.contains_key("o"));
    let session = clerk.get(&format!("/v1/sessions/{}", id(&session))).await.ok();
    assert_eq!(session["last_active_organization_id"], Value::Null);
}

#[tokio::test]
async fn the_keys_are_public_and_have_no_private_half() {
    let limits = RateLimits { requests: 1, ..RateLimits::DEVELOPMENT };
    let clerk = Clerk::start(Config { rate_limits: Some(limits), ..Config::default() }).await;
    let keys = clerk.get("/v1/jwks").await.ok();
    assert_eq!(clerk.get("/v1/jwks").await.ok(), keys, "not rate limited");
    assert_eq!(jwks(&clerk).await.ok(), keys);
    let names: BTreeSet<&str> = keys["keys"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["alg", "e", "kid", "kty", "n", "use"]));
    let without = read(clerk.client.get(format!("{}/v1/jwks", clerk.emulator.url()))).await;
    assert_eq!(without.refusal(), (401, "authorization_header_format_invalid"));
    let counted = clerk.emulator.requests();
    assert_eq!((counted["GET /v1/jwks"], counted["GET /.well-known/jwks.json"]), (3, 1));
}

#[tokio::test]
async fn the_pem_is_that_of_the_key_that_signs() {
    let clerk = Clerk::start(Config::default()).await;
    let session = session(&clerk, &clerk.create_user("ada").await, &Value::Null).await;
    for _ in 0..2 {
        let jwt = token(&clerk, &session).await.ok()["jwt"].as_str().unwrap().to_owned();
        let key = DecodingKey::from_rsa_pem(clerk.emulator.jwt_key().as_bytes()).unwrap();
        jsonwebtoken::decode::<Value>(&jwt, &key, &Validation::new(Algorithm::RS256)).unwrap();
        clerk.post("/_emulator/keys/rotate", json!(null)).await.ok();
    }
}

#[tokio::test]
async fn sessions_survive_a_restart_and_are_no_events() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start().await;
    let snapshot = Some(folder.path().join("clerk.json"));
    let clerk = Clerk::start(Config { snapshot: snapshot.clone(), ..delivering_to(&endpoint) }).await;
    let session = session(&clerk, &clerk.create_user("ada").await, &Value::Null).await;
    clerk.emulator.settled().await;
    assert_eq!(endpoint.kinds(), ["user.created"]);
    clerk.emulator.stop().await.unwrap();
    let kept = Config { snapshot: snapshot.clone(), ..delivering_to(&endpoint) };
    let clerk = Clerk::start(kept).await;
    assert_eq!(clerk.get(&format!("/v1/sessions/{}", id(&session))).await.ok(), session);
    token(&clerk, &session).await.ok();
    clerk.emulator.stop().await.unwrap();

    let file = snapshot.as_ref().unwrap();
    let mut older: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    older.as_object_mut().unwrap().remove("sessions").expect("sessions are kept");
    fs::write(file, older.to_string()).unwrap();
    let clerk = Clerk::start(Config { snapshot, ..delivering_to(&endpoint) }).await;
    assert_eq!(clerk.get("/v1/users").await.rows().len(), 1, "from before there were sessions");
}
