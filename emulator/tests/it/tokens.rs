//! Tokens to order: every defect is really there, and it is the only one.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clerk_emulator::{
    Config, FRONT_END, INSTANCE_ID, MintError, Tamper, TokenAlgorithm, TokenKey, TokenRequest, TokenVersion,
};
use jsonwebtoken::{Algorithm, DecodingKey, crypto, jwk::JwkSet};
use serde_json::{Map, Value, json};

use crate::{
    sessions::{jwks, verified},
    support::{Clerk, FrozenClock, NOW, id},
};

/// Header and claims, unverified.
fn opened(token: &str) -> [Map<String, Value>; 2] {
    let part = |number| URL_SAFE_NO_PAD.decode(token.split('.').nth(number).expect("a part")).expect("base64url");
    [0, 1].map(|number| serde_json::from_slice(&part(number)).expect("a JSON object"))
}

async fn mint(clerk: &Clerk, order: Value) -> String {
    clerk.post("/_emulator/tokens", order).await.ok()["jwt"].as_str().expect("a token").to_owned()
}

async fn frozen() -> Clerk {
    Clerk::start(Config { clock: FrozenClock::new().clock(), ..Config::default() }).await
}

async fn with_organization() -> (Clerk, Value, Value) {
    let clerk = frozen().await;
    let ada = clerk.create_user("ada").await;
    let acme = clerk.create_organization("Acme", &ada["id"]).await;
    (clerk, ada, acme)
}

#[tokio::test]
async fn without_a_defect_it_is_a_token_as_clerk_issues_them() {
    let clerk = frozen().await;
    let over_http = mint(&clerk, json!({"user_id": "user_1"})).await;
    let directly = clerk.emulator.mint(&TokenRequest::new("user_1")).unwrap();
    let now = NOW / 1000;
    for token in [over_http, directly] {
        let claims = verified(&clerk, &token).await.unwrap();
        let expected = json!({
            "azp": FRONT_END, "exp": now + 60, "fva": [0, -1], "iat": now, "iss": clerk.emulator.issuer(),
            "jti": claims["jti"], "nbf": now - 10, "sid": claims["sid"], "sub": "user_1", "v": 2,
            "pla": "u:free", "fea": "u:profile",
        });
        assert_eq!(Value::Object(claims), expected, "nobody's public metadata");
        assert_eq!(
            Value::Object(opened(&token)[0].clone()),
            json!({"alg": "RS256", "cat": "cl_B7d4PD111AAA", "kid": INSTANCE_ID, "typ": "JWT"})
        );
    }
}

#[tokio::test]
async fn both_versions_say_the_same_about_an_organization() {
    let (clerk, ada, acme) = with_organization().await;
    let order = |version: u8| json!({"user_id": ada["id"], "organization_id": acme["id"], "version": version});
    let v2 = verified(&clerk, &mint(&clerk, order(2)).await).await.unwrap();
    let o = json!({"id": acme["id"], "slg": "acme", "rol": "admin", "per": "read,manage", "fpm": "3"});
    assert_eq!((&v2["o"], &v2["v"], &v2["metadata"]), (&o, &json!(2), &json!({})));
    let v1 = verified(&clerk, &mint(&clerk, order(1)).await).await.unwrap();
    for absent in ["v", "o", "pla", "fea"] {
        assert!(!v1.contains_key(absent), "{absent}");
    }
    assert_eq!((&v1["org_id"], &v1["org_slug"], &v1["org_role"]), (&acme["id"], &json!("acme"), &json!("org:admin")));
    assert_eq!(v1["org_permissions"], json!(["org:teams:read", "org:teams:manage"]));
}

#[tokio::test]
async fn a_token_can_claim_what_nobody_granted() {
    let (clerk, _, acme) = with_organization().await;
    let grace = clerk.create_user("grace").await;
    for (organization, slug) in [(id(&acme), Some("acme")), ("org_nowhere", None)] {
        for user in [id(&grace), "user_gone"] {
            let request = TokenRequest { organization_id: Some(organization.to_owned()), ..TokenRequest::new(user) };
            let claims = verified(&clerk, &clerk.emulator.mint(&request).unwrap()).await.unwrap();
            let o = &claims["o"];
            assert_eq!((&o["id"], o["slg"].as_str(), &o["rol"]), (&json!(organization), slug, &json!("member")));
        }
    }
}

