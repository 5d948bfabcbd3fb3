//! Decides whether the caller has a role or a permission, from the copy and from the claims of the session.
//!
//! The copy must contain the role or the permission. A claim that is present must contain it, too; an absent claim has
//! no effect. Therefore a demotion takes effect with the next read, even if the token is older, and a promotion takes
//! effect as soon as the token contains it. If a setting names another place for roles in the public metadata, the
//! claims are not compared.

use serde::Serialize;
use serde_json::{Map, Value};
use strum::IntoStaticStr;

use crate::core::id::OrganizationId;
use crate::core::millis::Millis;
use crate::core::mirror::roles::Roles;
use crate::core::session::claims::{ActiveOrganization, Session};

/// A place in public metadata, a JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(String);

impl Pointer {
    /// Parses a setting. `None` if the text is not a JSON pointer below the root.
    pub fn parse(text: &str) -> Option<Pointer> {
        let is_token = |token: &str| {
            let mut parts = token.split('~').skip(1);
            !token.is_empty() && parts.all(|part| part.starts_with(['0', '1']))
        };
        let tokens = text.strip_prefix('/')?;
        (text.len() <= 255 && tokens.split('/').all(is_token)).then(|| Pointer(text.to_owned()))
    }

    /// Whether this is `/role`. The Directory has its value in `role`, already checked against `ROLES`.
    pub fn is_usual(&self) -> bool {
        self.0 == "/role"
    }

    /// The value in the metadata.
    pub fn find<'a>(&self, metadata: &'a Value) -> Option<&'a Value> {
        metadata.pointer(&self.0)
    }

    /// The names of the keys, from the outermost to the innermost. There is at least one.
    pub fn names(&self) -> Vec<String> {
        self.0.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
    }
}

/// The places of roles in the public metadata of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolePointers {
    /// The place of the role in the application. `None` means `role`, which the copy has checked against `ROLES`.
    pub role: Option<Pointer>,
    /// The place of an object that maps ids of organizations to roles. `None` means that the role of Clerk's membership
    /// counts.
    pub organization_roles: Option<Pointer>,
}

/// A question about the caller. It has a role, a permission, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    pub role: Option<String>,
    pub permission: Option<String>,
    /// The organization in which the caller needs the role or the permission. Without one, the role is that in the
    /// application, and the permission that in the active organization.
    pub organization: Option<String>,
}

/// The answer of `GET /me/authorization`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Authorization {
    pub authorized: bool,
    /// What decided.
    pub because: Because,
    /// How old the claims of the session are, in seconds; null if the token does not say when it was issued.
    pub claims_age: Option<u64>,
}

/// What decided about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Because {
    /// The copy allows, and no claim says less.
    Allowed,
    /// The caller has no live membership of the organization.
    NotAMember,
    /// The caller has another role.
    OtherRole,
    /// The role of the caller does not include the permission.
    PermissionMissing,
    /// The copy allows, but the session has another role: the token is newer or older than the copy.
    ClaimsOtherRole,
    /// The copy allows, but the session does not have the permission.
    ClaimsPermissionMissing,
}

/// The caller's data from the copy, or from Clerk.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The projected fields of the user.
    pub user: &'a Map<String, Value>,
    /// The projected fields of the caller's live membership of the organization in question.
    pub membership: Option<&'a Map<String, Value>>,
}

impl Authorization {
    /// The answer at the time `now`.
    pub fn new(because: Because, session: &Session, now: Millis) -> Authorization {
        let claims_age = session.issued_at.map(|issued_at| (now.get() / 1000).saturating_sub(issued_at));
        Authorization { authorized: because == Because::Allowed, because, claims_age }
    }
}

/// Answers a question.
pub fn decide(
    question: &Question,
    facts: Facts<'_>,
    session: &Session,
    roles: &Roles,
    pointers: &RolePointers,
) -> Because {
    let named = question.organization.as_deref();
    // A role without an organization is one in the application, whatever else is asked: the role in the active
    // organization must not stand for it.
    let role = question.role.as_ref().map_or(Because::Allowed, |role| match named {
        Some(organization) => in_organization(role, organization, facts, session, pointers),
        None => of_application(role, facts, session, roles, pointers),
    });
    match &question.permission {
        Some(permission) if role == Because::Allowed => {
            // A permission belongs to an organization: the active one, unless the question names another.
            let active = || session.organization.as_ref().map(|active| active.id.as_str());
            named
                .or_else(active)
                .map_or(Because::NotAMember, |organization| permitted(permission, organization, facts, session))
        }
        _ => role,
    }
}

