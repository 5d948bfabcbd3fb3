//! Rules for the claims of a session token whose signature is valid.
//!
//! The signature is checked elsewhere, before. Source of the rules: Clerk, "Manual JWT verification" and "Session
//! tokens" (versions 1 and 2), and Clerk's own SDK for what those leave open.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use strum::{IntoStaticStr, VariantArray};
use thiserror::Error;

use super::origins::Origins;
use crate::core::controls::{Invariant, guards};
use crate::core::id::{EntityId, OrganizationId, PerKind, UserId};
use crate::core::millis::Millis;

/// The maximum difference between this machine's clock and Clerk's, in seconds.
pub const SKEW_SECONDS: u32 = 5;
/// The categories of session tokens: the category of sessions, and the one that some instances give to all their
/// tokens. Tokens of templates (`cl_B7d4PD222AAA`) and machines are signed with the same key. Source: clerk/javascript,
/// `packages/backend/src/tokens/jwtCategories.ts`.
const SESSION_CATEGORIES: [&str; 2] = ["cl_B7d4PD111AAA", "cl_I7d4PD111III"];
/// The category of machine tokens.
const MACHINE_CATEGORY: &str = "cl_B7d4PD333AAA";

/// The rules of a deployment.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The URLs of the instance's Frontend API: its own, those of proxies and of satellite domains.
    pub issuers: Vec<String>,
    /// The allowed origins; empty for any.
    pub origins: Origins,
    /// Whether a token without the claim `azp` is accepted.
    pub allow_missing_azp: bool,
    /// See [`SKEW_SECONDS`].
    pub skew_seconds: u32,
}

/// The kind of the request with the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// A request of a page or an application.
    Call,
    /// A browser that navigates to a page and sends its cookie. It sent no `Origin` to Clerk, so the token may have no
    /// `azp`. Only for routes that return nothing about the user.
    Navigation,
}

/// Why a token is rejected, by the violated rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error, IntoStaticStr, VariantArray)]
#[strum(const_into_str)]
pub enum Rejection {
    /// There is no token.
    #[error("the request contains no session token")]
    #[strum(serialize = "session_missing")]
    Missing,
    /// Not three parts of base64 and JSON, or a claim of the wrong type.
    #[error("the token is not a JWT")]
    #[strum(serialize = "token_malformed")]
    Malformed,
    /// The algorithm is not RS256.
    #[error("the token's algorithm is not RS256")]
    #[strum(serialize = "token_algorithm")]
    Algorithm,
    /// Signed with a key that the instance does not publish.
    #[error("the token's key is unknown")]
    #[strum(serialize = "token_key_unknown")]
    UnknownKey,
    /// The signature does not match.
    #[error("the token's signature does not match")]
    #[strum(serialize = "token_signature")]
    Signature,
    /// Not a session token by its header, such as an OAuth access token.
    #[error("the token is not a session token")]
    #[strum(serialize = "token_type")]
    Type,
    /// Signed by the instance, but not as a session token, such as the token of a JWT template.
    #[error("the token's category (header cat) is not that of a session token")]
    #[strum(serialize = "token_category")]
    Category,
    /// Its header requires extensions that Rollcall does not support.
    #[error("the token's header contains critical extensions")]
    #[strum(serialize = "token_critical")]
    Critical,
    #[error("the token contains no session id")]
    #[strum(serialize = "token_session")]
    SessionId,
    /// Cookies of one name contain valid sessions of different users: another site has set one of them.
    #[error("the request contains session cookies of different users")]
    #[strum(serialize = "session_ambiguous")]
    Ambiguous,
    /// A machine token, which belongs to no user.
    #[error("the request contains a machine token instead of a session token")]
    #[strum(serialize = "token_machine")]
    Machine,
    #[error("the token contains no user id")]
    #[strum(serialize = "token_subject")]
    Subject,
    #[error("the token has expired")]
    #[strum(serialize = "token_expired")]
    Expired,
    #[error("the token is not valid yet")]
    #[strum(serialize = "token_not_yet_valid")]
    NotYetValid,
    /// Issued in the future: one of the clocks is wrong.
    #[error("the token was issued in the future")]
    #[strum(serialize = "token_issued_in_future")]
    IssuedInFuture,
    #[error("the token has an unknown issuer")]
    #[strum(serialize = "token_issuer")]
    Issuer,
    /// Issued for another origin.
    #[error("the token was issued for an origin that is not allowed")]
    #[strum(serialize = "token_origin")]
    AuthorizedParty,
    /// The sign-in is not complete. The user must finish the remaining steps, for example choose an organization.
    #[error("the session is pending")]
    #[strum(serialize = "session_pending")]
    Pending,
}

