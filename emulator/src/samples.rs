//! Creates the sample users of an empty instance. They cover every unusual kind: no e-mail address, banned, no
//! organization …

use serde_json::{Value, json};

use crate::{
    errors::ApiError,
    faults::Variants,
    instance::{
        Change, Instance, NewMembership, NewOrganization, NewUser,
        model::{Metadata, Proof, User},
    },
    webhooks::Event,
};

const FIRST_NAMES: [&str; 12] = [
    "Ada",
    "Grace",
    "Alan",
    "Edsger",
    "Barbara",
    "Donald",
    "Frances",
    "John",
    "Katherine",
    "Leslie",
    "Margaret",
    "Tony",
];
const LAST_NAMES: [&str; 7] = ["Abbott", "Brandt", "Castillo", "Dubois", "Eriksen", "Fischer", "Greene"];
const ORGANIZATIONS: [&str; 4] = ["Acme Corp", "Globex", "Initech", "Umbrella Labs"];

/// The number of users per organization, until there are no further names.
const USERS_PER_ORGANIZATION: usize = 8;
/// Of so many users one has a username only, one a phone number only, and one is banned.
const KINDS_REPEAT: usize = 25;
const MINUTE_MS: i64 = 60_000;

/// Fills an instance with `count` users who signed up at intervals of a minute, the last one a minute before `now`.
/// Calls `announce` with the events of these changes, oldest first, each with its time.
pub(crate) fn fill(
    instance: &mut Instance,
    count: usize,
    now: i64,
    mut announce: impl FnMut(i64, Event),
) -> Result<(), ApiError> {
    let organizations = count.div_ceil(USERS_PER_ORGANIZATION).min(ORGANIZATIONS.len());
    let mut organization_ids: Vec<String> = Vec::new();
    for index in 0..count {
        let minutes = i64::try_from(count - index).unwrap_or(i64::MAX / MINUTE_MS);
        let at = now - minutes * MINUTE_MS;
        let mut change = Change::at(at, instance, false, Variants::default());
        let user_id = id_of(&change.create_user(sample_user(index))?);
        if let Some(name) = ORGANIZATIONS.get(index).filter(|_| index < organizations) {
            let new = NewOrganization {
                name: (*name).to_owned(),
                created_by: Some(user_id.clone()),
                ..NewOrganization::default()
            };
            organization_ids.push(id_of(&change.create_organization(new)?));
        } else {
            join(&mut change, &organization_ids[index % organizations], &user_id)?;
        }
        // Every fourth user belongs to two organizations.
        if index % 4 == 3 && organizations > 1 {
            let second = &organization_ids[(index + 1) % organization_ids.len()];
            if *second != organization_ids[index % organization_ids.len()] {
                join(&mut change, second, &user_id)?;
            }
        }
        change.into_events().into_iter().for_each(|event| announce(at, event));
    }
    Ok(())
}

fn join(change: &mut Change<'_>, organization_id: &str, user_id: &str) -> Result<(), ApiError> {
    let (user_id, role) = (user_id.to_owned(), "org:member".to_owned());
    change.create_membership(organization_id, NewMembership { user_id, role, ..NewMembership::default() })?;
    Ok(())
}

fn id_of(shape: &Value) -> String {
    shape["id"].as_str().unwrap_or_default().to_owned()
}

/// First and last name; the first 84 pairs are different.
pub(crate) fn names(index: usize) -> (&'static str, &'static str) {
    (FIRST_NAMES[index % FIRST_NAMES.len()], LAST_NAMES[index % LAST_NAMES.len()])
}

pub(crate) fn organization_name(index: usize) -> &'static str {
    ORGANIZATIONS[index % ORGANIZATIONS.len()]
}

fn sample_user(index: usize) -> NewUser {
    let (first, last) = names(index);
    let handle = format!("{}.{}{}", first.to_lowercase(), last.to_lowercase(), index + 1);
    let kind = index % KINDS_REPEAT;
    let mut new = NewUser {
        attributes: User {
            first_name: Some(first.to_owned()),
            last_name: Some(last.to_owned()),
            public_metadata: role(index),
            password_enabled: true,
            delete_self_enabled: true,
            create_organization_enabled: true,
            banned: kind == 6,
            ..User::default()
        },
        ..NewUser::default()
    };
    match kind {
        4 => new.attributes.username = Some(handle),
        5 => new.phones = vec![(format!("+1555{:07}", 100_000 + index), Proof::Code)],
        _ => new.emails = vec![(format!("{handle}@example.com"), Proof::Code)],
    }
    new
}

/// The public metadata: some users have a role, most have none.
pub(crate) fn role(index: usize) -> Metadata {
    let role = match index % 6 {
        0 => "admin",
        3 => "coach",
        _ => return Metadata::new(),
    };
    Metadata::from_iter([("role".to_owned(), json!(role))])
}
