//! What callers may read and change through the account routes.

use super::variables::{Reader, Variable, switch, variable};
use crate::core::account::authorization::{Pointer, RolePointers};
use crate::core::account::visibility::UserVisibility;
use crate::core::account::write::Writable;

pub const PROFILE_WRITABLE: Variable = variable(
    "PROFILE_WRITABLE",
    "the fields of a record that its owner may write with `PUT`, `PATCH` and `POST /me/profile`: a JSON list of top-level \
     fields, or `*` for all fields that Rollcall does not set itself",
    "a JSON list of fields such as [\"theme\",\"bio\"], or *; by default []. The list must not contain fields that Rollcall sets, such as user_id and created_at",
)
.with_default("[]");
pub const PROFILE_IF_MATCH: Variable = variable(
    "PROFILE_IF_MATCH",
    "`required` = `PUT` and `PATCH /me/profile` need the header `If-Match`, so that no client overwrites a change that the \
     client has not read",
    "optional (default) or required",
)
.with_default("optional");
pub const ACCOUNT_DELETION: Variable = variable(
    "ACCOUNT_DELETION",
    "`on` = users may delete their own account with `DELETE /me`. The function then needs the key to Clerk",
    "on or off (default)",
)
.with_default("off");
pub const USER_VISIBILITY: Variable = variable(
    "USER_VISIBILITY",
    "who may read a user at `GET /users`: `organization` = members of the organization in which the session is active; \
     `signed-in` = also every other signed-in user, but only name and image. Users with the role `admin` read all",
    "organization (default) or signed-in",
)
.with_default("organization");
pub const ROLE_POINTER: Variable = variable(
    "ROLE_POINTER",
    "where `GET /me/authorization` finds the role of a user in `public_metadata`: a JSON pointer. With \
     any other pointer than `/role`, `ROLES` has no effect: the value, or each value of a list, is compared unchanged with \
     the role in the request",
    "a JSON pointer such as /role (default)",
)
.with_default("/role");
pub const ORGANIZATION_ROLES_POINTER: Variable = variable(
    "ORGANIZATION_ROLES_POINTER",
    "where `public_metadata` has the roles of a user by organization: a JSON pointer to an object with one \
     entry for each organization, such as `{\"org_1\":\"admin\"}`; the value is a role or a list of roles. Then a role needs \
     no membership: removing a member in Clerk does not remove the role from the metadata; a permission still needs the \
     membership. If it is not set, the role of the user's membership in Clerk is used",
    "a JSON pointer such as /organization_roles",
);

/// The settings of the account routes.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    pub writable: Writable,
    /// Whether a change of a record needs `If-Match`.
    pub requires_if_match: bool,
    /// Whether users may delete their accounts.
    pub deletion: bool,
    pub visibility: UserVisibility,
    pub pointers: RolePointers,
}

impl AccountSettings {
    /// The variables of this group.
    pub const VARIABLES: [Variable; 6] = [
        PROFILE_WRITABLE,
        PROFILE_IF_MATCH,
        ACCOUNT_DELETION,
        USER_VISIBILITY,
        ROLE_POINTER,
        ORGANIZATION_ROLES_POINTER,
    ];

    /// Reads the group. A malformed variable counts as its default here; the reader notes the problem.
    pub fn read(reader: &mut Reader<'_>) -> AccountSettings {
        let writable = reader.read(&PROFILE_WRITABLE, Writable::parse);
        let if_match = reader.read(&PROFILE_IF_MATCH, required);
        let deletion = reader.read(&ACCOUNT_DELETION, switch);
        let visibility = reader.read(&USER_VISIBILITY, visibility);
        let role = reader.read(&ROLE_POINTER, Pointer::parse).filter(|pointer| !pointer.is_usual());
        let organization_roles = reader.read(&ORGANIZATION_ROLES_POINTER, Pointer::parse);
        AccountSettings {
            writable: writable.unwrap_or_else(|| Writable::Fields(std::collections::BTreeSet::new())),
            requires_if_match: if_match.unwrap_or(false),
            deletion: deletion.unwrap_or(false),
            visibility: visibility.unwrap_or_default(),
            pointers: RolePointers { role, organization_roles },
        }
    }
}

fn required(text: &str) -> Option<bool> {
    match text {
        "required" => Some(true),
        "optional" => Some(false),
        _ => None,
    }
}

fn visibility(text: &str) -> Option<UserVisibility> {
    match text {
        "organization" => Some(UserVisibility::Organization),
        "signed-in" => Some(UserVisibility::SignedIn),
        _ => None,
    }
}
