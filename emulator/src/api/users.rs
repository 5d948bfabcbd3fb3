//! Routes of users: `/v1/users`.

use std::borrow::Cow;

use axum::{Json, extract::Path};
use serde_json::{Value, json};

use super::{
    Answer,
    organizations::directed,
    params::{Form, Params},
    user_filter::{Filter, ORDERS, compare},
};
use crate::{
    app::Call,
    errors::ApiError,
    instance::{
        Direction, NewUser, UserEdit, Window,
        model::{Proof, User},
        render,
    },
};

const METADATA: [&str; 3] = ["public_metadata", "private_metadata", "unsafe_metadata"];

/// Parameters that are accepted and ignored: passwords and second factors are not stored.
const WITHOUT_EFFECT: [&str; 11] = [
    "password_digest",
    "password_hasher",
    "skip_password_checks",
    "skip_password_requirement",
    "sign_out_of_other_sessions",
    "totp_secret",
    "backup_codes",
    "skip_legal_checks",
    "notify_primary_email_address_changed",
    "primary_web3_wallet_id",
    "profile_image_id",
];

/// Lists users: a bare array without a total, unlike every other list.
pub(super) async fn list(call: Call, params: Params) -> Answer {
    let page = params.page()?;
    let (key, direction) = params.order(&ORDERS)?;
    let cursor = params.text("starting_after");
    if cursor.is_some() && key != "created_at" {
        return Err(ApiError::refused_value("starting_after", "requires ordering by created_at"));
    }
    if cursor.is_some() && page.offset > 0 {
        return Err(ApiError::refused_value("starting_after", "cannot be combined with an offset"));
    }
    let filter = Filter::from_params(&params)?;
    let rows: Vec<Value> = call.read(|instance| {
        let mut window = filter.window();
        if let Some(id) = cursor {
            let gone = || ApiError::refused_value("starting_after", "is not the id of a user");
            let user = instance.user(id).ok_or_else(gone)?;
            window = window.behind((user.created_at, user.id.clone()), direction);
        }
        let latest = call.latest_of(|variants| variants.list_lag_ms);
        let matching = filter.matching(instance, direction, &window);
        // Without a lag an offset is skipped at once: a filter would look at each of a billion users.
        let matching: Box<dyn Iterator<Item = Cow<'_, User>>> = match latest {
            i64::MAX => Box::new(matching),
            latest => Box::new(matching.filter(move |user| user.created_at <= latest)),
        };
        let shape = |user: Cow<'_, User>| render::user(&user);
        if key == "created_at" {
            return Ok(page.select(matching).map(shape).collect());
        }
        let mut sorted: Vec<Cow<'_, User>> = matching.collect();
        sorted.sort_by(|a, b| directed(compare(key, a, b), direction));
        Ok(page.select(sorted.into_iter()).map(shape).collect())
    })?;
    Ok(Json(call.shown(page.limit, rows).into()))
}

pub(super) async fn count(call: Call, params: Params) -> Answer {
    let filter = Filter::from_params(&params)?;
    let latest = call.latest_of(|variants| variants.list_lag_ms.max(variants.count_lag_ms));
    let total = call.read(|instance| {
        let newest = instance.users(Direction::Descending, &Window::default());
        let hidden = newest.take_while(|user| user.created_at > latest).count();
        Ok(filter.count(instance).saturating_sub(hidden))
    })?;
    Ok(Json(json!({"object": "total_count", "total_count": total})))
}

pub(super) async fn get(call: Call, Path(id): Path<String>) -> Answer {
    call.read(|instance| {
        let user = instance.user(&id).ok_or_else(|| ApiError::not_found("user", &id))?;
        Ok(Json(render::user(&user)))
    })
}

pub(super) async fn create(call: Call, form: Form) -> Answer {
    let known = [
        "external_id",
        "first_name",
        "last_name",
        "locale",
        "username",
        "email_address",
        "email_address_identification_status",
        "phone_number",
        "phone_number_identification_status",
        "password",
        "skip_user_requirement",
        "delete_self_enabled",
        "create_organization_enabled",
        "create_organizations_limit",
        "bypass_client_trust",
        "legal_accepted_at",
        "created_at",
        "banned",
        "locked",
    ];
    form.allow(&[&known[..], &METADATA, &WITHOUT_EFFECT].concat())?;
    let attributes = User {
        external_id: form.text("external_id")?,
        username: form.text("username")?,
        first_name: form.text("first_name")?,
        last_name: form.text("last_name")?,
        locale: form.text("locale")?,
        public_metadata: form.object("public_metadata")?.unwrap_or_default(),
        private_metadata: form.object("private_metadata")?.unwrap_or_default(),
        unsafe_metadata: form.object("unsafe_metadata")?.unwrap_or_default(),
        password_enabled: form.has("password") || form.has("password_digest"),
        banned: form.flag("banned")?.unwrap_or(false),
        locked: form.flag("locked")?.unwrap_or(false),
        delete_self_enabled: form.flag("delete_self_enabled")?.unwrap_or(true),
        create_organization_enabled: form.flag("create_organization_enabled")?.unwrap_or(true),
        create_organizations_limit: form.integer("create_organizations_limit")?,
        bypass_client_trust: form.flag("bypass_client_trust")?.unwrap_or(false),
        legal_accepted_at: form.moment("legal_accepted_at")?,
        ..User::default()
    };
    let new = NewUser {
        attributes,
        emails: contacts(&form, "email_address", |text| {
            text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
        })?,
        phones: contacts(&form, "phone_number", |text| {
            text.strip_prefix('+').is_some_and(|digits| digits.len() >= 7 && digits.bytes().all(|b| b.is_ascii_digit()))
        })?,
        created_at: form.moment("created_at")?,
        skip_user_requirement: form.flag("skip_user_requirement")?.unwrap_or(false),
    };
    call.change(|change| change.create_user(new)).map(Json)
}

