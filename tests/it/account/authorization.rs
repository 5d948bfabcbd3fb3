//! `GET /me/authorization`.

use clerk_emulator::TokenRequest;
use rollcall_tests::World;
use serde_json::{Value, json};

use super::{arrived, get};
use crate::ensure::profiles::newcomer;

async fn asked(world: &World, token: &str, query: &str) -> (bool, String) {
    let answer = get(world, token, &format!("/me/authorization?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    (answer.body["authorized"].as_bool().unwrap(), answer.body["because"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn d6_roles_are_those_of_the_copy_and_no_claim_may_say_less() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    world.clerk("PATCH", &format!("/users/{ada}/metadata"), json!({ "public_metadata": { "role": "admin" } })).await;
    arrived(&world).await;
    let token = world.session(&ada, Some(&acme));
    let is = |authorized: bool, because: &str| (authorized, because.to_owned());
    assert_eq!(asked(&world, &token, "role=admin").await, is(true, "allowed"));
    assert_eq!(world.wire.take().len(), 1);
    assert_eq!(asked(&world, &token, "role=user").await, is(false, "other_role"));
    assert_eq!(asked(&world, &token, &format!("role=admin&organization_id={acme}")).await, is(true, "allowed"));
    assert_eq!(
        asked(&world, &token, &format!("role=org:member&organization_id={acme}")).await,
        is(false, "other_role")
    );
    assert_eq!(asked(&world, &token, "role=org:admin&organization_id=org_other").await, is(false, "not_a_member"));
    assert_eq!(asked(&world, &token, "permission=org:sys_memberships:manage").await, is(true, "allowed"));
    assert_eq!(asked(&world, &token, "permission=org:teams:read").await, is(false, "permission_missing"));
    assert_eq!(asked(&world, &world.session(&ada, None), "permission=org:teams:read").await, is(false, "not_a_member"));
    let both = "role=admin&permission=org:teams:read";
    assert_eq!(asked(&world, &world.session(&ada, None), both).await, is(false, "not_a_member"));
    // Demoted: the copy counts from the next read on, although the token still has the role.
    let claims = json!({ "metadata": { "role": "admin" } });
    let old = world.token(&TokenRequest { claims: claims.as_object().unwrap().clone(), ..TokenRequest::new(&ada) });
    assert_eq!(asked(&world, &old, "role=admin").await, is(true, "allowed"));
    world.clerk("PATCH", &format!("/users/{ada}/metadata"), json!({ "public_metadata": { "role": "user" } })).await;
    world.reconcile().await;
    assert_eq!(asked(&world, &old, "role=admin").await, is(false, "other_role"));
    // Promoted, with a token that was issued before: the claim still has the lower role.
    let claims = json!({ "metadata": { "role": "user" } });
    let earlier = world.token(&TokenRequest { claims: claims.as_object().unwrap().clone(), ..TokenRequest::new(&ada) });
    world.clerk("PATCH", &format!("/users/{ada}/metadata"), json!({ "public_metadata": { "role": "admin" } })).await;
    world.reconcile().await;
    assert_eq!(asked(&world, &earlier, "role=admin").await, is(false, "claims_other_role"));
    let age = get(&world, &earlier, "/me/authorization?role=admin").await.body["claims_age"].as_u64();
    assert!(age.is_some(), "the token says when it was issued");
}

#[tokio::test]
async fn d6_who_administers_the_active_organization_does_not_administer_the_application() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    arrived(&world).await;
    let token = world.session(&ada, Some(&acme));
    let permission = "permission=org:sys_memberships:manage";
    for (query, authorized, because) in [
        ("role=admin".to_owned(), false, "other_role"),
        (format!("role=admin&{permission}"), false, "other_role"),
        (format!("role=org:admin&{permission}"), false, "other_role"),
        (format!("role=user&{permission}"), true, "allowed"),
        (format!("role=admin&{permission}&organization_id={acme}"), true, "allowed"),
        (format!("role=user&{permission}&organization_id={acme}"), false, "other_role"),
    ] {
        assert_eq!(asked(&world, &token, &query).await, (authorized, because.to_owned()), "{query}");
    }
}

#[tokio::test]
async fn a5_a_role_from_the_metadata_outlives_the_membership_and_a_permission_does_not() {
    let world = World::with(&[("ORGANIZATION_ROLES_POINTER", "/organization_roles")]).await;
    let (ada, acme) = newcomer(&world).await;
    let metadata = json!({ "organization_roles": { acme.clone(): "lead" } });
    world.clerk("PATCH", &format!("/users/{ada}/metadata"), json!({ "public_metadata": metadata })).await;
    arrived(&world).await;
    let token = world.session(&ada, Some(&acme));
    let role = format!("role=lead&organization_id={acme}");
    let both = format!("{role}&permission=org:sys_memberships:manage");
    let of_membership = format!("role=org:admin&organization_id={acme}");
    let is = |authorized: bool, because: &str| (authorized, because.to_owned());
    assert_eq!(asked(&world, &token, &role).await, is(true, "allowed"));
    assert_eq!(asked(&world, &token, &both).await, is(true, "allowed"));
    assert_eq!(asked(&world, &token, &of_membership).await, is(false, "other_role"), "Clerk's role does not count");
    let removed = world.clerk("DELETE", &format!("/organizations/{acme}/memberships/{ada}"), Value::Null).await;
    let removed = rollcall_tests::event("organizationMembership.deleted", &removed, world.now().get() + 5);
    assert_eq!(world.post(&removed).await.brief(), (200, "applied"));
    assert_eq!(asked(&world, &token, &role).await, is(true, "allowed"), "only the metadata count");
    assert_eq!(asked(&world, &token, &both).await, is(false, "not_a_member"));
}

#[tokio::test]
async fn d6_a_permission_that_the_sessions_claims_lack_is_refused() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    arrived(&world).await;
    let path = format!("/organizations/{acme}/memberships");
    let mut membership = world.clerk("GET", &path, Value::Null).await["data"][0].clone();
    membership["permissions"] = json!(["org:teams:manage", "org:teams:read"]);
    let later = world.now().get() + 1;
    membership["updated_at"] = later.into();
    let event = rollcall_tests::event("organizationMembership.updated", &membership, later);
    assert_eq!(world.post(&event).await.brief(), (200, "applied"));
    let claims = json!({ "fea": "o:teams", "o": { "id": acme, "rol": "admin", "per": "read", "fpm": "1" } });
    let claims = claims.as_object().unwrap().clone();
    let token = TokenRequest { claims, organization_id: Some(acme.clone()), ..TokenRequest::new(&ada) };
    let token = world.token(&token);
    for (permission, authorized, because) in [
        ("org:teams:read", true, "allowed"),
        ("org:teams:manage", false, "claims_permission_missing"),
        ("org:teams:delete", false, "permission_missing"),
    ] {
        let query = format!("permission={permission}");
        assert_eq!(asked(&world, &token, &query).await, (authorized, because.to_owned()), "{permission}");
    }
}

#[tokio::test]
async fn a5_roles_in_organizations_are_read_from_the_public_metadata() {
    let settings =
        [("MIRROR", "off"), ("ROLE_POINTER", "/primary_role"), ("ORGANIZATION_ROLES_POINTER", "/organization_roles")];
    let world = World::with(&settings).await;
    let (ada, _) = newcomer(&world).await;
    let metadata =
        json!({ "primary_role": "coach", "organization_roles": { "team-1": ["coach", "lead"], "team-2": "player" } });
    world.clerk("PATCH", &format!("/users/{ada}/metadata"), json!({ "public_metadata": metadata })).await;
    let token = world.session(&ada, None);
    for (query, authorized) in [
        ("role=coach", true),
        ("role=player", false),
        ("role=coach&organization_id=team-1", true),
        ("role=lead&organization_id=team-1", true),
        ("role=player&organization_id=team-2", true),
        ("role=coach&organization_id=team-2", false),
        ("role=coach&organization_id=team-3", false),
    ] {
        assert_eq!(asked(&world, &token, query).await.0, authorized, "{query}");
    }
}
