//! Routes of organization memberships: `/v1/organizations/{id}/memberships`, `/v1/users/{id}/organization_memberships`,
//! `/v1/organization_memberships`.

use std::{borrow::Cow, cmp::Reverse};

use axum::{Json, extract::Path};

use super::{
    Answer, Listing,
    organizations::directed,
    params::{Form, Params, Selection},
};
use crate::{
    app::Call,
    errors::ApiError,
    instance::{
        Direction, Instance, NewMembership,
        model::{Membership, User},
        render,
    },
};

const METADATA: [&str; 2] = ["public_metadata", "private_metadata"];
const ORDERS: [&str; 6] = ["created_at", "phone_number", "email_address", "first_name", "last_name", "username"];

pub(super) async fn list_in_organization(call: Call, Path(key): Path<String>, params: Params) -> Answer {
    let page = params.page()?;
    let order = params.order(&ORDERS)?;
    let users = Selection::new(params.list("user_id")?);
    let roles = params.list("role")?;
    let emails = params.list("email_address")?;
    let query = params.text("query").map(str::to_lowercase);
    let (before, after) = (params.integer("created_at_before")?, params.integer("created_at_after")?);
    let listing = call.read(|instance| {
        let found = instance.organization_by_id_or_slug(&key);
        let organization = found.ok_or_else(|| ApiError::not_found("organization", &key))?;
        let shape = |membership: Cow<'_, Membership>| render::membership(instance, &membership);
        let filtered = !users.is_open()
            || !roles.is_empty()
            || !emails.is_empty()
            || query.is_some()
            || before.is_some()
            || after.is_some();
        if !filtered && order.0 == "created_at" {
            let all = instance.memberships_in(&organization.id, order.1);
            return Ok(Listing::new(page, instance.members_count(&organization.id), all, shape));
        }
        let member = |membership: &Membership, of: &dyn Fn(&User) -> bool| {
            instance.user(&membership.user_id).is_some_and(|user| of(&user))
        };
        let admitted = |membership: &Cow<'_, Membership>| {
            users.admits(|id| membership.user_id == id)
                && (roles.is_empty() || roles.contains(&membership.role.as_str()))
                && (emails.is_empty() || member(membership, &|user| has_email(user, &emails)))
                && query.as_deref().is_none_or(|part| member(membership, &|user| mentions(user, part)))
                && before.is_none_or(|before| membership.created_at < before)
                && after.is_none_or(|after| membership.created_at > after)
        };
        let named = users.included();
        let mut matching: Vec<Cow<'_, Membership>> = if named.is_empty() {
            instance.memberships_in(&organization.id, order.1).filter(admitted).collect()
        } else {
            named.into_iter().filter_map(|id| instance.membership(&organization.id, id)).filter(admitted).collect()
        };
        sort(instance, &mut matching, order);
        Ok(Listing::new(page, matching.len(), matching.into_iter(), shape))
    })?;
    Ok(listing.into_answer(&call))
}

pub(super) async fn list_of_user(call: Call, Path(id): Path<String>, params: Params) -> Answer {
    let page = params.page()?;
    let listing = call.read(|instance| {
        let user = instance.user(&id).ok_or_else(|| ApiError::not_found("user", &id))?;
        let mut matching: Vec<Cow<'_, Membership>> = instance.memberships_of(&user.id).collect();
        sort(instance, &mut matching, ("created_at", Direction::Descending));
        let shape = |membership: Cow<'_, Membership>| render::membership(instance, &membership);
        Ok(Listing::new(page, matching.len(), matching.into_iter(), shape))
    })?;
    Ok(listing.into_answer(&call))
}

/// Lists the memberships of all organizations.
pub(super) async fn list_all(call: Call, params: Params) -> Answer {
    let page = params.page()?;
    let order = params.order(&ORDERS)?;
    let listing = call.read(|instance| {
        let (total, all) = (instance.memberships_count(), instance.memberships(order.1));
        let shape = |membership: Cow<'_, Membership>| render::membership(instance, &membership);
        if order.0 == "created_at" {
            return Ok(Listing::new(page, total, all, shape));
        }
        let mut all: Vec<Cow<'_, Membership>> = all.collect();
        sort(instance, &mut all, order);
        Ok(Listing::new(page, total, all.into_iter(), shape))
    })?;
    Ok(listing.into_answer(&call))
}

pub(super) async fn create(call: Call, Path(key): Path<String>, form: Form) -> Answer {
    form.allow(&[&["user_id", "role"][..], &METADATA].concat())?;
    let new = NewMembership {
        user_id: form.required("user_id")?,
        role: role(&form)?,
        public_metadata: form.object("public_metadata")?.unwrap_or_default(),
        private_metadata: form.object("private_metadata")?.unwrap_or_default(),
    };
    call.change(|change| change.create_membership(&key, new)).map(Json)
}

pub(super) async fn edit(call: Call, Path((key, user)): Path<(String, String)>, form: Form) -> Answer {
    form.allow(&["role"])?;
    let role = role(&form)?;
    call.change(|change| change.set_role(&key, &user, role)).map(Json)
}

pub(super) async fn delete(call: Call, Path((key, user)): Path<(String, String)>) -> Answer {
    call.change(|change| change.delete_membership(&key, &user)).map(Json)
}

pub(super) async fn merge_metadata(call: Call, Path((key, user)): Path<(String, String)>, form: Form) -> Answer {
    let edit = form.metadata(&METADATA, false)?;
    call.change(|change| change.edit_membership_metadata(&key, &user, &edit)).map(Json)
}

/// A role key in Clerk's form. The emulator has no list of custom roles.
fn role(form: &Form) -> Result<String, ApiError> {
    let role = form.required("role")?;
    let letters = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    match role.strip_prefix("org:") {
        Some(name) if !name.is_empty() && letters(name) => Ok(role),
        _ => Err(ApiError::refused_value("role", "must be the key of a role, like org:member")),
    }
}

fn has_email(user: &User, addresses: &[&str]) -> bool {
    user.emails.iter().any(|email| addresses.iter().any(|address| email.value.eq_ignore_ascii_case(address)))
}

fn mentions(user: &User, part: &str) -> bool {
    let contacts = user.emails.iter().chain(&user.phones).map(|contact| contact.value.as_str());
    let names = [&user.username, &user.first_name, &user.last_name].into_iter().flatten().map(String::as_str);
    contacts.chain(names).chain([user.id.as_str()]).any(|text| text.to_lowercase().contains(part))
}

/// Sorts by creation or by an attribute of the member; equal rows stay in the order of creation.
fn sort(instance: &Instance, memberships: &mut [Cow<'_, Membership>], (key, direction): (&str, Direction)) {
    memberships.sort_by(|a, b| directed((a.created_at, &a.id).cmp(&(b.created_at, &b.id)), direction));
    if key == "created_at" {
        return;
    }
    let by = |membership: &Cow<'_, Membership>| {
        let user = instance.user(&membership.user_id)?;
        let text = match key {
            "email_address" => user.primary_email(),
            "phone_number" => user.primary_phone(),
            "first_name" => user.first_name.as_deref(),
            "last_name" => user.last_name.as_deref(),
            _ => user.username.as_deref(),
        };
        text.map(str::to_owned)
    };
    match direction {
        Direction::Ascending => memberships.sort_by_cached_key(by),
        Direction::Descending => memberships.sort_by_cached_key(|membership| Reverse(by(membership))),
    }
}