#[tokio::test]
async fn claims_and_header_are_overridden_and_removed_before_signing() {
    let clerk = frozen().await;
    let order = json!({
        "user_id": "user_1", "version": 1,
        "claims": {"sts": "pending", "act": {"sub": "user_admin"}, "azp": null, "iss": "https://evil.example", "sub": 7},
        "header": {"cat": "cl_B7d4PD333AAA", "typ": null},
    });
    let token = mint(&clerk, order).await;
    let claims = verified(&clerk, &token).await.expect("signed as it is");
    assert_eq!((&claims["sts"], &claims["act"]["sub"]), (&json!("pending"), &json!("user_admin")));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("https://evil.example"), &json!(7)));
    assert!(!claims.contains_key("azp"));
    let [header, _] = opened(&token);
    assert_eq!(Value::Object(header), json!({"alg": "RS256", "cat": "cl_B7d4PD333AAA", "kid": INSTANCE_ID}));
    let unknown = mint(&clerk, json!({"user_id": "user_1", "header": {"kid": "ins_unknown"}})).await;
    assert_eq!(verified(&clerk, &unknown).await.unwrap_err(), "unknown kid");
}

#[tokio::test]
async fn a_token_can_be_old_or_from_the_future() {
    let clerk = frozen().await;
    let now = NOW / 1000;
    for (expires_in, issued_ago) in [(60, 61), (60, -3600), (-5, 0), (0, 0)] {
        let order = json!({"user_id": "user_1", "expires_in": expires_in, "issued_ago": issued_ago});
        let claims = verified(&clerk, &mint(&clerk, order).await).await.unwrap();
        let iat = now - issued_ago;
        assert_eq!(
            (&claims["iat"], &claims["nbf"], &claims["exp"]),
            (&json!(iat), &json!(iat - 10), &json!(iat + expires_in))
        );
    }
}

#[tokio::test]
async fn a_tampered_token_has_lost_its_signature_and_nothing_else() {
    let clerk = frozen().await;
    for tamper in [Tamper::Payload, Tamper::Signature] {
        let request = TokenRequest { tamper: Some(tamper), ..TokenRequest::new("user_1") };
        let token = clerk.emulator.mint(&request).unwrap();
        assert_eq!(verified(&clerk, &token).await.unwrap_err(), "InvalidSignature", "{tamper:?}");
        let [header, claims] = opened(&token);
        assert_eq!((&header["kid"], &claims["sub"]), (&json!(INSTANCE_ID), &json!("user_1")));
        assert_eq!(claims.contains_key("tampered"), tamper == Tamper::Payload);
    }
}

#[tokio::test]
async fn a_token_can_be_signed_in_every_wrong_way() {
    let clerk = frozen().await;
    let keys: JwkSet = serde_json::from_value(jwks(&clerk).await.ok()).unwrap();
    let right = DecodingKey::from_jwk(&keys.keys[0]).unwrap();
    let shared = DecodingKey::from_secret(clerk.emulator.jwt_key().as_bytes());
    let signed_with = |token: &str, key: &DecodingKey, algorithm| {
        let (message, signature) = token.rsplit_once('.').unwrap();
        crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap()
    };
    let token = async |field: &str, value: &str| mint(&clerk, json!({"user_id": "user_1", field: value})).await;

    let none = token("alg", "none").await;
    assert!(none.ends_with('.') && opened(&none)[0]["alg"] == "none");
    let hs256 = token("alg", "HS256-with-public-key").await;
    assert_eq!(opened(&hs256)[0]["alg"], "HS256");
    assert!(signed_with(&hs256, &shared, Algorithm::HS256));
    let rs512 = token("alg", "RS512").await;
    assert_eq!(opened(&rs512)[0]["alg"], "RS512");
    assert!(signed_with(&rs512, &right, Algorithm::RS512));
    let foreign = token("key", "foreign").await;
    assert_eq!(opened(&foreign)[0]["kid"], INSTANCE_ID);
    assert!(!signed_with(&foreign, &right, Algorithm::RS256));
    for token in [none, hs256, rs512, foreign] {
        assert!(verified(&clerk, &token).await.is_err(), "{token}");
    }
}

