//! Routes of organizations: `/v1/organizations`.

use std::{borrow::Cow, cmp::Ordering};

use axum::{Json, extract::Path};

use super::{
    Answer, Listing,
    params::{Form, Params, Selection},
};
use crate::{
    app::Call,
    errors::ApiError,
    instance::{Direction, NewOrganization, OrganizationEdit, model::Organization, render},
};

const METADATA: [&str; 2] = ["public_metadata", "private_metadata"];

pub(super) async fn list(call: Call, params: Params) -> Answer {
    let page = params.page()?;
    let (key, direction) = params.order(&["name", "created_at", "members_count"])?;
    let ids = Selection::new(params.list("organization_id")?);
    let members = Selection::new(params.list("user_id")?);
    let query = params.text("query").map(str::to_lowercase);
    let listing = call.read(|instance| {
        let named = |organization: &Organization| {
            query.as_deref().is_none_or(|part| {
                organization.id.eq_ignore_ascii_case(part)
                    || organization.name.to_lowercase().contains(part)
                    || organization.slug.contains(part)
            })
        };
        let shape = |organization: Cow<'_, Organization>| render::organization(instance, &organization);
        if ids.is_open() && members.is_open() && query.is_none() && key == "created_at" {
            let all = instance.organizations(direction);
            return Ok(Listing::new(page, instance.organizations_count(), all, shape));
        }
        let admitted = |organization: &Cow<'_, Organization>| {
            ids.admits(|id| organization.id == id)
                && members.admits(|user| instance.is_member(&organization.id, user))
                && named(organization)
        };
        let named_ids = ids.included();
        let mut matching: Vec<Cow<'_, Organization>> = if named_ids.is_empty() {
            instance.organizations(direction).filter(admitted).collect()
        } else {
            named_ids.into_iter().filter_map(|id| instance.organization(id)).filter(admitted).collect()
        };
        matching.sort_by(|a, b| directed((a.created_at, &a.id).cmp(&(b.created_at, &b.id)), direction));
        if key != "created_at" {
            let members = |organization: &Organization| instance.members_count(&organization.id);
            matching.sort_by(|a, b| {
                let order = if key == "name" { a.name.cmp(&b.name) } else { members(a).cmp(&members(b)) };
                directed(order, direction)
            });
        }
        Ok(Listing::new(page, matching.len(), matching.into_iter(), shape))
    })?;
    Ok(listing.into_answer(&call))
}

pub(super) fn directed(order: Ordering, direction: Direction) -> Ordering {
    if direction == Direction::Descending { order.reverse() } else { order }
}

pub(super) async fn get(call: Call, Path(key): Path<String>) -> Answer {
    call.read(|instance| {
        let found = instance.organization_by_id_or_slug(&key);
        let organization = found.ok_or_else(|| ApiError::not_found("organization", &key))?;
        Ok(Json(render::organization(instance, &organization)))
    })
}

pub(super) async fn create(call: Call, form: Form) -> Answer {
    let known = ["name", "slug", "created_by", "max_allowed_memberships", "created_at", "role_set_key"];
    form.allow(&[&known[..], &METADATA].concat())?;
    let new = NewOrganization {
        name: form.required("name")?,
        slug: form.text("slug")?,
        created_by: form.text("created_by")?,
        max_allowed_memberships: form.integer("max_allowed_memberships")?.unwrap_or(0),
        public_metadata: form.object("public_metadata")?.unwrap_or_default(),
        private_metadata: form.object("private_metadata")?.unwrap_or_default(),
        created_at: form.moment("created_at")?,
    };
    call.change(|change| change.create_organization(new)).map(Json)
}

/// Without metadata since API version 2026-05-12; metadata have an endpoint of their own.
pub(super) async fn edit(call: Call, Path(key): Path<String>, form: Form) -> Answer {
    form.allow(&["name", "slug", "max_allowed_memberships", "admin_delete_enabled", "created_at", "role_set_key"])?;
    let edit = OrganizationEdit {
        name: form.text("name")?,
        slug: form.text("slug")?,
        max_allowed_memberships: form.integer("max_allowed_memberships")?,
        admin_delete_enabled: form.flag("admin_delete_enabled")?,
        created_at: form.moment("created_at")?,
    };
    call.change(|change| change.edit_organization(&key, edit)).map(Json)
}

pub(super) async fn delete(call: Call, Path(key): Path<String>) -> Answer {
    call.change(|change| change.delete_organization(&key)).map(Json)
}

pub(super) async fn merge_metadata(call: Call, Path(key): Path<String>, form: Form) -> Answer {
    let edit = form.metadata(&METADATA, false)?;
    call.change(|change| change.edit_organization_metadata(&key, &edit)).map(Json)
}

pub(super) async fn replace_metadata(call: Call, Path(key): Path<String>, form: Form) -> Answer {
    let edit = form.metadata(&METADATA, true)?;
    call.change(|change| change.edit_organization_metadata(&key, &edit)).map(Json)
}
