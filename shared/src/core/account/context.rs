//! The context: the data about a caller that the authorizer passes to the application's own functions.
//!
//! All values are texts, because some kinds of APIs turn numbers and booleans into texts, and a REST API answers 500
//! for a list. An absent value is an empty text, so that a mapping template finds every key.

use serde::Serialize;
use serde_json::Value;

use super::caller::{Caller, Member};
use crate::core::id::InstanceId;
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::mirror::roles::Roles;
use crate::core::session::claims::Session;

/// The context of an authorized request. Roles and permissions come from the copy, never from the token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Context {
    /// The internal id.
    pub user_id: String,
    pub clerk_user_id: String,
    /// The role in the application; empty with `MIRROR=off`.
    pub role: String,
    /// The active organization, if the caller is a live member of it. Otherwise this field and the next two are empty.
    pub organization_id: String,
    pub organization_role: String,
    /// The permissions in the organization, separated by spaces.
    pub permissions: String,
    /// The seconds since the token was issued; empty if the token has no time of issue.
    pub claims_age: String,
    /// `off` with `MIRROR=off`: then roles and memberships are unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<&'static str>,
}

impl Context {
    /// The context of an admitted caller.
    pub fn new(session: &Session, caller: &Caller, instance: &InstanceId, roles: &Roles, now: Millis) -> Context {
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

    /// The context with `MIRROR=off`: the caller's ids, without the values that only the copy has.
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

/// The names of the permissions. A name with white space is left out: a function would read it as two permissions.
fn permissions(membership: &Item) -> String {
    let names = membership.fields.get("permissions").and_then(Value::as_array).into_iter().flatten();
    let names = names.filter_map(Value::as_str).filter(|name| !name.is_empty() && !name.contains(char::is_whitespace));
    names.collect::<Vec<_>>().join(" ")
}
