//! The hot path of ensure-profile: a caller whom nothing is missing. A session token as Clerk signs it, and everything that
//! is stored about its user: projected from Clerk's samples, in DynamoDB's JSON.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rollcall::core::ensure::decide::Ensured;
use rollcall::core::id::{InstanceId, OrganizationId};
use rollcall::core::millis::Millis;
use rollcall::core::mirror::item::Item;
use rollcall::core::profile::{Defaults, Profile};
use serde_json::{Map, Value, json};

use crate::events::INSTANCE;
use crate::hot_path::{
    self, Answered, Asked, DIRECTORY_TABLE, HotPath, OPERATIONS_TABLE, PROFILES_TABLE, SOMEBODY_WAITS,
};
use crate::rows;

const USER: &str = include_str!("../../../events/user.updated.json");
const ORGANIZATION: &str = include_str!("../../../events/organization.updated.json");
const MEMBERSHIP: &str = include_str!("../../../events/organizationMembership.updated.json");

/// Made for the tests; it signs nothing else.
const KEY: &str = include_str!("../../support/keys/one.pem");
const PUBLIC_KEY: &str = include_str!("../../support/keys/one.pub.pem");
const ISSUER: &str = "https://clerk.example.com";
const ORIGIN: &str = "https://app.example.com";
/// Seconds. Clerk's tokens last a minute, which a busy machine may need for one process and its events.
pub(crate) const LIFETIME: u64 = 600;

/// What is stored about the caller.
pub(crate) struct Caller {
    pub(crate) user: Item,
    pub(crate) organization: Item,
    pub(crate) membership: Item,
    profile: Profile,
    membership_profile: Profile,
}

/// The path: one read of all five rows, from both tables.
///
/// # Errors
///
/// If a sample is not what it was.
pub(crate) fn hot_path() -> anyhow::Result<HotPath> {
    let caller = Caller::of_samples()?;
    Ok(HotPath {
        function: "ensure-profile",
        settings: settings(&[("CLERK_SECRET_KEY", "sk_test_invented")]),
        limit: SOMEBODY_WAITS,
        asks: vec![Asked::new("BatchGetItem", caller.stored()?.to_string())],
        answer: Answered::Body(caller.answer()?),
        events,
    })
}