impl Rejection {
    /// The machine-readable name of the violated rule.
    pub fn code(self) -> &'static str {
        self.into_str()
    }
}

/// A session whose token passed all rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub user: UserId,
    /// The active organization, if there is one.
    pub organization: Option<ActiveOrganization>,
    /// The internal id of the user, claim `dbId`.
    pub db_id: Claim,
    /// The user's role, claim `role`.
    pub role: Claim,
    /// The impersonator, if there is one: a user's id, or `unknown`.
    pub actor: Option<String>,
    /// The minutes since the user last verified the first factor; nothing if never or unknown.
    pub first_factor_age: Option<u32>,
    /// When the token was issued, in seconds of Unix time; nothing if the token does not say.
    pub issued_at: Option<u64>,
}

/// A claim that Rollcall's guide puts under `metadata`. At the top level another product may have put its own under the
/// same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The value under `metadata`.
    pub metadata: Option<String>,
    pub top: Option<String>,
}

impl Claim {
    /// The claim, if there is one: at the top level only a known value counts.
    pub fn known(&self, is_known: impl FnOnce(&str) -> bool) -> Option<&str> {
        self.metadata.as_deref().or_else(|| self.top.as_deref().filter(|value| is_known(value)))
    }
}

impl Session {
    /// Whether the session is an impersonation.
    pub fn is_impersonated(&self) -> bool {
        self.actor.is_some()
    }

    /// The entities of the session: the user, the active organization and the user's membership in it.
    pub fn entities(&self) -> PerKind<Option<EntityId>> {
        let organization = self.organization.as_ref().map(|organization| organization.id.clone());
        let membership = organization.clone().map(|organization| {
            let user = self.user.clone();
            EntityId::Membership { user, organization }
        });
        PerKind {
            user: Some(EntityId::User(self.user.clone())),
            organization: organization.map(EntityId::Organization),
            membership,
        }
    }
}

/// The active organization of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveOrganization {
    pub id: OrganizationId,
    /// The organization's part of a URL.
    pub slug: Option<String>,
    /// The role, such as `org:admin`, in both versions of the token.
    pub role: Option<String>,
    /// The permissions, such as `org:teams:read`.
    pub permissions: Vec<String>,
}

/// The header of a token, as far as the rules use it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Header {
    /// The algorithm.
    pub alg: Option<String>,
    pub kid: Option<String>,
    typ: Option<String>,
    // `Some` even if null: only a header without it is from the time before categories.
    #[serde(default, deserialize_with = "present")]
    cat: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

/// The claims of a token whose signature is valid.
#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    sub: Option<Value>,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    iss: Option<String>,
    azp: Option<String>,
    sid: Option<Value>,
    sts: Option<String>,
    act: Option<Value>,
    fva: Option<Vec<i64>>,
    fea: Option<String>,
    o: Option<Organization>,
    org_id: Option<OrganizationId>,
    org_slug: Option<String>,
    org_role: Option<String>,
    org_permissions: Option<Vec<String>>,
    // An application may use these names for other values: a value that is not text is not a claim of Rollcall.
    #[serde(rename = "dbId")]
    db_id: Option<Value>,
    role: Option<Value>,
    metadata: Option<Value>,
}

/// The organization in version 2.
#[derive(Clone, Debug, Deserialize)]
struct Organization {
    id: OrganizationId,
    slg: Option<String>,
    rol: Option<String>,
    per: Option<String>,
    fpm: Option<String>,
}

