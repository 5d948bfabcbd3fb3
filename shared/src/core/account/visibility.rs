//! What one user sees of another.

use serde_json::{Map, Value};

use crate::core::mirror::item::Item;

/// Who sees a user: the setting `USER_VISIBILITY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserVisibility {
    /// The members of the organization in which the caller's session is active.
    #[default]
    Organization,
    /// Every signed-in user, but only the name and the image; members of the active organization see more.
    SignedIn,
}

/// The role in the application that sees everybody.
pub const ADMIN: &str = "admin";

/// The fields of a user that other members of an organization see.
pub const FOR_MEMBERS: [&str; 8] =
    ["id", "clerk_user_id", "name", "first_name", "last_name", "username", "email", "image_url"];
/// The fields that every signed-in user sees under [`UserVisibility::SignedIn`].
pub const FOR_ALL: [&str; 4] = ["id", "clerk_user_id", "name", "image_url"];

/// What is known of the relation between the caller and a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The user is the caller.
    pub is_self: bool,
    /// The caller is an administrator of the application.
    pub is_admin: bool,
    /// The caller and the user have live memberships of the organization in which the session is active.
    pub are_members: bool,
}

/// What the caller sees of a live user; nothing of one who is deleted, not stored or not visible.
pub fn shown(user: Option<&Item>, relation: Relation, visibility: UserVisibility) -> Option<Map<String, Value>> {
    let user = user.filter(|user| !user.is_deleted() && !user.is_placeholder())?;
    if relation.is_self || relation.is_admin {
        Some(user.shown())
    } else if relation.are_members {
        Some(of_member(user))
    } else if visibility == UserVisibility::SignedIn {
        Some(only(user, &FOR_ALL))
    } else {
        None
    }
}

/// What the members of an organization see of one another.
pub fn of_member(user: &Item) -> Map<String, Value> {
    only(user, &FOR_MEMBERS)
}

fn only(user: &Item, names: &[&str]) -> Map<String, Value> {
    user.shown().into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect()
}