/// The role of a user in the application. Metadata may contain one text or a list of texts.
fn of_application(role: &str, facts: Facts<'_>, session: &Session, roles: &Roles, pointers: &RolePointers) -> Because {
    let Some(pointer) = &pointers.role else {
        let stored = roles.named(facts.user.get("role").and_then(Value::as_str));
        let claimed = session.role.known(|role| roles.knows(role));
        return match (stored == role, claimed) {
            (false, _) => Because::OtherRole,
            (true, Some(claimed)) if roles.named(Some(claimed)) != role => Because::ClaimsOtherRole,
            (true, _) => Because::Allowed,
        };
    };
    let metadata = metadata(facts);
    if metadata.as_ref().and_then(|metadata| pointer.find(metadata)).is_some_and(|value| names(value, role)) {
        Because::Allowed
    } else {
        Because::OtherRole
    }
}

fn in_organization(
    role: &str,
    organization: &str,
    facts: Facts<'_>,
    session: &Session,
    pointers: &RolePointers,
) -> Because {
    if let Some(pointer) = &pointers.organization_roles {
        let metadata = metadata(facts);
        let all = metadata.as_ref().and_then(|metadata| pointer.find(metadata));
        let has = all.and_then(|all| all.get(organization)).is_some_and(|value| names(value, role));
        return if has { Because::Allowed } else { Because::OtherRole };
    }
    let Some(membership) = facts.membership else { return Because::NotAMember };
    let is_asked = |has: &str| is_role(has, role);
    if !membership.get("role").and_then(Value::as_str).is_some_and(is_asked) {
        return Because::OtherRole;
    }
    let claimed = claimed(session, organization).and_then(|active| active.role.as_deref());
    if claimed.is_some_and(|claimed| !is_asked(claimed)) { Because::ClaimsOtherRole } else { Because::Allowed }
}

/// Whether a role of Clerk's membership, such as `org:admin`, is the role in question: `org:admin`, or in short `admin`.
pub fn is_role(has: &str, asked: &str) -> bool {
    has == asked || has.strip_prefix("org:") == Some(asked)
}

fn permitted(permission: &str, organization: &str, facts: Facts<'_>, session: &Session) -> Because {
    let Some(membership) = facts.membership else { return Because::NotAMember };
    let has = membership.get("permissions").is_some_and(|all| names(all, permission));
    if !has {
        return Because::PermissionMissing;
    }
    // Both versions of the token contain only the permissions of custom features. A token without permissions has no
    // effect.
    let claimed =
        claimed(session, organization).map(|active| &active.permissions).filter(|claimed| !claimed.is_empty());
    let is_system = permission.starts_with("org:sys_");
    match claimed {
        Some(claimed) if !is_system && !claimed.iter().any(|it| it == permission) => Because::ClaimsPermissionMissing,
        _ => Because::Allowed,
    }
}

/// The active organization, if it is the one in question.
fn claimed<'a>(session: &'a Session, organization: &str) -> Option<&'a ActiveOrganization> {
    session.organization.as_ref().filter(|active| active.id.as_str() == organization)
}

/// Whether a value equals the text, or is a list that contains the text.
fn names(value: &Value, text: &str) -> bool {
    match value {
        Value::String(one) => one == text,
        Value::Array(all) => all.iter().any(|one| one.as_str() == Some(text)),
        _ => false,
    }
}

/// The public metadata. The copy contains them as JSON text if DynamoDB cannot store them as a map.
fn metadata(facts: Facts<'_>) -> Option<Value> {
    match facts.user.get("public_metadata")? {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    }
}

