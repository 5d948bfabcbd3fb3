//! Visibility: the fields of a user that another user may see.

use serde_json::{Map, Value};

use crate::core::mirror::item::Item;

/// The setting `USER_VISIBILITY`: who may see a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserVisibility {
    /// Members of the organization in which the caller's session is active.
    #[default]
    Organization,
    /// Every signed-in user may see the ids, the name and the image. Members of the active organization may see more.
    SignedIn,
}

/// The role in the application whose users may see all users.
pub const ADMIN: &str = "admin";

/// The fields of a user that members of the same organization may see.
pub const FOR_MEMBERS: [&str; 8] =
    ["id", "clerk_user_id", "name", "first_name", "last_name", "username", "email", "image_url"];
/// The fields that every signed-in user may see with [`UserVisibility::SignedIn`].
pub const FOR_ALL: [&str; 4] = ["id", "clerk_user_id", "name", "image_url"];

/// The relation between the caller and a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The user is the caller.
    pub is_self: bool,
    /// The caller is an administrator of the application.
    pub is_admin: bool,
    /// The caller and the user have live memberships of the organization in which the session is active.
    pub are_members: bool,
}

/// The fields of a live user that the caller may see. `None` if the user is deleted, not stored or not visible.
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

/// The fields of a user that members of the same organization may see.
pub fn of_member(user: &Item) -> Map<String, Value> {
    only(user, &FOR_MEMBERS)
}

fn only(user: &Item, names: &[&str]) -> Map<String, Value> {
    user.shown().into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect()
}
