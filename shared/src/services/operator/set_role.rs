//! Changes a role: in Clerk first, and then the row follows by the rule.

use serde_json::{Map, Value};
use thiserror::Error;

use super::{Operator, OperatorError};
use crate::adapters::clerk::error::ClerkError;
use crate::core::account::authorization::Pointer;
use crate::core::clerk::objects::{Entity, Metadata};
use crate::core::deletion::subject::Subject;
use crate::core::id::EntityId;
use crate::core::mirror::decide::Next;
use crate::core::mirror::item::Item;
use crate::core::mirror::projection::Context;
use crate::services::reconcile::NO_EVIDENCE;

/// The planned change of a role.
#[derive(Clone, Debug, PartialEq)]
pub struct RolePlan {
    pub entity: EntityId,
    /// The role in Clerk; `None` if there is none.
    pub before: Option<String>,
    pub after: String,
}

/// Why a role was not changed.
#[derive(Debug, Error)]
pub enum RoleError {
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// Clerk does not have the user or the membership.
    #[error("{0} does not exist in Clerk: check the id and CLERK_INSTANCE_ID")]
    Unknown(String),
    /// An organization has no role.
    #[error("an organization has no role: pass the id of a user, or of a membership as org_…/user_…")]
    NotARole,
    /// The role is not one of `ROLES`.
    #[error("{0} is not one of the roles in ROLES ({1}); such a user would count as user")]
    NotListed(String, String),
    /// Clerk does not accept the role, or no write at all.
    #[error("Clerk refused the role {0}; nothing was changed")]
    Refused(String, #[source] ClerkError),
}

impl Operator {
    /// The planned change. `place` is where the public metadata of a user have the role. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`RoleError`].
    pub async fn can_set_role(&self, subject: &Subject, role: &str, place: &Pointer) -> Result<RolePlan, RoleError> {
        self.check_operator().await?;
        let (entity, _) = self.find(subject).await?;
        match &entity {
            EntityId::Organization(_) => return Err(RoleError::NotARole),
            // With another pointer the application compares roles unchanged.
            EntityId::User(_) if place.is_usual() && !self.applier.roles.knows(role) => {
                return Err(RoleError::NotListed(role.to_owned(), self.applier.roles.listed()));
            }
            EntityId::User(_) | EntityId::Membership { .. } => {}
        }
        let found = self.applier.clerk.fetch_proven(&entity).await.map_err(OperatorError::from)?;
        let before = match found.ok_or_else(|| RoleError::Unknown(entity.to_string()))? {
            Entity::User(user) => role_of(&user.public_metadata, place),
            Entity::Membership(membership) => membership.role,
            Entity::Organization(_) => None,
        };
        Ok(RolePlan { entity, before, after: role.to_owned() })
    }

    /// Changes the role in Clerk, fetches the entity, and applies its state to the Directory. Returns the row; `None` if
    /// `MIRROR=off` keeps no row.
    ///
    /// # Errors
    ///
    /// [`RoleError`]. After [`RoleError::Operator`] Clerk may have the new role; a repetition does the rest.
    pub async fn set_role(&self, plan: &RolePlan, place: &Pointer) -> Result<Option<Item>, RoleError> {
        let (entity, clerk) = (&plan.entity, &self.applier.clerk);
        let changed = match entity {
            _ if plan.before.as_ref() == Some(&plan.after) => Ok(Some(())),
            EntityId::User(user) => clerk.merge_public_metadata(user, &metadata_with(place, &plan.after)).await,
            EntityId::Membership { user, organization } => {
                clerk.set_organization_role(user, organization, &plan.after).await
            }
            EntityId::Organization(_) => return Err(RoleError::NotARole),
        };
        changed
            .map_err(|error| match error {
                error @ (ClerkError::Rejected(..) | ClerkError::Unauthorized(403)) => {
                    RoleError::Refused(plan.after.clone(), error)
                }
                error => OperatorError::from(error).into(),
            })?
            .ok_or_else(|| RoleError::Unknown(entity.to_string()))?;
        if !self.mirrors(entity.kind()) {
            return Ok(None);
        }
        let (_, stored) = self.find(&Subject::Entity(entity.clone())).await?;
        let provenance = self.provenance();
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        let applied = self.applier.apply(entity, Next::Fetch, stored, &NO_EVIDENCE, &context, None).await;
        applied.map_err(|failure| OperatorError::from(failure.error))?;
        Ok(self.find(&Subject::Entity(entity.clone())).await?.1)
    }
}

/// The role in the metadata, as text; another value as JSON.
fn role_of(metadata: &Metadata, place: &Pointer) -> Option<String> {
    let role = match metadata {
        Metadata::Map(map) => place.find(&Value::Object(map.clone())).cloned(),
        // Only single keys can be read of metadata that are no valid map.
        Metadata::Text(_) => place.is_usual().then(|| metadata.text("role").map(Value::from)).flatten(),
    };
    match role? {
        Value::Null => None,
        Value::String(role) => Some(role),
        other => Some(other.to_string()),
    }
}

/// The metadata to merge: the role in its place.
fn metadata_with(place: &Pointer, role: &str) -> Map<String, Value> {
    let mut value = Value::from(role);
    let mut names = place.names();
    let first = names.remove(0);
    for name in names.into_iter().rev() {
        value = Value::Object(Map::from_iter([(name, value)]));
    }
    Map::from_iter([(first, value)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_is_read_and_written_in_its_place() {
        for (place, metadata, role, merged) in [
            ("/role", json!({ "role": "admin", "plan": 1 }), Some("admin"), json!({ "role": "x" })),
            ("/role", json!({ "role": null }), None, json!({ "role": "x" })),
            ("/primary_role", json!({ "role": "admin" }), None, json!({ "primary_role": "x" })),
            ("/app/role", json!({ "app": { "role": "a" } }), Some("a"), json!({ "app": { "role": "x" } })),
            ("/a~1b", json!({ "a/b": ["p"] }), Some(r#"["p"]"#), json!({ "a/b": "x" })),
        ] {
            let pointer = Pointer::parse(place).unwrap();
            let metadata = Metadata::Map(metadata.as_object().unwrap().clone());
            assert_eq!(role_of(&metadata, &pointer).as_deref(), role, "{place}");
            assert_eq!(Value::Object(metadata_with(&pointer, "x")), merged, "{place}");
        }
    }
}
