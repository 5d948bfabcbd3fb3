//! What the authorizer says of a caller to the application's own functions.
//!
//! All values are text: API Gateway passes numbers and booleans of some kinds of APIs as text, and a list breaks a REST API.
//! A value that does not exist is an empty text, so that a mapping that names it always finds it.

use serde::Serialize;
use serde_json::Value;

use super::caller::{Caller, Member};
use crate::core::id::InstanceId;
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::mirror::roles::Roles;
use crate::core::session::claims::Session;

/// The context of an authorized request. Roles and permissions are those of the copy: a token grants none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Context {
    /// The internal id.
    pub user_id: String,
    pub clerk_user_id: String,
    /// The role in the application; empty where no user is copied.
    pub role: String,
    /// The active organization, if the caller is a live member of it; else empty, as are the next two.
    pub organization_id: String,
    pub organization_role: String,
    /// The permissions in the organization, separated by spaces.
    pub permissions: String,
    /// The seconds since the token was issued; empty if the token does not say.
    pub claims_age: String,
    /// `off` where no user is copied: then roles and memberships are unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<&'static str>,
}

impl Context {
    /// The context of an admitted caller.
    pub fn of(session: &Session, caller: &Caller, instance: &InstanceId, roles: &Roles, now: Millis) -> Context {
        let role = roles.named(caller.user.fields.get("role").and_then(Value::as_str)).to_owned();
        let context = Context { role, copy: None, ..Context::without_copy(session, instance, now) };
        let (Some(active), Some(Member { membership, .. })) = (&session.organization, &caller.member) else {
            return context;
        };
        Context {
            organization_id: active.id.to_string(),
            organization_role: text(membership, "role"),
            permissions: permissions(membership),
            ..context
        }
    }

    /// The context where no user is copied: who the caller is, and nothing that only the copy can say.
    pub fn without_copy(session: &Session, instance: &InstanceId, now: Millis) -> Context {
        let age = |issued_at: u64| (now.get() / 1000).saturating_sub(issued_at).to_string();
        Context {
            user_id: instance.internal_id(&session.user).to_string(),
            clerk_user_id: session.user.to_string(),
            claims_age: session.issued_at.map(age).unwrap_or_default(),
            copy: Some("off"),
            ..Context::default()
        }
    }
}

fn text(item: &Item, name: &str) -> String {
    item.fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A name with a space in it would be read as two permissions.
fn permissions(membership: &Item) -> String {
    let names = membership.fields.get("permissions").and_then(Value::as_array).into_iter().flatten();
    let names = names.filter_map(Value::as_str).filter(|name| !name.is_empty() && !name.contains(char::is_whitespace));
    names.collect::<Vec<_>>().join(" ")
}