/// Without metadata since API version 2026-05-12; metadata have an endpoint of their own.
pub(super) async fn edit(call: Call, Path(id): Path<String>, form: Form) -> Answer {
    let known = [
        "external_id",
        "first_name",
        "last_name",
        "locale",
        "username",
        "primary_email_address_id",
        "primary_phone_number_id",
        "password",
        "delete_self_enabled",
        "create_organization_enabled",
        "create_organizations_limit",
        "bypass_client_trust",
        "legal_accepted_at",
        "created_at",
    ];
    form.allow(&[&known[..], &WITHOUT_EFFECT].concat())?;
    let edit = UserEdit {
        external_id: form.clearable("external_id")?,
        username: form.clearable("username")?,
        first_name: form.clearable("first_name")?,
        last_name: form.clearable("last_name")?,
        locale: form.clearable("locale")?,
        primary_email_address_id: form.text("primary_email_address_id")?,
        primary_phone_number_id: form.text("primary_phone_number_id")?,
        password: form.has("password") || form.has("password_digest"),
        delete_self_enabled: form.flag("delete_self_enabled")?,
        create_organization_enabled: form.flag("create_organization_enabled")?,
        create_organizations_limit: form.integer("create_organizations_limit")?,
        bypass_client_trust: form.flag("bypass_client_trust")?,
        legal_accepted_at: form.moment("legal_accepted_at")?,
        created_at: form.moment("created_at")?,
    };
    call.change(|change| change.edit_user(&id, edit)).map(Json)
}

pub(super) async fn delete(call: Call, Path(id): Path<String>) -> Answer {
    call.change(|change| change.delete_user(&id)).map(Json)
}

pub(super) async fn merge_metadata(call: Call, Path(id): Path<String>, form: Form) -> Answer {
    let edit = form.metadata(&METADATA, false)?;
    call.change(|change| change.edit_user_metadata(&id, &edit)).map(Json)
}

pub(super) async fn replace_metadata(call: Call, Path(id): Path<String>, form: Form) -> Answer {
    let edit = form.metadata(&METADATA, true)?;
    call.change(|change| change.edit_user_metadata(&id, &edit)).map(Json)
}

pub(super) async fn ban(call: Call, Path(id): Path<String>) -> Answer {
    call.change(|change| change.set_banned(&id, true)).map(Json)
}

pub(super) async fn unban(call: Call, Path(id): Path<String>) -> Answer {
    call.change(|change| change.set_banned(&id, false)).map(Json)
}

pub(super) async fn lock(call: Call, Path(id): Path<String>) -> Answer {
    call.change(|change| change.set_locked(&id, true)).map(Json)
}

pub(super) async fn unlock(call: Call, Path(id): Path<String>) -> Answer {
    call.change(|change| change.set_locked(&id, false)).map(Json)
}

/// The contacts and their statuses, which must be as many if they are given.
fn contacts(form: &Form, name: &str, valid: impl Fn(&str) -> bool) -> Result<Vec<(String, Proof)>, ApiError> {
    let values = form.texts(name)?;
    let status_name = format!("{name}_identification_status");
    let statuses = form.texts(&status_name)?;
    if !statuses.is_empty() && statuses.len() != values.len() {
        return Err(ApiError::refused_value(&status_name, "must have one item for each value"));
    }
    let proof = |index: usize| match statuses.get(index).map(String::as_str) {
        None | Some("verified") => Ok(Proof::Admin),
        Some("reserved") => Ok(Proof::Reserved),
        Some(_) => Err(ApiError::refused_value(&status_name, "must be verified or reserved")),
    };
    let checked = values.into_iter().enumerate().map(|(index, value)| {
        if !valid(&value) {
            return Err(ApiError::malformed_parameter(name, &format!("a valid {}", name.replace('_', " "))));
        }
        Ok((value, proof(index)?))
    });
    checked.collect()
}
