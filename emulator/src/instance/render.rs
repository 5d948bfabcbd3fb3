//! Converts entities to Clerk's JSON. The Backend API and webhooks use the same objects.

use serde_json::{Value, json};

use super::{
    Instance,
    model::{Contact, Membership, Organization, Proof, Session, User},
};

pub(crate) fn user(user: &User) -> Value {
    let image = image_url(&user.id);
    json!({
        "object": "user",
        "id": user.id,
        "external_id": user.external_id,
        "primary_email_address_id": user.primary_email_address_id,
        "primary_phone_number_id": user.primary_phone_number_id,
        "primary_web3_wallet_id": null,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "locale": user.locale,
        "profile_image_url": image,
        "image_url": image,
        "has_image": false,
        "public_metadata": user.public_metadata,
        "private_metadata": user.private_metadata,
        "unsafe_metadata": user.unsafe_metadata,
        "email_addresses": user.emails.iter().map(email_address).collect::<Vec<_>>(),
        "phone_numbers": user.phones.iter().map(phone_number).collect::<Vec<_>>(),
        "web3_wallets": [],
        "passkeys": [],
        "password_enabled": user.password_enabled,
        "two_factor_enabled": false,
        "totp_enabled": false,
        "backup_code_enabled": false,
        "mfa_enabled_at": null,
        "mfa_disabled_at": null,
        "external_accounts": [],
        "saml_accounts": [],
        "enterprise_accounts": [],
        "last_sign_in_at": user.last_sign_in_at,
        "banned": user.banned,
        "locked": user.locked,
        // For a locked user null means that the lock does not expire; in the emulator no lock expires.
        "lockout_expires_in_seconds": null,
        "verification_attempts_remaining": 100,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "delete_self_enabled": user.delete_self_enabled,
        "create_organization_enabled": user.create_organization_enabled,
        "create_organizations_limit": user.create_organizations_limit,
        "last_active_at": user.last_active_at,
        "legal_accepted_at": user.legal_accepted_at,
        "bypass_client_trust": user.bypass_client_trust,
    })
}

fn email_address(email: &Contact) -> Value {
    json!({
        "id": email.id,
        "object": "email_address",
        "email_address": email.value,
        "reserved": email.proof == Proof::Reserved,
        "verification": verification(email, "email_code"),
        "linked_to": [],
        "matches_sso_connection": false,
        "created_at": email.created_at,
        "updated_at": email.updated_at,
    })
}

fn phone_number(phone: &Contact) -> Value {
    json!({
        "id": phone.id,
        "object": "phone_number",
        "phone_number": phone.value,
        "reserved_for_second_factor": false,
        "default_second_factor": false,
        "reserved": phone.proof == Proof::Reserved,
        "verification": verification(phone, "phone_code"),
        "linked_to": [],
        "backup_codes": null,
        "created_at": phone.created_at,
        "updated_at": phone.updated_at,
    })
}

fn verification(contact: &Contact, code: &str) -> Value {
    match contact.proof {
        Proof::Reserved => Value::Null,
        Proof::Admin => json!({
            "object": "verification_admin",
            "status": "verified",
            "strategy": "admin",
            "attempts": null,
            "expire_at": null,
        }),
        Proof::Code => json!({
            "object": "verification_otp",
            "status": "verified",
            "strategy": code,
            "attempts": 1,
            "expire_at": contact.created_at + 10 * 60 * 1000,
        }),
    }
}

pub(crate) fn organization(instance: &Instance, organization: &Organization) -> Value {
    let mut shape = json!({
        "object": "organization",
        "id": organization.id,
        "name": organization.name,
        "slug": organization.slug,
        "image_url": image_url(&organization.id),
        "has_image": false,
        "members_count": instance.members_count(&organization.id),
        "missing_member_with_elevated_permissions": false,
        "pending_invitations_count": 0,
        "max_allowed_memberships": organization.max_allowed_memberships,
        "admin_delete_enabled": organization.admin_delete_enabled,
        "public_metadata": organization.public_metadata,
        "private_metadata": organization.private_metadata,
        "created_at": organization.created_at,
        "updated_at": organization.updated_at,
    });
    // The contract's `created_by` is not nullable: an organization without a creator leaves it out.
    if let Some(creator) = &organization.created_by {
        shape["created_by"] = json!(creator);
    }
    shape
}

/// The whole membership with its organization and public user data. The deletion event contains it, too.
pub(crate) fn membership(instance: &Instance, membership: &Membership) -> Value {
    let nested = instance.organization(&membership.organization_id);
    let member = instance.user(&membership.user_id);
    json!({
        "object": "organization_membership",
        "id": membership.id,
        "role": membership.role,
        "role_name": role_name(&membership.role),
        "permissions": permissions(&membership.role),
        "public_metadata": membership.public_metadata,
        "private_metadata": membership.private_metadata,
        "organization": nested.map(|nested| organization(instance, &nested)),
        "public_user_data": member.map(|member| public_user_data(&member)),
        "created_at": membership.created_at,
        "updated_at": membership.updated_at,
    })
}

pub(crate) fn session(instance: &Instance, session: &Session, now: i64) -> Value {
    let member_of = session.organization_id.as_deref().filter(|id| instance.is_member(id, &session.user_id));
    json!({
        "object": "session",
        "id": session.id,
        "user_id": session.user_id,
        "client_id": session.client_id,
        "actor": null,
        "status": session.status_at(now),
        "last_active_organization_id": member_of,
        "last_active_at": session.created_at,
        "latest_activity": null,
        "expire_at": session.expire_at(),
        "abandon_at": session.abandon_at(),
        "updated_at": session.updated_at,
        "created_at": session.created_at,
        "tasks": null,
    })
}

fn public_user_data(user: &User) -> Value {
    let image = image_url(&user.id);
    json!({
        "user_id": user.id,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "profile_image_url": image,
        "image_url": image,
        "has_image": false,
        "identifier": user.identifier(),
        "username": user.username,
        "banned": user.banned,
        "deprovisioned": false,
    })
}

/// The `DeletedObject` of a user: with the external id only if the user had one.
pub(crate) fn deleted_user(user: &User) -> Value {
    let mut shape = json!({"object": "user", "id": user.id, "deleted": true});
    if let Some(external_id) = &user.external_id {
        shape["external_id"] = json!(external_id);
    }
    shape
}

pub(crate) fn deleted_organization(organization: &Organization) -> Value {
    json!({"object": "organization", "id": organization.id, "slug": organization.slug, "deleted": true})
}

fn image_url(id: &str) -> String {
    format!("https://img.clerk.com/{id}")
}

/// `org:billing_manager` is shown as "Billing Manager".
fn role_name(role: &str) -> String {
    let words = role.trim_start_matches("org:").split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Clerk's system permissions of its two default roles; a custom role has none here.
fn permissions(role: &str) -> &'static [&'static str] {
    match role {
        "org:admin" => &[
            "org:sys_profile:manage",
            "org:sys_profile:delete",
            "org:sys_memberships:read",
            "org:sys_memberships:manage",
            "org:sys_domains:read",
            "org:sys_domains:manage",
        ],
        "org:member" => &["org:sys_memberships:read"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_s_name_is_its_key_in_words() {
        assert_eq!(role_name("org:admin"), "Admin");
        assert_eq!(role_name("org:billing_manager"), "Billing Manager");
    }
}