#[tokio::test]
async fn a_rotated_key_signs_under_a_new_name_and_the_old_one_is_shown_until_it_is_dropped() {
    let clerk = frozen().await;
    let retired = TokenRequest { key: TokenKey::Retired, ..TokenRequest::new("user_1") };
    assert!(matches!(clerk.emulator.mint(&retired), Err(MintError::NoRetiredKey)));
    let before = clerk.emulator.mint(&TokenRequest::new("user_1")).unwrap();

    let kid = clerk.post("/_emulator/keys/rotate", Value::Null).await.ok()["kid"].clone();
    assert_ne!(kid, INSTANCE_ID);
    let after = clerk.emulator.mint(&TokenRequest::new("user_1")).unwrap();
    assert_eq!(opened(&after)[0]["kid"], kid);
    let by_retired = clerk.emulator.mint(&retired).unwrap();
    assert_eq!(opened(&by_retired)[0]["kid"], INSTANCE_ID);
    let shown = jwks(&clerk).await.ok();
    assert_eq!((&shown["keys"][0]["kid"], &shown["keys"][1]["kid"]), (&kid, &json!(INSTANCE_ID)));
    assert_ne!(shown["keys"][0]["n"], shown["keys"][1]["n"]);
    for token in [&before, &after, &by_retired] {
        verified(&clerk, token).await.unwrap();
    }

    let last = clerk.emulator.rotate_keys(true);
    let shown = clerk.get("/v1/jwks").await.ok();
    assert_eq!((shown["keys"].as_array().unwrap().len(), &shown["keys"][0]["kid"]), (1, &json!(last)));
    for token in [before, after, clerk.emulator.mint(&retired).unwrap()] {
        assert_eq!(verified(&clerk, &token).await.unwrap_err(), "unknown kid");
    }
    let dropped = clerk.post("/_emulator/keys/rotate?drop=true", Value::Null).await.ok();
    assert_eq!(jwks(&clerk).await.ok()["keys"][0]["kid"], dropped["kid"]);
}

#[tokio::test]
async fn both_routes_to_the_keys_can_be_down() {
    let clerk = frozen().await;
    clerk.put("/_emulator/faults", json!({"api": {"jwks_down": true}})).await.ok();
    assert_eq!(jwks(&clerk).await.refusal(), (500, "internal_clerk_error"));
    assert_eq!(clerk.get("/v1/jwks").await.refusal(), (500, "internal_clerk_error"));
    clerk.get("/v1/users").await.ok();
    clerk.put("/_emulator/faults", json!({"api": {"server_error": 1}})).await.ok();
    jwks(&clerk).await.ok();
    assert_eq!(clerk.get("/v1/jwks").await.status, 500);
    clerk.put("/_emulator/faults", json!({"api": {"slow_ms": 120}})).await.ok();
    let begun = Instant::now();
    jwks(&clerk).await.ok();
    assert!(begun.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn what_cannot_be_ordered_is_refused_by_name() {
    let clerk = frozen().await;
    for (order, complaint) in [
        (json!({}), "missing field `user_id`"),
        (json!({"user_id": "user_1", "shoe_size": 42}), "unknown field `shoe_size`"),
        (json!({"user_id": "user_1", "version": 3}), "version must be 1 or 2, not 3"),
        (json!({"user_id": "user_1", "alg": "RS257"}), "unknown variant `RS257`"),
        (json!({"user_id": "user_1", "key": "stolen"}), "unknown variant `stolen`"),
        (json!({"user_id": "user_1", "tamper": "header"}), "unknown variant `header`"),
        (json!({"user_id": "user_1", "key": "retired"}), "there is no retired key"),
    ] {
        let refused = clerk.post("/_emulator/tokens", order.clone()).await;
        assert_eq!(refused.status, 400, "{order}");
        assert!(refused.body["error"].as_str().unwrap().contains(complaint), "{}", refused.body);
    }
    for query in ["drop=perhaps", "dorp=true"] {
        assert_eq!(clerk.post(&format!("/_emulator/keys/rotate?{query}"), Value::Null).await.status, 400, "{query}");
    }
    assert_eq!(jwks(&clerk).await.ok()["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_order_in_json_is_the_one_in_rust() {
    let order: TokenRequest = serde_json::from_value(json!({"user_id": "user_1"})).unwrap();
    assert_eq!(order, TokenRequest::new("user_1"));
    let order: TokenRequest = serde_json::from_value(json!({
        "user_id": "user_1", "organization_id": "org_1", "version": 1, "key": "foreign", "alg": "none",
        "tamper": "payload", "expires_in": 5, "issued_ago": -5, "claims": {"a": null}, "header": {"b": 1},
    }))
    .unwrap();
    let expected = TokenRequest {
        organization_id: Some("org_1".to_owned()),
        version: TokenVersion::V1,
        key: TokenKey::Foreign,
        alg: TokenAlgorithm::None,
        tamper: Some(Tamper::Payload),
        expires_in: 5,
        issued_ago: -5,
        claims: Map::from_iter([("a".to_owned(), Value::Null)]),
        header: Map::from_iter([("b".to_owned(), json!(1))]),
        ..TokenRequest::new("user_1")
    };
    assert_eq!(order, expected);
}
