//! Session tokens: what a verified token must say before anybody is believed to be its user.
//!
//! The signature is checked elsewhere, and first. Source of the rules: Clerk, "Manual JWT verification" and "Session
//! tokens" (versions 1 and 2), and Clerk's own SDK where those are silent.

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::id::{Each, EntityId, OrganizationId, UserId};
use super::millis::Millis;

/// By how much the clock of this machine may differ from Clerk's, in seconds.
pub const SKEW_SECONDS: u32 = 5;
/// The category that marks machine tokens, which Clerk signs with the same keys.
const MACHINE_CATEGORY: &str = "cl_B7d4PD333AAA";

/// What a deployment accepts.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The instance's Frontend API, the only issuer.
    pub issuer: String,
    /// The origins whose tokens are accepted, each as `https://app.example.com`; empty for any.
    pub origins: Vec<String>,
    /// Whether a token that names no origin is accepted.
    pub allow_missing_azp: bool,
    /// See [`SKEW_SECONDS`].
    pub skew_seconds: u32,
}

/// Why a token is refused, by the rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Rejection {
    /// No token at all.
    #[error("no session token was sent")]
    Missing,
    /// Not three parts of base64 and JSON, or a claim of the wrong type.
    #[error("the token is not a JWT")]
    Malformed,
    /// Signed otherwise than by RS256.
    #[error("the token's algorithm is not RS256")]
    Algorithm,
    /// Signed with a key that the instance does not publish.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature does not match.
    #[error("the token's signature does not match")]
    Signature,
    /// Not a session token by its header, such as an OAuth access token.
    #[error("the token is not a session token")]
    Type,
    /// A machine's token, which stands for no user.
    #[error("a machine token is not a session")]
    Machine,
    /// No user.
    #[error("the token names no user")]
    Subject,
    /// Over.
    #[error("the token has expired")]
    Expired,
    /// Not yet begun.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Issued in the future: one of the clocks is wrong.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// Of another instance.
    #[error("the token is of another issuer")]
    Issuer,
    /// Made for another site.
    #[error("the token was made for an origin that is not allowed")]
    AuthorizedParty,
    /// The user has yet to finish signing in, for example to choose an organization.
    #[error("the session is pending")]
    Pending,
}

impl Rejection {
    /// The machine-readable name of the broken rule.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Rejection::Missing => "session_missing",
            Rejection::Malformed => "token_malformed",
            Rejection::Algorithm => "token_algorithm",
            Rejection::UnknownKey => "token_key_unknown",
            Rejection::Signature => "token_signature",
            Rejection::Type => "token_type",
            Rejection::Machine => "token_machine",
            Rejection::Subject => "token_subject",
            Rejection::Expired => "token_expired",
            Rejection::NotYetValid => "token_not_yet_valid",
            Rejection::IssuedInFuture => "token_issued_in_future",
            Rejection::Issuer => "token_issuer",
            Rejection::AuthorizedParty => "token_origin",
            Rejection::Pending => "session_pending",
        }
    }
}

/// A session that has passed every rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Who.
    pub user: UserId,
    /// The active organization, if there is one.
    pub organization: Option<ActiveOrganization>,
    /// The application's id of the user as the claims carry it, under `dbId` or `metadata.dbId`.
    pub db_id: Option<String>,
    /// The user's role as the claims carry it, under `role` or `metadata.role`.
    pub role: Option<String>,
    /// Whether somebody else acts in the user's name.
    pub is_impersonated: bool,
    /// How long ago, in minutes, the user last proved the first factor; nothing if never or not known.
    pub first_factor_age: Option<u32>,
}

impl Session {
    /// What the session is about: the user, and the active organization with the user's membership of it.
    #[must_use]
    pub fn entities(&self) -> Each<Option<EntityId>> {
        let organization = self.organization.as_ref().map(|organization| organization.id.clone());
        let membership = organization.clone().map(|organization| {
            let user = self.user.clone();
            EntityId::Membership { user, organization }
        });
        Each {
            user: Some(EntityId::User(self.user.clone())),
            organization: organization.map(EntityId::Organization),
            membership,
        }
    }
}

/// The organization that the user works in, as the token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveOrganization {
    /// Clerk's id.
    pub id: OrganizationId,
    /// Its part of a URL.
    pub slug: Option<String>,
    /// The role, such as `org:admin`, in both versions of the token.
    pub role: Option<String>,
    /// What the role allows, such as `org:teams:read`.
    pub permissions: Vec<String>,
}

/// The header of a token, as far as the rules look at it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Header {
    /// How it is signed.
    pub alg: Option<String>,
    /// With which key.
    pub kid: Option<String>,
    typ: Option<String>,
    cat: Option<String>,
}

/// The claims of a token whose signature has been checked, and nothing else.
#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    sub: Option<Value>,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    iss: Option<String>,
    azp: Option<String>,
    sts: Option<String>,
    act: Option<Value>,
    fva: Option<Vec<i64>>,
    fea: Option<String>,
    o: Option<Organization>,
    org_id: Option<OrganizationId>,
    org_slug: Option<String>,
    org_role: Option<String>,
    org_permissions: Option<Vec<String>>,
    // An application may have put anything under these names: what is no text is no claim of Rollcall's.
    #[serde(rename = "dbId")]
    db_id: Option<Value>,
    role: Option<Value>,
    metadata: Option<Value>,
}

/// The organization as version 2 writes it.
#[derive(Clone, Debug, Deserialize)]
struct Organization {
    id: OrganizationId,
    slg: Option<String>,
    rol: Option<String>,
    per: Option<String>,
    fpm: Option<String>,
}

/// Applies every rule but the signature's, in the order in which a client can do something about them.
///
/// # Errors
///
/// [`Rejection`], the first rule that is broken.
pub fn check(header: &Header, claims: Claims, rules: &Rules, now: Millis) -> Result<Session, Rejection> {
    if header.typ.as_deref() != Some("JWT") {
        return Err(Rejection::Type);
    }
    let subject = claims.sub.as_ref().and_then(Value::as_str).ok_or(Rejection::Subject)?;
    if header.cat.as_deref() == Some(MACHINE_CATEGORY) || subject.starts_with("mch_") {
        return Err(Rejection::Machine);
    }
    let user: UserId = subject.parse().map_err(|_| Rejection::Subject)?;
    // Thirteen digits lie far below what a double holds exactly.
    #[expect(clippy::cast_precision_loss)]
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
    if claims.iss.as_deref() != Some(rules.issuer.as_str()) {
        return Err(Rejection::Issuer);
    }
    let is_allowed = match &claims.azp {
        _ if rules.origins.is_empty() => true,
        Some(azp) => rules.origins.contains(azp),
        None => rules.allow_missing_azp,
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
    let text = |claim: Option<&Value>, name: &str| {
        let of_metadata = || claims.metadata.as_ref().and_then(|metadata| metadata.get(name)?.as_str());
        claim.and_then(Value::as_str).or_else(of_metadata).map(str::to_owned)
    };
    let (db_id, role) = (text(claims.db_id.as_ref(), "dbId"), text(claims.role.as_ref(), "role"));
    let first_factor_age = claims.fva.as_ref().and_then(|ages| ages.first()).and_then(|age| u32::try_from(*age).ok());
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
    Session { user, organization, db_id, role, is_impersonated: claims.act.is_some(), first_factor_age }
}

/// The permissions of version 2: for the i-th feature that belongs to the organization, `fpm` holds a mask over the names in
/// `per`, lowest bit first. A mask that cannot be read grants nothing.
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