/// Applies all rules but the signature's, in the order in which a client can correct them.
///
/// # Errors
///
/// [`Rejection`], the first violated rule.
pub fn check(header: &Header, claims: Claims, rules: &Rules, visit: Visit, now: Millis) -> Result<Session, Rejection> {
    if header.typ.as_deref() != Some("JWT") {
        return Err(Rejection::Type);
    }
    if header.crit.is_some() {
        return Err(Rejection::Critical);
    }
    let category = header.cat.as_ref().map(|category| category.as_str().unwrap_or_default());
    let subject = claims.sub.as_ref().and_then(Value::as_str).ok_or(Rejection::Subject)?;
    if category == Some(MACHINE_CATEGORY) || subject.starts_with("mch_") {
        return Err(Rejection::Machine);
    }
    if category.is_some_and(|category| !SESSION_CATEGORIES.contains(&category)) && guards(Invariant::I17) {
        return Err(Rejection::Category);
    }
    let user: UserId = subject.parse().map_err(|_| Rejection::Subject)?;
    let session_id = claims.sid.as_ref().and_then(Value::as_str).and_then(|id| id.strip_prefix("sess_"));
    if session_id.is_none_or(str::is_empty) {
        return Err(Rejection::SessionId);
    }
    #[expect(clippy::cast_precision_loss, reason = "thirteen digits lie far below what a double holds exactly")]
    let (now, skew) = (now.get() as f64 / 1000.0, f64::from(rules.skew_seconds));
    if claims.exp <= now - skew {
        return Err(Rejection::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf > now + skew) {
        return Err(Rejection::NotYetValid);
    }
    if claims.iat.is_some_and(|iat| iat > now + skew) {
        return Err(Rejection::IssuedInFuture);
    }
    if !claims.iss.as_ref().is_some_and(|issuer| rules.issuers.contains(issuer)) {
        return Err(Rejection::Issuer);
    }
    let is_allowed = match &claims.azp {
        _ if rules.origins.is_empty() => true,
        Some(azp) => rules.origins.allow(azp),
        None => rules.allow_missing_azp || visit == Visit::Navigation,
    };
    if !is_allowed {
        return Err(Rejection::AuthorizedParty);
    }
    if claims.sts.as_deref() == Some("pending") {
        return Err(Rejection::Pending);
    }
    Ok(session(user, claims))
}

fn session(user: UserId, claims: Claims) -> Session {
    let claim = |top: Option<&Value>, name: &str| {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        Claim { metadata: text(claims.metadata.as_ref().and_then(|metadata| metadata.get(name))), top: text(top) }
    };
    let (db_id, role) = (claim(claims.db_id.as_ref(), "dbId"), claim(claims.role.as_ref(), "role"));
    // The creator of the token chose this value: it is returned and logged only if it is an id.
    let actor = claims.act.as_ref().filter(|act| !act.is_null()).map(|act| {
        let id = act.get("sub").and_then(Value::as_str).and_then(|id| id.parse::<UserId>().ok());
        let id = id.filter(|id| id.as_str().starts_with("user_"));
        id.map_or_else(|| "unknown".to_owned(), |id| id.to_string())
    });
    // The ages of both factors, -1 for one that was never verified. Anything else is no claim of Clerk.
    let first_factor_age = match claims.fva.as_deref() {
        Some(&[first, second]) if second >= -1 => u32::try_from(first).ok(),
        _ => None,
    };
    let organization = match (claims.o, claims.org_id) {
        (Some(organization), _) => {
            let permissions = permissions(&organization, claims.fea.as_deref().unwrap_or_default());
            let role = organization.rol.map(|role| format!("org:{role}"));
            Some(ActiveOrganization { id: organization.id, slug: organization.slg, role, permissions })
        }
        (None, Some(id)) => {
            let permissions = claims.org_permissions.unwrap_or_default();
            Some(ActiveOrganization { id, slug: claims.org_slug, role: claims.org_role, permissions })
        }
        (None, None) => None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
    let issued_at = claims.iat.map(|seconds| seconds as u64);
    Session { user, organization, db_id, role, actor, first_factor_age, issued_at }
}

/// The permissions of version 2: for the i-th feature of the organization, `fpm` contains a bit mask over the names in
/// `per`, lowest bit first. An unreadable mask grants nothing.
fn permissions(organization: &Organization, features: &str) -> Vec<String> {
    let names: Vec<&str> = split(organization.per.as_deref()).collect();
    let features = split(Some(features)).filter_map(|feature| {
        let (scope, name) = feature.split_once(':')?;
        scope.contains('o').then_some(name)
    });
    let masks = split(organization.fpm.as_deref()).map(|mask| mask.parse::<u128>().unwrap_or_default());
    let granted = features.zip(masks).flat_map(|(feature, mask)| {
        let set = names.iter().enumerate().take(128).filter(move |(bit, _)| mask >> bit & 1 == 1);
        set.map(move |(_, name)| format!("org:{feature}:{name}"))
    });
    granted.collect()
}

fn split(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty())
}