/// Whether the answer depends on a membership in the copy.
pub fn needs_membership(question: &Question, session: &Session, pointers: &RolePointers) -> Option<OrganizationId> {
    let active = || session.organization.as_ref().map(|active| active.id.clone());
    match (&question.organization, &question.permission) {
        (Some(_), None) if pointers.organization_roles.is_some() => None,
        (Some(organization), _) => organization.parse().ok(),
        (None, Some(_)) => active(),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::session::claims::Claim;

    fn session(role: Option<&str>, permissions: &[&str], claimed: Option<&str>) -> Session {
        let organization = ActiveOrganization {
            id: "org_1".parse().unwrap(),
            slug: None,
            role: role.map(str::to_owned),
            permissions: permissions.iter().map(|one| (*one).to_owned()).collect(),
        };
        Session {
            user: "user_1".parse().unwrap(),
            organization: Some(organization),
            db_id: Claim::default(),
            role: Claim { metadata: claimed.map(str::to_owned), top: None },
            actor: None,
            first_factor_age: None,
            issued_at: Some(100),
        }
    }

    fn question(role: &str, permission: &str, organization: &str) -> Question {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Question { role: text(role), permission: text(permission), organization: text(organization) }
    }

    #[test]
    fn the_copy_must_allow_and_no_claim_may_say_less() {
        use Because::{Allowed, ClaimsOtherRole, ClaimsPermissionMissing, NotAMember, OtherRole, PermissionMissing};
        let user = json!({ "role": "admin" });
        let member = json!({ "role": "org:admin", "permissions": ["org:teams:read", "org:sys_memberships:read"] });
        let usual = RolePointers { role: None, organization_roles: None };
        let (user, member) = (user.as_object().unwrap(), member.as_object().unwrap());
        for (asked, is_member, session, because) in [
            (question("admin", "", ""), false, session(None, &[], None), Allowed),
            (question("admin", "", ""), false, session(None, &[], Some("admin")), Allowed),
            (question("admin", "", ""), false, session(None, &[], Some("user")), ClaimsOtherRole),
            (question("user", "", ""), false, session(None, &[], Some("user")), OtherRole),
            (question("org:admin", "", "org_1"), true, session(None, &[], None), Allowed),
            (question("admin", "", "org_1"), true, session(Some("org:admin"), &[], None), Allowed),
            (question("admin", "", "org_1"), true, session(Some("org:member"), &[], None), ClaimsOtherRole),
            (question("member", "", "org_1"), true, session(Some("org:member"), &[], None), OtherRole),
            (question("admin", "", "org_1"), false, session(Some("org:admin"), &[], None), NotAMember),
            // Claims about another organization have no effect.
            (question("admin", "", "org_2"), true, session(Some("org:member"), &[], None), Allowed),
            (question("", "org:teams:read", ""), true, session(None, &[], None), Allowed),
            (question("", "org:teams:read", ""), true, session(None, &["org:teams:read"], None), Allowed),
            (
                question("", "org:teams:read", ""),
                true,
                session(None, &["org:teams:manage"], None),
                ClaimsPermissionMissing,
            ),
            (question("", "org:teams:manage", ""), true, session(None, &["org:teams:manage"], None), PermissionMissing),
            (question("", "org:teams:read", ""), false, session(None, &["org:teams:read"], None), NotAMember),
            // Tokens do not contain system permissions.
            (question("", "org:sys_memberships:read", ""), true, session(None, &["org:teams:read"], None), Allowed),
            (question("admin", "org:teams:read", "org_1"), true, session(Some("org:admin"), &[], None), Allowed),
            (question("member", "org:teams:read", "org_1"), true, session(None, &[], None), OtherRole),
            (question("admin", "org:teams:manage", "org_1"), true, session(None, &[], None), PermissionMissing),
            // Without an organization the role is that of the application, also if a permission is asked for, too.
            (question("admin", "org:teams:read", ""), true, session(Some("org:member"), &[], None), Allowed),
            (question("admin", "org:teams:read", ""), true, session(None, &[], Some("user")), ClaimsOtherRole),
            (question("org:admin", "org:teams:read", ""), true, session(Some("org:admin"), &[], None), OtherRole),
            (question("user", "org:teams:read", ""), true, session(None, &[], None), OtherRole),
            (question("admin", "org:teams:manage", ""), true, session(None, &[], None), PermissionMissing),
            (question("admin", "org:teams:read", ""), false, session(None, &[], None), NotAMember),
        ] {
            let facts = Facts { user, membership: is_member.then_some(member) };
            assert_eq!(decide(&asked, facts, &session, Roles::usual(), &usual), because, "{asked:?} {session:?}");
        }
    }

    #[test]
    fn the_role_in_the_active_organization_is_no_role_in_the_application() {
        let metadata = json!({ "primary_role": "coach", "organization_roles": { "org_1": "lead" } });
        let user = json!({ "role": "user", "public_metadata": metadata });
        let member = json!({ "role": "org:admin", "permissions": ["org:teams:read"] });
        let facts = Facts { user: user.as_object().unwrap(), membership: member.as_object() };
        let session = session(Some("org:admin"), &["org:teams:read"], None);
        let usual = RolePointers { role: None, organization_roles: None };
        let pointers = RolePointers {
            role: Pointer::parse("/primary_role"),
            organization_roles: Pointer::parse("/organization_roles"),
        };
        for (pointers, role, organization, because) in [
            (&usual, "admin", "", Because::OtherRole),
            (&usual, "org:admin", "", Because::OtherRole),
            (&usual, "user", "", Because::Allowed),
            (&usual, "admin", "org_1", Because::Allowed),
            (&usual, "user", "org_1", Because::OtherRole),
            (&pointers, "lead", "", Because::OtherRole),
            (&pointers, "coach", "", Because::Allowed),
            (&pointers, "lead", "org_1", Because::Allowed),
            (&pointers, "coach", "org_1", Because::OtherRole),
        ] {
            for permission in ["", "org:teams:read"] {
                let asked = question(role, permission, organization);
                assert_eq!(decide(&asked, facts, &session, Roles::usual(), pointers), because, "{asked:?}");
            }
        }
    }

    #[test]
    fn without_an_organization_nobody_has_a_permission() {
        let user = json!({ "role": "admin" });
        let facts = Facts { user: user.as_object().unwrap(), membership: None };
        let session = Session { organization: None, ..session(None, &[], None) };
        let usual = RolePointers { role: None, organization_roles: None };
        for (role, permission, because) in [
            ("admin", "", Because::Allowed),
            ("admin", "org:billing:manage", Because::NotAMember),
            ("", "org:billing:manage", Because::NotAMember),
        ] {
            let asked = question(role, permission, "");
            assert_eq!(decide(&asked, facts, &session, Roles::usual(), &usual), because, "{asked:?}");
        }
    }

    #[test]
    fn pointers_lead_to_roles_in_the_public_metadata() {
        let metadata =
            json!({ "primary_role": ["coach", 7], "organization_roles": { "team-1": "lead", "team-2": [] } });
        let pointers = RolePointers {
            role: Pointer::parse("/primary_role"),
            organization_roles: Pointer::parse("/organization_roles"),
        };
        for metadata in [metadata.clone(), Value::String(metadata.to_string())] {
            let user = json!({ "role": "user", "public_metadata": metadata });
            let facts = Facts { user: user.as_object().unwrap(), membership: None };
            for (role, organization, allowed) in [
                ("coach", "", true),
                ("user", "", false),
                ("lead", "team-1", true),
                ("coach", "team-1", false),
                ("lead", "team-2", false),
                ("lead", "team-3", false),
            ] {
                let asked = question(role, "", organization);
                let because = decide(&asked, facts, &session(None, &[], None), Roles::usual(), &pointers);
                assert_eq!(because == Because::Allowed, allowed, "{asked:?}");
                assert_eq!(needs_membership(&asked, &session(None, &[], None), &pointers), None);
            }
        }
    }

    #[test]
    fn a_setting_is_a_json_pointer_below_the_root() {
        for (text, is_pointer) in [
            ("/role", true),
            ("/a/b~1c~0", true),
            ("", false),
            ("/", false),
            ("role", false),
            ("/a//b", false),
            ("/a~2", false),
        ] {
            assert_eq!(Pointer::parse(text).is_some(), is_pointer, "{text}");
        }
        assert!(Pointer::parse("/role").unwrap().is_usual());
    }

    #[test]
    fn the_age_of_the_claims_counts_from_their_issue() {
        let age = |now| Authorization::new(Because::Allowed, &session(None, &[], None), Millis::try_from(now).unwrap());
        assert_eq!((age(130_500).claims_age, age(99_000).claims_age), (Some(30), Some(0)));
    }
}
