//! Filters and sorts users for lists and counts.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap};

use super::{
    organizations::directed,
    params::{Params, Selection},
};
use crate::{
    errors::ApiError,
    instance::{
        Direction, Instance, Window,
        model::{Contact, User, external_id_key, identifier_key},
    },
};

/// The valid values of `order_by`.
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

/// The filters of the list and the count.
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
    pub(super) fn from_params(params: &'a Params) -> Result<Self, ApiError> {
        let lowered = |name: &str| params.text(name).map(str::to_lowercase);
        Ok(Self {
            ids: Selection::new(params.list("user_id")?),
            external_ids: Selection::new(params.list("external_id")?),
            organizations: Selection::new(params.list("organization_id")?),
            emails: params.list("email_address")?,
            phones: params.list("phone_number")?,
            usernames: params.list("username")?,
            query: lowered("query"),
            email_query: lowered("email_address_query"),
            phone_query: lowered("phone_number_query"),
            username_query: lowered("username_query"),
            name_query: lowered("name_query"),
            banned: params.flag("banned")?,
            created_at: Range::from_params(params, "created_at")?,
            last_active_at: Range::from_params(params, "last_active_at")?,
            last_sign_in_at: Range::from_params(params, "last_sign_in_at")?,
        })
    }

    /// The part of the order of creation that can contain matching users.
    pub(super) fn window(&self) -> Window {
        // The empty id sorts before every id.
        let moment = |at: i64| (at, String::new());
        let Range { before, after } = self.created_at;
        Window { above: after.map(|after| moment(after.saturating_add(1))), below: before.map(moment) }
    }

    /// The matching users in the window, in the order of creation. If the filter names ids or addresses, only these
    /// users are read.
    pub(super) fn matching<'i>(
        &'i self,
        instance: &'i Instance,
        direction: Direction,
        window: &Window,
    ) -> Box<dyn Iterator<Item = Cow<'i, User>> + 'i> {
        if let Some(users) = self.named(instance) {
            let mut users: Vec<_> = users
                .into_values()
                .filter(|user| window.contains((user.created_at, &user.id)) && self.admits(instance, user))
                .collect();
            users.sort_by(|a, b| directed((a.created_at, &a.id).cmp(&(b.created_at, &b.id)), direction));
            return Box::new(users.into_iter());
        }
        let users = instance.users(direction, window);
        if self.is_by_creation_alone() {
            return Box::new(users);
        }
        Box::new(users.filter(|user| self.admits(instance, user)))
    }

    pub(super) fn count(&self, instance: &Instance) -> usize {
        let window = self.window();
        match (self.is_by_creation_alone(), &window) {
            (true, Window { above: None, below: None }) => instance.users_count(),
            (true, _) => instance.users(Direction::Ascending, &window).len(),
            (false, _) => self.matching(instance, Direction::Ascending, &window).count(),
        }
    }

    /// The users that the filter names, by id, if it names any.
    fn named<'i>(&self, instance: &'i Instance) -> Option<BTreeMap<String, Cow<'i, User>>> {
        let ids = self.ids.included();
        let users: Vec<_> = if !ids.is_empty() {
            ids.into_iter().filter_map(|id| instance.user(id)).collect()
        } else if !self.external_ids.included().is_empty() {
            let with = |id: &str| instance.user(&instance.user_with(&external_id_key(id))?);
            self.external_ids.included().into_iter().filter_map(with).collect()
        } else if !self.emails.is_empty() {
            let with = |email: &&str| instance.user(&instance.user_with(&identifier_key("email_address", email))?);
            self.emails.iter().filter_map(with).collect()
        } else {
            return None;
        };
        Some(users.into_iter().map(|user| (user.id.clone(), user)).collect())
    }

    fn is_by_creation_alone(&self) -> bool {
        let selections = [&self.ids, &self.external_ids, &self.organizations];
        let values = [&self.emails, &self.phones, &self.usernames];
        let queries = [&self.query, &self.email_query, &self.phone_query, &self.username_query, &self.name_query];
        selections.iter().all(|selection| selection.is_open())
            && values.iter().all(|values| values.is_empty())
            && queries.iter().all(|query| query.is_none())
            && self.banned.is_none()
            && self.last_active_at.is_open()
            && self.last_sign_in_at.is_open()
    }

    fn admits(&self, instance: &Instance, user: &User) -> bool {
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
#[derive(Clone, Copy)]
struct Range {
    before: Option<i64>,
    after: Option<i64>,
}

impl Range {
    fn from_params(params: &Params, name: &str) -> Result<Self, ApiError> {
        let bound = |side| params.integer(&format!("{name}_{side}"));
        Ok(Self { before: bound("before")?, after: bound("after")? })
    }

    fn is_open(&self) -> bool {
        self.before.is_none() && self.after.is_none()
    }

    fn admits(&self, time: Option<i64>) -> bool {
        self.before.is_none_or(|before| time.is_some_and(|time| time < before))
            && self.after.is_none_or(|after| time.is_some_and(|time| time > after))
    }
}

fn text(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}

/// Compares two users. The emulator has no web3 wallets: ordering by them changes nothing.
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
