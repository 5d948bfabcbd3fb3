//! Creates the claims of a session token, in both versions (clerk.com/docs, "session tokens").

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::instance::{
    Instance,
    model::{Metadata, Session},
};

/// `nbf` is this many seconds before `iat`.
const BACKDATED_SECONDS: i64 = 10;

/// The version of a token's claims; in JSON its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub enum TokenVersion {
    /// `org_id`, `org_slug`, `org_role` and `org_permissions`, and no `v`.
    V1,
    /// `v` is 2, the organization is in `o`, and there are `pla` and `fea`.
    #[default]
    V2,
}

impl TryFrom<u8> for TokenVersion {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::V1),
            2 => Ok(Self::V2),
            other => Err(format!("version must be 1 or 2, not {other}")),
        }
    }
}

/// The active organization of a session.
pub(crate) struct ActiveOrganization {
    pub(crate) id: String,
    pub(crate) slug: Option<String>,
    /// The role with its prefix: `org:admin`.
    pub(crate) role: String,
}

impl ActiveOrganization {
    /// The organization of the session, as long as it exists and the user is a member.
    pub(crate) fn new(instance: &Instance, session: &Session) -> Option<Self> {
        let id = session.organization_id.as_deref()?;
        let role = instance.membership(id, &session.user_id)?.role.clone();
        Some(Self { id: id.to_owned(), slug: Some(instance.organization(id)?.slug.clone()), role })
    }

    /// The organization of a requested token: with the user's role, or `org:member` for a user who is no member.
    pub(crate) fn claimed(instance: &Instance, id: &str, user_id: &str) -> Self {
        let membership = instance.membership(id, user_id);
        Self {
            id: id.to_owned(),
            slug: instance.organization(id).map(|organization| organization.slug.clone()),
            role: membership.map_or_else(|| "org:member".to_owned(), |membership| membership.role.clone()),
        }
    }
}

/// The values of a token's claims.
pub(crate) struct Subject<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) authorized_party: &'a str,
    pub(crate) user_id: &'a str,
    pub(crate) session_id: &'a str,
    pub(crate) token_id: &'a str,
    /// The claim of the customization `{"metadata": "{{user.public_metadata}}"}`.
    pub(crate) metadata: Option<&'a Metadata>,
    pub(crate) organization: Option<ActiveOrganization>,
    /// Unix seconds.
    pub(crate) issued_at: i64,
    pub(crate) expires_in: i64,
    /// The minutes since the verification of the user.
    pub(crate) verified_minutes_ago: i64,
}

impl Subject<'_> {
    pub(crate) fn claims(&self, version: TokenVersion) -> Map<String, Value> {
        let mut claims = Map::from_iter([
            ("azp".to_owned(), json!(self.authorized_party)),
            ("exp".to_owned(), json!(self.issued_at.saturating_add(self.expires_in))),
            // The emulator has no second factors.
            ("fva".to_owned(), json!([self.verified_minutes_ago, -1])),
            ("iat".to_owned(), json!(self.issued_at)),
            ("iss".to_owned(), json!(self.issuer)),
            ("jti".to_owned(), json!(self.token_id)),
            ("nbf".to_owned(), json!(self.issued_at.saturating_sub(BACKDATED_SECONDS))),
            ("sid".to_owned(), json!(self.session_id)),
            ("sub".to_owned(), json!(self.user_id)),
        ]);
        if let Some(metadata) = self.metadata {
            claims.insert("metadata".to_owned(), json!(metadata));
        }
        let further = match version {
            TokenVersion::V1 => self.organization.as_ref().map_or(json!({}), organization_v1),
            TokenVersion::V2 => {
                self.organization.as_ref().map_or(json!({"pla": "u:free", "fea": "u:profile"}), organization_v2)
            }
        };
        if let Value::Object(further) = further {
            claims.extend(further);
        }
        if version == TokenVersion::V2 {
            claims.insert("v".to_owned(), json!(2));
        }
        claims
    }
}

fn organization_v1(organization: &ActiveOrganization) -> Value {
    let permissions: Vec<String> =
        permissions(&organization.role).iter().map(|name| format!("org:teams:{name}")).collect();
    let mut claims = json!({
        "org_id": organization.id,
        "org_role": organization.role,
        "org_permissions": permissions,
    });
    if let Some(slug) = &organization.slug {
        claims["org_slug"] = json!(slug);
    }
    claims
}

/// One feature, `teams`. Each of its permissions is one bit of the only mask in `fpm`.
fn organization_v2(organization: &ActiveOrganization) -> Value {
    let permissions = permissions(&organization.role);
    let mut o = json!({
        "id": organization.id,
        "rol": organization.role.trim_start_matches("org:"),
        "per": permissions.join(","),
        "fpm": ((1_u32 << permissions.len()) - 1).to_string(),
    });
    if let Some(slug) = &organization.slug {
        o["slg"] = json!(slug);
    }
    json!({"pla": "o:free", "fea": "o:teams", "o": o})
}

/// Tokens contain no system permissions of Clerk: these are permissions of an invented feature.
fn permissions(role: &str) -> &'static [&'static str] {
    if role == "org:admin" { &["read", "manage"] } else { &["read"] }
}
