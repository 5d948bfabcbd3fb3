//! Operations that change users. Each operation checks first, so that a rejected request changes nothing.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    Change,
    model::{Contact, Metadata, Proof, SessionStatus, User, merge},
    render,
};
use crate::errors::ApiError;

/// The body of `POST /v1/users`.
#[derive(Debug, Default)]
pub(crate) struct NewUser {
    /// Names, metadata and flags; ids, contacts and times are filled in.
    pub(crate) attributes: User,
    pub(crate) emails: Vec<(String, Proof)>,
    pub(crate) phones: Vec<(String, Proof)>,
    /// The time of the sign-up in Unix ms, if it is in the past.
    pub(crate) created_at: Option<i64>,
    pub(crate) skip_user_requirement: bool,
}

/// The change of an optional field.
#[derive(Debug, Default)]
pub(crate) enum Field {
    #[default]
    Keep,
    /// The request contained null or "".
    Clear,
    Set(String),
}

impl Field {
    fn apply(self, slot: &mut Option<String>) {
        match self {
            Self::Keep => {}
            Self::Clear => *slot = None,
            Self::Set(value) => *slot = Some(value),
        }
    }
}

/// The body of `PATCH /v1/users/{id}`; absent fields stay unchanged.
#[derive(Debug, Default)]
pub(crate) struct UserEdit {
    pub(crate) external_id: Field,
    pub(crate) username: Field,
    pub(crate) first_name: Field,
    pub(crate) last_name: Field,
    pub(crate) locale: Field,
    pub(crate) primary_email_address_id: Option<String>,
    pub(crate) primary_phone_number_id: Option<String>,
    pub(crate) password: bool,
    pub(crate) delete_self_enabled: Option<bool>,
    pub(crate) create_organization_enabled: Option<bool>,
    pub(crate) create_organizations_limit: Option<i64>,
    pub(crate) bypass_client_trust: Option<bool>,
    pub(crate) legal_accepted_at: Option<i64>,
    pub(crate) created_at: Option<i64>,
}

/// A change of metadata, field by field; absent fields stay unchanged.
#[derive(Debug, Default)]
pub(crate) struct MetadataEdit {
    /// PUT replaces each given field, PATCH merges into it.
    pub(crate) replace: bool,
    pub(crate) public: Option<Metadata>,
    pub(crate) private: Option<Metadata>,
    pub(crate) unsafe_: Option<Metadata>,
}

impl MetadataEdit {
    /// Changes one field, which is called `name`; an error if the field becomes too large.
    pub(super) fn apply(&self, name: &str, field: &mut Metadata, given: Option<&Metadata>) -> Result<(), ApiError> {
        match given {
            None => return Ok(()),
            Some(given) if self.replace => field.clone_from(given),
            Some(given) => merge(field, given.clone()),
        }
        limited(name, field)
    }
}

/// The size up to which Clerk stores one field of metadata, in bytes of its JSON.
const METADATA_BYTES: usize = 8 * 1024;

/// Rejects a field of metadata that is larger than Clerk stores.
pub(super) fn limited(name: &str, field: &Metadata) -> Result<(), ApiError> {
    let size = serde_json::to_vec(field).map_or(usize::MAX, |text| text.len());
    if size > METADATA_BYTES { Err(ApiError::too_large(name, METADATA_BYTES)) } else { Ok(()) }
}

