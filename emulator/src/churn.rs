//! Simulates concurrent changes of the instance during a client's listing.

use crate::{
    errors::ApiError,
    faults::{Intrusion, Shift},
    instance::{
        Change, Direction, NewMembership, NewUser, Window,
        model::{Proof, User},
    },
    samples,
};

/// Makes the change, if the instance has an entity for it.
pub(crate) fn strike(change: &mut Change<'_>, intrusion: Intrusion) -> Result<(), ApiError> {
    match intrusion.shift {
        Shift::UserCreated => create_user(change, intrusion.first),
        Shift::UserDeleted => delete_user(change, intrusion.first),
        Shift::MembershipCreated => create_membership(change, intrusion),
        Shift::MembershipDeleted => delete_membership(change, intrusion.first),
    }
}

fn create_user(change: &mut Change<'_>, random: u64) -> Result<(), ApiError> {
    let (first, last) = samples::names(usize::try_from(random % 1_000).unwrap_or_default());
    // Random letters make the address unique, like an id.
    let letters = change.letters(8).to_lowercase();
    let address = format!("{}.{}.{letters}@example.com", first.to_lowercase(), last.to_lowercase());
    let attributes = User {
        first_name: Some(first.to_owned()),
        last_name: Some(last.to_owned()),
        delete_self_enabled: true,
        create_organization_enabled: true,
        ..User::default()
    };
    change.create_user(NewUser { attributes, emails: vec![(address, Proof::Code)], ..NewUser::default() })?;
    Ok(())
}

fn delete_user(change: &mut Change<'_>, random: u64) -> Result<(), ApiError> {
    let Some(id) = any_user(change, random) else { return Ok(()) };
    change.delete_user(&id)?;
    Ok(())
}

/// If the user is a member already, the membership is deleted.
fn create_membership(change: &mut Change<'_>, intrusion: Intrusion) -> Result<(), ApiError> {
    let instance = change.instance();
    let organization = picked(intrusion.second, instance.organizations_count())
        .and_then(|index| instance.organizations(Direction::Ascending).nth(index))
        .map(|organization| organization.id.clone());
    let Some((organization, user_id)) = organization.zip(any_user(change, intrusion.first)) else { return Ok(()) };
    if change.instance().is_member(&organization, &user_id) {
        change.delete_membership(&organization, &user_id)?;
    } else {
        let new = NewMembership { user_id, role: "org:member".to_owned(), ..NewMembership::default() };
        change.create_membership(&organization, new)?;
    }
    Ok(())
}

fn delete_membership(change: &mut Change<'_>, random: u64) -> Result<(), ApiError> {
    let instance = change.instance();
    let membership = picked(random, instance.memberships_count())
        .and_then(|index| instance.memberships(Direction::Ascending).nth(index))
        .map(|membership| (membership.organization_id.clone(), membership.user_id.clone()));
    let Some((organization, user)) = membership else { return Ok(()) };
    change.delete_membership(&organization, &user)?;
    Ok(())
}

fn any_user(change: &Change<'_>, random: u64) -> Option<String> {
    let instance = change.instance();
    let index = picked(random, instance.users_count())?;
    Some(instance.users(Direction::Ascending, &Window::default()).nth(index)?.id.clone())
}

fn picked(random: u64, of: usize) -> Option<usize> {
    usize::try_from(random.checked_rem(of as u64)?).ok()
}