/// The settings of a function that verifies sessions, and further ones.
pub(crate) fn settings(further: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let settings = [
        ("DIRECTORY_TABLE", DIRECTORY_TABLE),
        ("PROFILES_TABLE", PROFILES_TABLE),
        ("OPERATIONS_TABLE", OPERATIONS_TABLE),
        ("CLERK_INSTANCE_ID", INSTANCE),
        ("CLERK_ISSUER", ISSUER),
        ("CLERK_JWT_KEY", PUBLIC_KEY),
        ("ALLOWED_ORIGINS", ORIGIN),
    ];
    settings.iter().chain(further).map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn events(now: Millis, count: usize) -> anyhow::Result<Vec<String>> {
    calls("POST /profiles/ensure", now, count)
}

/// A page calls a route with the same token until it is over.
///
/// # Errors
///
/// If a sample is not what it was.
pub(crate) fn calls(route: &str, now: Millis, count: usize) -> anyhow::Result<Vec<String>> {
    let authorization = format!("Bearer {}", token(&Caller::of_samples()?, now)?);
    let headers = [
        ("accept-encoding", "gzip, deflate, br"),
        ("accept-language", "en"),
        ("authorization", &*authorization),
        ("origin", ORIGIN),
        ("referer", "https://app.example.com/"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "cross-site"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ];
    Ok(vec![hot_path::gateway_event(route, headers, None, now); count])
}

/// A token of version 2, active in the organization, with the claims that docs/frontend.md asks for: nothing lags.
/// Source: Clerk, "Session tokens".
fn token(caller: &Caller, now: Millis) -> anyhow::Result<String> {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some("ins_one".to_owned());
    header.extras.insert("cat", "cl_B7d4PD111AAA");
    let (user, organization) = (&caller.user.fields, &caller.organization.fields);
    let now = now.get() / 1000;
    let claims = json!({
        "azp": ORIGIN, "exp": now + LIFETIME, "fva": [3, -1], "iat": now, "iss": ISSUER, "jti": "1234567890",
        "nbf": now - 10, "sid": "sess_2nYgKkHKhA1dlGO7rC4bzCp4HXv", "sub": user["clerk_user_id"], "sts": "active", "v": 2,
        "pla": "u:free", "fea": "o:teams,u:chat,o:billing",
        "o": {
            "id": organization["organization_id"], "slg": organization["slug"], "rol": "admin", "per": "manage,read",
            "fpm": "3,2",
        },
        "metadata": { "dbId": user["id"], "role": user["role"] },
    });
    Ok(jsonwebtoken::encode(&header, &claims, &EncodingKey::from_rsa_pem(KEY.as_bytes())?)?)
}

impl Caller {
    /// Everything about one person, of whom several samples are made to tell.
    ///
    /// # Errors
    ///
    /// If a sample is not what it was.
    pub(crate) fn of_samples() -> anyhow::Result<Caller> {
        let (user, organization, mut membership) =
            (rows::sample(USER)?, rows::sample(ORGANIZATION)?, rows::sample(MEMBERSHIP)?);
        // The samples are about different people.
        membership["data"]["public_user_data"]["user_id"] = user["data"]["id"].clone();
        membership["data"]["organization"]["id"] = organization["data"]["id"].clone();

        let instance: InstanceId = INSTANCE.parse()?;
        let created_at = rows::sent_at(&user)?;
        let user_id = rows::user_id(&user)?;
        let organization_id: OrganizationId = serde_json::from_value(organization["data"]["id"].clone())?;
        let defaults = Defaults {
            user: object(json!({ "level": 1, "locale": "en", "badges": [], "settings": { "newsletter": false } })),
            membership: object(json!({ "seat": "free" })),
        };
        Ok(Caller {
            user: rows::item(&user)?,
            organization: rows::item(&organization)?,
            membership: rows::item(&membership)?,
            profile: Profile::of_user(&instance, &user_id, &defaults, created_at),
            membership_profile: Profile::of_membership(&instance, &user_id, &organization_id, &defaults, created_at),
        })
    }

    /// The rows of the Directory, as DynamoDB writes them.
    ///
    /// # Errors
    ///
    /// If one cannot be written so.
    pub(crate) fn copies(&self) -> anyhow::Result<Vec<Value>> {
        let copies = [&self.user, &self.organization, &self.membership];
        copies.into_iter().map(|item| rows::stored(&item.to_attributes())).collect()
    }

    /// DynamoDB's answer to the question for all of it.
    fn stored(&self) -> anyhow::Result<Value> {
        let profiles = [&self.profile, &self.membership_profile].map(|record| rows::stored(&record.0));
        let profiles: Vec<_> = profiles.into_iter().collect::<Result<_, _>>()?;
        Ok(json!({ "Responses": { DIRECTORY_TABLE: self.copies()?, PROFILES_TABLE: profiles }, "UnprocessedKeys": {} }))
    }

    fn answer(&self) -> anyhow::Result<Value> {
        Ok(serde_json::to_value(Ensured {
            user: self.user.shown(),
            profile: Some(self.profile.clone().shown()),
            organization: Some(self.organization.shown()),
            membership: Some(self.membership.shown()),
            membership_profile: Some(self.membership_profile.clone().shown()),
            created: Vec::new(),
            needs_sync: false,
            actor: None,
        })?)
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

#[cfg(test)]
mod tests {
    use rollcall::adapters::clerk::session_tokens::SessionTokens;
    use rollcall::core::id::{EntityId, Key};
    use rollcall::core::profile;
    use rollcall::core::session::claims::{Rules, SKEW_SECONDS, Session};
    use rollcall::core::session::origins::Origins;

    use super::*;

    async fn session() -> Session {
        let now = Millis::try_from(1_767_225_900_000).unwrap();
        let rules = Rules {
            issuers: vec![ISSUER.to_owned()],
            origins: Origins::parse(ORIGIN).unwrap(),
            allow_missing_azp: false,
            skew_seconds: SKEW_SECONDS,
        };
        let token = token(&Caller::of_samples().unwrap(), now).unwrap();
        SessionTokens::with_pem(rules, PUBLIC_KEY).unwrap().verify(&token, now).await.unwrap()
    }

    #[tokio::test]
    async fn every_row_that_a_session_asks_for_is_stored_under_its_key() {
        let instance: InstanceId = INSTANCE.parse().unwrap();
        let session = session().await;
        let copies: Vec<Key> =
            session.entities().into_array().iter().map(|entity| entity.as_ref().unwrap().key(&instance)).collect();
        let Some(EntityId::Membership { user, organization }) = session.entities().membership else {
            panic!("the session is active in no organization");
        };
        let profiles =
            vec![profile::user_key(&instance, &user), profile::membership_key(&instance, &user, &organization)];
        let stored = Caller::of_samples().unwrap().stored().unwrap();
        for (table, keys) in [(DIRECTORY_TABLE, copies), (PROFILES_TABLE, profiles)] {
            let rows = stored["Responses"][table].as_array().unwrap().iter();
            let found: Vec<_> = rows.map(|row| (row["pk"]["S"].as_str(), row["sk"]["S"].as_str())).collect();
            let wanted: Vec<_> = keys.iter().map(|key| (Some(&*key.pk), Some(&*key.sk))).collect();
            assert_eq!(found, wanted, "{table}");
        }
    }

    #[tokio::test]
    async fn nothing_in_the_sessions_claims_lags() {
        let caller = Caller::of_samples().unwrap();
        assert!(!rollcall::core::ensure::decide::claims_lag(
            &session().await,
            &caller.user,
            rollcall::core::mirror::roles::Roles::usual()
        ));
    }
}