impl Change<'_> {
    pub(crate) fn create_user(&mut self, new: NewUser) -> Result<Value, ApiError> {
        let mut user = new.attributes;
        let nameless = new.emails.is_empty() && new.phones.is_empty() && user.username.is_none();
        if nameless && !new.skip_user_requirement {
            return Err(ApiError::no_identifier());
        }
        limited("public_metadata", &user.public_metadata)?;
        limited("private_metadata", &user.private_metadata)?;
        limited("unsafe_metadata", &user.unsafe_metadata)?;
        let now = self.now;
        user.id = self.instance.issue("user");
        user.created_at = new.created_at.unwrap_or(now);
        user.updated_at = now;
        user.emails = new.emails.into_iter().map(|(value, proof)| self.contact(value, proof)).collect();
        user.phones = new.phones.into_iter().map(|(value, proof)| self.contact(value, proof)).collect();
        user.primary_email_address_id = user.emails.first().map(|email| email.id.clone());
        user.primary_phone_number_id = user.phones.first().map(|phone| phone.id.clone());
        self.refuse_taken_identifiers(&user)?;
        Ok(self.store_user(user, "user.created"))
    }

    pub(crate) fn edit_user(&mut self, id: &str, edit: UserEdit) -> Result<Value, ApiError> {
        let mut user = self.existing_user(id)?;
        edit.external_id.apply(&mut user.external_id);
        edit.username.apply(&mut user.username);
        edit.first_name.apply(&mut user.first_name);
        edit.last_name.apply(&mut user.last_name);
        edit.locale.apply(&mut user.locale);
        replace(&mut user.delete_self_enabled, edit.delete_self_enabled);
        replace(&mut user.create_organization_enabled, edit.create_organization_enabled);
        replace(&mut user.create_organizations_limit, edit.create_organizations_limit.map(Some));
        replace(&mut user.bypass_client_trust, edit.bypass_client_trust);
        replace(&mut user.legal_accepted_at, edit.legal_accepted_at.map(Some));
        replace(&mut user.created_at, edit.created_at);
        user.password_enabled |= edit.password;
        if let Some(primary) = edit.primary_email_address_id {
            verified(&user.emails, &primary, "primary_email_address_id")?;
            user.primary_email_address_id = Some(primary);
        }
        if let Some(primary) = edit.primary_phone_number_id {
            verified(&user.phones, &primary, "primary_phone_number_id")?;
            user.primary_phone_number_id = Some(primary);
        }
        self.refuse_taken_identifiers(&user)?;
        Ok(self.store_user(user, "user.updated"))
    }

    pub(crate) fn edit_user_metadata(&mut self, id: &str, edit: &MetadataEdit) -> Result<Value, ApiError> {
        let mut user = self.existing_user(id)?;
        edit.apply("public_metadata", &mut user.public_metadata, edit.public.as_ref())?;
        edit.apply("private_metadata", &mut user.private_metadata, edit.private.as_ref())?;
        edit.apply("unsafe_metadata", &mut user.unsafe_metadata, edit.unsafe_.as_ref())?;
        Ok(self.store_user(user, "user.updated"))
    }

    /// Bans or unbans. There is no event of its own: a ban is sent as `user.updated`. It ends all sessions permanently.
    pub(crate) fn set_banned(&mut self, id: &str, banned: bool) -> Result<Value, ApiError> {
        let user = User { banned, ..self.existing_user(id)? };
        if banned {
            self.end_sessions_of(id, SessionStatus::Revoked);
        }
        Ok(self.store_user(user, "user.updated"))
    }

    pub(crate) fn set_locked(&mut self, id: &str, locked: bool) -> Result<Value, ApiError> {
        let user = User { locked, ..self.existing_user(id)? };
        Ok(self.store_user(user, "user.updated"))
    }

    /// Deletes the user and the user's memberships, and returns Clerk's `DeletedObject`.
    pub(crate) fn delete_user(&mut self, id: &str) -> Result<Value, ApiError> {
        let user = self.existing_user(id)?;
        let organizations: Vec<String> =
            self.instance.memberships_of(id).map(|membership| membership.organization_id.clone()).collect();
        for organization in organizations {
            self.end_membership_with_its_parent(&organization, id);
        }
        self.end_sessions_of(id, SessionStatus::Removed);
        self.instance.remove_user(id);
        let deleted = render::deleted_user(&user);
        self.emit("user.deleted", id, deleted.clone());
        Ok(deleted)
    }

    pub(super) fn store_user(&mut self, mut user: User, event_type: &'static str) -> Value {
        if self.variants.quiet_unchanged && self.instance.user(&user.id).is_some_and(|stored| *stored == user) {
            return render::user(&user);
        }
        user.updated_at = self.later(user.updated_at);
        let shape = render::user(&user);
        let id = user.id.clone();
        self.instance.remove_user(&id);
        self.instance.insert_user(user);
        self.emit(event_type, &id, shape.clone());
        shape
    }

    fn contact(&mut self, value: String, proof: Proof) -> Contact {
        Contact { id: self.instance.issue("idn"), value, proof, created_at: self.now, updated_at: self.now }
    }

    fn refuse_taken_identifiers(&self, user: &User) -> Result<(), ApiError> {
        let mut own = HashSet::new();
        for key in user.identifiers() {
            let someone_else_s = self.instance.user_with(&key).is_some_and(|owner| owner != user.id);
            if someone_else_s || !own.insert(key.clone()) {
                return Err(ApiError::taken(key.split(':').next().unwrap_or_default()));
            }
        }
        Ok(())
    }
}

fn replace<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn verified(contacts: &[Contact], id: &str, parameter: &str) -> Result<(), ApiError> {
    match contacts.iter().find(|contact| contact.id == id) {
        Some(contact) if contact.proof != Proof::Reserved => Ok(()),
        _ => Err(ApiError::refused_value(parameter, "must be a verified identification of this user")),
    }
}
