//! Which users a list or a count is about, and how a list is ordered.

use std::cmp::Ordering;

use super::params::{Params, Selection};
use crate::{
    errors::ApiError,
    instance::{
        Instance,
        model::{Contact, User},
    },
};

/// What `order_by` may name.
pub(super) const ORDERS: [&str; 10] = [
    "created_at",
    "updated_at",
    "email_address",
    "web3wallet",
    "first_name",
    "last_name",
    "phone_number",
    "username",
    "last_active_at",
    "last_sign_in_at",
];

/// The filters that the list and the count share.
pub(super) struct Filter<'a> {
    ids: Selection<'a>,
    external_ids: Selection<'a>,
    organizations: Selection<'a>,
    emails: Vec<&'a str>,
    phones: Vec<&'a str>,
    usernames: Vec<&'a str>,
    query: Option<String>,
    email_query: Option<String>,
    phone_query: Option<String>,
    username_query: Option<String>,
    name_query: Option<String>,
    banned: Option<bool>,
    created_at: Range,
    last_active_at: Range,
    last_sign_in_at: Range,
}

impl<'a> Filter<'a> {
    pub(super) fn of(params: &'a Params) -> Result<Self, ApiError> {
        let lowered = |name: &str| params.text(name).map(str::to_lowercase);
        Ok(Self {
            ids: Selection::of(params.list("user_id")?),
            external_ids: Selection::of(params.list("external_id")?),
            organizations: Selection::of(params.list("organization_id")?),
            emails: params.list("email_address")?,
            phones: params.list("phone_number")?,
            usernames: params.list("username")?,
            query: lowered("query"),
            email_query: lowered("email_address_query"),
            phone_query: lowered("phone_number_query"),
            username_query: lowered("username_query"),
            name_query: lowered("name_query"),
            banned: params.flag("banned")?,
            created_at: Range::of(params, "created_at")?,
            last_active_at: Range::of(params, "last_active_at")?,
            last_sign_in_at: Range::of(params, "last_sign_in_at")?,
        })
    }

    pub(super) fn admits(&self, instance: &Instance, user: &User) -> bool {
        let name = || format!("{} {}", text(user.first_name.as_ref()), text(user.last_name.as_ref())).to_lowercase();
        let username = || text(user.username.as_ref()).to_lowercase();
        let any = |contacts: &[Contact], part: &str| contacts.iter().any(|c| c.value.to_lowercase().contains(part));
        let one_of = |contacts: &[Contact], values: &[&str]| {
            values.is_empty()
                || contacts.iter().any(|c| values.iter().any(|value| value.eq_ignore_ascii_case(&c.value)))
        };
        let matches = |part: &str| {
            any(&user.emails, part)
                || any(&user.phones, part)
                || username().contains(part)
                || name().contains(part)
                || user.id.to_lowercase().contains(part)
        };
        self.ids.admits(|id| user.id == id)
            && self.external_ids.admits(|id| user.external_id.as_deref() == Some(id))
            && self.organizations.admits(|id| instance.is_member(id, &user.id))
            && one_of(&user.emails, &self.emails)
            && one_of(&user.phones, &self.phones)
            && (self.usernames.is_empty() || self.usernames.iter().any(|name| username() == name.to_lowercase()))
            && self.query.as_deref().is_none_or(matches)
            && self.email_query.as_deref().is_none_or(|part| any(&user.emails, part))
            && self.phone_query.as_deref().is_none_or(|part| any(&user.phones, part))
            && self.username_query.as_deref().is_none_or(|part| username().contains(part))
            && self.name_query.as_deref().is_none_or(|part| name().contains(part))
            && self.banned.is_none_or(|banned| user.banned == banned)
            && self.created_at.admits(Some(user.created_at))
            && self.last_active_at.admits(user.last_active_at)
            && self.last_sign_in_at.admits(user.last_sign_in_at)
    }
}

/// `…_before` and `…_after` in Unix ms, both exclusive.
struct Range {
    before: Option<i64>,
    after: Option<i64>,
}

impl Range {
    fn of(params: &Params, name: &str) -> Result<Self, ApiError> {
        let bound = |side| params.integer(&format!("{name}_{side}"));
        Ok(Self { before: bound("before")?, after: bound("after")? })
    }

    fn admits(&self, time: Option<i64>) -> bool {
        self.before.is_none_or(|before| time.is_some_and(|time| time < before))
            && self.after.is_none_or(|after| time.is_some_and(|time| time > after))
    }
}

fn text(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}

/// Nobody here has a web3 wallet: ordering by it leaves everything where it is.
pub(super) fn compare(key: &str, a: &User, b: &User) -> Ordering {
    match key {
        "updated_at" => a.updated_at.cmp(&b.updated_at),
        "last_active_at" => a.last_active_at.cmp(&b.last_active_at),
        "last_sign_in_at" => a.last_sign_in_at.cmp(&b.last_sign_in_at),
        "email_address" => a.primary_email().cmp(&b.primary_email()),
        "phone_number" => a.primary_phone().cmp(&b.primary_phone()),
        "username" => a.username.cmp(&b.username),
        "first_name" => a.first_name.cmp(&b.first_name),
        "last_name" => a.last_name.cmp(&b.last_name),
        _ => Ordering::Equal,
    }
}
