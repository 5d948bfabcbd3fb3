//! Operations that change organizations and memberships.

use serde_json::Value;

use super::{
    Change, Direction, MetadataEdit,
    changes_to_users::limited,
    model::{Membership, Metadata, Organization},
    render,
};
use crate::errors::ApiError;

/// The role of the creator of an organization.
const CREATOR_ROLE: &str = "org:admin";

/// The body of `POST /v1/organizations`.
#[derive(Debug, Default)]
pub(crate) struct NewOrganization {
    pub(crate) name: String,
    pub(crate) slug: Option<String>,
    pub(crate) created_by: Option<String>,
    pub(crate) max_allowed_memberships: i64,
    pub(crate) public_metadata: Metadata,
    pub(crate) private_metadata: Metadata,
    pub(crate) created_at: Option<i64>,
}

/// The body of `PATCH /v1/organizations/{id}`.
#[derive(Debug, Default)]
pub(crate) struct OrganizationEdit {
    pub(crate) name: Option<String>,
    pub(crate) slug: Option<String>,
    pub(crate) max_allowed_memberships: Option<i64>,
    pub(crate) admin_delete_enabled: Option<bool>,
    pub(crate) created_at: Option<i64>,
}

/// The body of `POST /v1/organizations/{id}/memberships`.
#[derive(Debug, Default)]
pub(crate) struct NewMembership {
    pub(crate) user_id: String,
    pub(crate) role: String,
    pub(crate) public_metadata: Metadata,
    pub(crate) private_metadata: Metadata,
}

impl Change<'_> {
    /// Creates the organization and, if there is a creator, the membership of the creator as administrator.
    pub(crate) fn create_organization(&mut self, new: NewOrganization) -> Result<Value, ApiError> {
        if let Some(creator) = &new.created_by {
            self.existing_user(creator)?;
        }
        limited("public_metadata", &new.public_metadata)?;
        limited("private_metadata", &new.private_metadata)?;
        let slug = match new.slug {
            Some(slug) => self.free_slug(slug, "")?,
            None => self.derived_slug(&new.name),
        };
        let organization = Organization {
            id: self.instance.issue("org"),
            name: new.name,
            slug,
            created_by: new.created_by.clone(),
            max_allowed_memberships: new.max_allowed_memberships,
            admin_delete_enabled: true,
            public_metadata: new.public_metadata,
            private_metadata: new.private_metadata,
            created_at: new.created_at.unwrap_or(self.now),
            updated_at: self.now,
        };
        let id = organization.id.clone();
        let Some(user_id) = new.created_by else {
            return Ok(self.store_organization(organization, "organization.created"));
        };
        self.store_organization(organization, "organization.created");
        self.create_membership(
            &id,
            NewMembership { user_id, role: CREATOR_ROLE.to_owned(), ..NewMembership::default() },
        )?;
        // Rendered again: the creator counts as a member now.
        Ok(render::organization(self.instance, &self.existing_organization(&id)?))
    }

    pub(crate) fn edit_organization(&mut self, key: &str, edit: OrganizationEdit) -> Result<Value, ApiError> {
        let mut organization = self.existing_organization(key)?;
        if let Some(slug) = edit.slug {
            organization.slug = self.free_slug(slug, &organization.id)?;
        }
        if let Some(name) = edit.name {
            organization.name = name;
        }
        if let Some(limit) = edit.max_allowed_memberships {
            organization.max_allowed_memberships = limit;
        }
        if let Some(enabled) = edit.admin_delete_enabled {
            organization.admin_delete_enabled = enabled;
        }
        if let Some(created_at) = edit.created_at {
            organization.created_at = created_at;
        }
        Ok(self.store_organization(organization, "organization.updated"))
    }

    pub(crate) fn edit_organization_metadata(&mut self, key: &str, edit: &MetadataEdit) -> Result<Value, ApiError> {
        let mut organization = self.existing_organization(key)?;
        edit.apply("public_metadata", &mut organization.public_metadata, edit.public.as_ref())?;
        edit.apply("private_metadata", &mut organization.private_metadata, edit.private.as_ref())?;
        Ok(self.store_organization(organization, "organization.updated"))
    }

    pub(crate) fn delete_organization(&mut self, key: &str) -> Result<Value, ApiError> {
        let organization = self.existing_organization(key)?;
        let members = self.instance.memberships_in(&organization.id, Direction::Ascending);
        let users: Vec<String> = members.map(|membership| membership.user_id.clone()).collect();
        for user in users {
            self.end_membership_with_its_parent(&organization.id, &user);
        }
        self.instance.remove_organization(&organization.id);
        let deleted = render::deleted_organization(&organization);
        self.emit("organization.deleted", &organization.id, deleted.clone());
        Ok(deleted)
    }

    pub(crate) fn create_membership(&mut self, key: &str, new: NewMembership) -> Result<Value, ApiError> {
        let organization = self.existing_organization(key)?;
        self.existing_user(&new.user_id)?;
        if self.instance.is_member(&organization.id, &new.user_id) {
            return Err(ApiError::already_a_member(&new.user_id));
        }
        let limit = organization.max_allowed_memberships;
        let members = self.instance.members_count(&organization.id);
        if limit > 0 && i64::try_from(members).is_ok_and(|members| members >= limit) {
            return Err(ApiError::membership_quota(limit));
        }
        limited("public_metadata", &new.public_metadata)?;
        limited("private_metadata", &new.private_metadata)?;
        let membership = Membership {
            id: self.instance.issue("orgmem"),
            organization_id: organization.id,
            user_id: new.user_id,
            role: new.role,
            public_metadata: new.public_metadata,
            private_metadata: new.private_metadata,
            created_at: self.now,
            updated_at: self.now,
        };
        Ok(self.store_membership(membership, "organizationMembership.created"))
    }

    pub(crate) fn set_role(&mut self, key: &str, user_id: &str, role: String) -> Result<Value, ApiError> {
        let organization = self.existing_organization(key)?;
        let membership = Membership { role, ..self.existing_membership(&organization.id, user_id)? };
        Ok(self.store_membership(membership, "organizationMembership.updated"))
    }

    pub(crate) fn edit_membership_metadata(
        &mut self,
        key: &str,
        user_id: &str,
        edit: &MetadataEdit,
    ) -> Result<Value, ApiError> {
        let organization = self.existing_organization(key)?;
        let mut membership = self.existing_membership(&organization.id, user_id)?;
        edit.apply("public_metadata", &mut membership.public_metadata, edit.public.as_ref())?;
        edit.apply("private_metadata", &mut membership.private_metadata, edit.private.as_ref())?;
        Ok(self.store_membership(membership, "organizationMembership.updated"))
    }

    /// Deletes the membership. The response and the event contain the whole membership with its earlier times: only the
    /// envelope of the event has the time of the deletion.
    pub(crate) fn delete_membership(&mut self, key: &str, user_id: &str) -> Result<Value, ApiError> {
        let organization = self.existing_organization(key)?;
        let membership = self.existing_membership(&organization.id, user_id)?;
        self.instance.remove_membership(&organization.id, user_id);
        let shape = render::membership(self.instance, &membership);
        self.emit("organizationMembership.deleted", &membership.id, shape.clone());
        Ok(shape)
    }

    /// Called before the parent is deleted: the event contains the organization and the user.
    pub(super) fn end_membership_with_its_parent(&mut self, organization_id: &str, user_id: &str) {
        let Some(membership) = self.instance.remove_membership(organization_id, user_id) else {
            return;
        };
        if self.cascade_membership_events {
            let shape = render::membership(self.instance, &membership);
            self.emit("organizationMembership.deleted", &membership.id, shape);
        }
    }

    fn store_organization(&mut self, mut organization: Organization, event_type: &'static str) -> Value {
        organization.updated_at = self.later(organization.updated_at);
        let id = organization.id.clone();
        let shape = render::organization(self.instance, &organization);
        self.instance.remove_organization(&id);
        self.instance.insert_organization(organization);
        self.emit(event_type, &id, shape.clone());
        shape
    }

    fn store_membership(&mut self, mut membership: Membership, event_type: &'static str) -> Value {
        membership.updated_at = self.later(membership.updated_at);
        let id = membership.id.clone();
        self.instance.remove_membership(&membership.organization_id, &membership.user_id);
        self.instance.insert_membership(membership.clone());
        // After the insertion, so that `members_count` includes this membership.
        let shape = render::membership(self.instance, &membership);
        self.emit(event_type, &id, shape.clone());
        shape
    }

    fn free_slug(&self, slug: String, own_id: &str) -> Result<String, ApiError> {
        let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if slug.is_empty() || !slug.chars().all(allowed) {
            return Err(ApiError::malformed_parameter("slug", "made of lowercase letters, digits and dashes"));
        }
        match self.instance.organization_with_slug(&slug) {
            Some(owner) if owner.id != own_id => Err(ApiError::taken("slug")),
            _ => Ok(slug),
        }
    }

    /// The slug of a name: "Acme Corp" becomes `acme-corp`, the next organization of that name `acme-corp-2`.
    fn derived_slug(&self, name: &str) -> String {
        let dashed: String =
            name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let words: Vec<&str> = dashed.split('-').filter(|word| !word.is_empty()).collect();
        let base = if words.is_empty() { "organization".to_owned() } else { words.join("-") };
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        candidates.find(|slug| self.instance.organization_with_slug(slug).is_none()).unwrap_or(base)
    }
}
