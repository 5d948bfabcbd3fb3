//! Simulates a small population of Clerk in which users, organizations and memberships change. The events are stored
//! until a test delivers them.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use clerk_emulator::TokenRequest;
use rollcall::core::clerk::objects;
use rollcall::core::id::InstanceId;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::item::{Item, Provenance, Writer};
use rollcall::core::mirror::projection::Context;
use rollcall::core::mirror::roles::Roles;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::events::{deletion_event, event};
use crate::world::World;

/// A change. Users and organizations are named by their index among all that ever existed; an impossible change does
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    SignUp,
    /// A user creates an organization and is its first member.
    Found(usize),
    /// A user changes the name.
    Rename(usize),
    /// A user gets or loses the role of an administrator of the application.
    Promote(usize, bool),
    /// A user is banned.
    Ban(usize),
    /// An organization changes its name.
    RenameOrganization(usize),
    /// A user joins an organization, possibly again.
    Join(usize, usize),
    /// A member's role changes.
    Role(usize, usize, bool),
    Leave(usize, usize),
    /// A user is deleted with all memberships.
    DeleteUser(usize),
    /// An organization is deleted with all memberships.
    DeleteOrganization(usize),
    /// One of the stored events is delivered, possibly again.
    Deliver(usize),
    /// A user calls `ensure`, active in an organization or in none.
    Ensure(usize, Option<usize>),
    /// Time passes, in minutes.
    Wait(u64),
}

pub struct Land<'a> {
    pub world: &'a World,
    /// All users that ever existed.
    pub users: Vec<String>,
    pub organizations: Vec<String>,
    /// All events so far.
    pub events: Vec<Value>,
    gone: BTreeSet<String>,
    members: BTreeSet<(String, String)>,
}

impl<'a> Land<'a> {
    /// An empty population in an empty world.
    pub async fn populate(world: &'a World) -> Land<'a> {
        wipe(world).await;
        let (users, organizations, events) = (Vec::new(), Vec::new(), Vec::new());
        Land { world, users, organizations, events, gone: BTreeSet::new(), members: BTreeSet::new() }
    }

    /// Makes a change, one millisecond after the previous one if time passes at all.
    ///
    /// # Panics
    ///
    /// If Clerk or the webhook returns an unexpected response.
    pub async fn happen(&mut self, action: Action, ticks: bool) {
        self.world.set_now(self.world.now().get() + u64::from(ticks));
        match action {
            Action::SignUp => self.sign_up().await,
            Action::Found(user) => self.found(user).await,
            Action::Rename(user) => {
                let name = format!("Ada {}", self.events.len());
                self.change_user(user, "PATCH", "", json!({ "first_name": name })).await;
            }
            Action::Promote(user, admin) => {
                let role = if admin { "admin" } else { "user" };
                self.change_user(user, "PATCH", "/metadata", json!({ "public_metadata": { "role": role } })).await;
            }
            Action::Ban(user) => self.change_user(user, "POST", "/ban", json!({})).await,
            Action::RenameOrganization(organization) => {
                if let Some(id) = self.living(&self.organizations, organization) {
                    let name = format!("Acme {}", self.events.len());
                    let path = format!("/organizations/{id}");
                    let body = self.world.clerk("PATCH", &path, json!({ "name": name })).await;
                    self.tell("organization.updated", &body);
                }
            }
            Action::Join(user, organization) => self.join(user, organization).await,
            Action::Role(user, organization, admin) => {
                if let Some(path) = self.membership(user, organization) {
                    let role = if admin { "org:admin" } else { "org:member" };
                    let body = self.world.clerk("PATCH", &path, json!({ "role": role })).await;
                    self.tell("organizationMembership.updated", &body);
                }
            }
            Action::Leave(user, organization) => {
                if let Some(path) = self.membership(user, organization) {
                    let body = self.world.clerk("DELETE", &path, Value::Null).await;
                    self.tell("organizationMembership.deleted", &body);
                    let (user, organization) = (pick(&self.users, user), pick(&self.organizations, organization));
                    self.members
                        .retain(|(of, whose)| (Some(of), Some(whose)) != (organization.as_ref(), user.as_ref()));
                }
            }
            Action::DeleteUser(user) => {
                if let Some(id) = self.living(&self.users, user) {
                    self.end("user", &id).await;
                    self.members.retain(|(_, whose)| *whose != id);
                }
            }
            Action::DeleteOrganization(organization) => {
                if let Some(id) = self.living(&self.organizations, organization) {
                    self.end("organization", &id).await;
                    self.members.retain(|(of, _)| *of != id);
                }
            }
            Action::Deliver(which) => {
                if let Some(event) = pick(&self.events, which) {
                    let answer = self.world.post(&event).await;
                    assert_eq!(answer.status, 200, "{} {event}", answer.text);
                }
            }
            Action::Ensure(user, organization) => drop(self.ensure(user, organization).await),
            Action::Wait(minutes) => self.world.set_now(self.world.now().get() + minutes * 60_000),
        }
    }

    async fn sign_up(&mut self) {
        let address = format!("user{}.{}@example.com", self.users.len(), self.world.now().get());
        let body = json!({ "first_name": "Ada", "email_address": [address] });
        let body = self.world.clerk("POST", "/users", body).await;
        self.users.push(id(&body));
        self.tell("user.created", &body);
    }

    async fn found(&mut self, user: usize) {
        let Some(founder) = self.living(&self.users, user) else { return };
        let name = format!("Acme {}", self.organizations.len());
        let body = self.world.clerk("POST", "/organizations", json!({ "name": name, "created_by": founder })).await;
        let organization = id(&body);
        self.organizations.push(organization.clone());
        self.tell("organization.created", &body);
        let path = format!("/organizations/{organization}/memberships?user_id={founder}");
        let members = self.world.clerk("GET", &path, Value::Null).await;
        for membership in members["data"].as_array().unwrap() {
            self.members.insert((organization.clone(), founder.clone()));
            self.tell("organizationMembership.created", membership);
        }
    }

    async fn join(&mut self, user: usize, organization: usize) {
        let (Some(user), Some(organization)) =
            (self.living(&self.users, user), self.living(&self.organizations, organization))
        else {
            return;
        };
        if self.members.insert((organization.clone(), user.clone())) {
            let path = format!("/organizations/{organization}/memberships");
            let body = self.world.clerk("POST", &path, json!({ "user_id": user, "role": "org:member" })).await;
            self.tell("organizationMembership.created", &body);
        }
    }

    async fn change_user(&mut self, user: usize, method: &str, path: &str, body: Value) {
        if let Some(id) = self.living(&self.users, user) {
            let body = self.world.clerk(method, &format!("/users/{id}{path}"), body).await;
            self.tell("user.updated", &body);
        }
    }

    async fn end(&mut self, kind: &str, id: &str) {
        self.world.clerk("DELETE", &format!("/{kind}s/{id}"), Value::Null).await;
        self.gone.insert(id.to_owned());
        self.events.push(deletion_event(&format!("{kind}.deleted"), id, self.world.now().get()));
    }

    /// `ensure` by a user, whether or not that user still exists.
    ///
    /// # Panics
    ///
    /// If the call fails.
    pub async fn ensure(&self, user: usize, organization: Option<usize>) -> Option<Answer> {
        let user = pick(&self.users, user)?;
        let organization_id = organization.and_then(|organization| pick(&self.organizations, organization));
        let token = self.world.token(&TokenRequest { organization_id, ..TokenRequest::new(&user) });
        let answer = self.world.ensure(&token).await;
        assert!(answer.status < 500, "{}", answer.text);
        Some(answer)
    }

    fn tell(&mut self, kind: &str, body: &Value) {
        self.events.push(event(kind, body, self.world.now().get()));
    }

    fn living(&self, all: &[String], which: usize) -> Option<String> {
        pick(all, which).filter(|id| !self.gone.contains(id))
    }

    fn membership(&self, user: usize, organization: usize) -> Option<String> {
        let (user, organization) = (pick(&self.users, user)?, pick(&self.organizations, organization)?);
        let is_member = self.members.contains(&(organization.clone(), user.clone()));
        is_member.then(|| format!("/organizations/{organization}/memberships/{user}"))
    }
}

fn pick<T: Clone>(all: &[T], which: usize) -> Option<T> {
    all.get(which.checked_rem(all.len())?).cloned()
}

fn id(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

/// Deletes all entities in Clerk and all rows of all tables.
async fn wipe(world: &World) {
    for (path, of) in [("organizations", "/data"), ("users", "")] {
        let all = world.clerk("GET", &format!("/{path}?limit=500"), Value::Null).await;
        for one in all.pointer(of).unwrap().as_array().unwrap() {
            world.clerk("DELETE", &format!("/{path}/{}", id(one)), Value::Null).await;
        }
    }
    let addresses = &world.stack.addresses;
    for table in [&addresses.directory_table, &addresses.profiles_table, &addresses.operations_table] {
        let scan = world.stack.dynamodb.scan().table_name(table).projection_expression("pk, sk");
        let rows = scan.send().await.unwrap().items.unwrap_or_default();
        for rows in rows.chunks(25) {
            let delete = |key: &std::collections::HashMap<_, _>| {
                let delete = DeleteRequest::builder().set_key(Some(key.clone())).build().unwrap();
                WriteRequest::builder().delete_request(delete).build()
            };
            let deletes = rows.iter().map(delete).collect();
            world.stack.dynamodb.batch_write_item().request_items(table, deletes).send().await.unwrap();
        }
    }
}

/// What the Directory should contain, given the current state of Clerk: the projection of each entity, without
/// provenance.
///
/// # Panics
///
/// If Clerk's lists cannot be read.
pub async fn projected(world: &World) -> Vec<Value> {
    let instance: InstanceId = world.stack.addresses.clerk_instance_id.parse().unwrap();
    let provenance = Provenance { applied_at: Millis::ZERO, applied_by: Writer::Webhook, delivery_id: None };
    let context = Context { instance: &instance, roles: Roles::usual(), provenance: &provenance };
    let mut items: Vec<Item> = Vec::new();
    items.extend(list::<objects::User>(world, "users", "").await.into_iter().map(|user| context.user(user)));
    let organizations = list::<objects::Organization>(world, "organizations", "/data").await;
    items.extend(organizations.into_iter().map(|organization| context.organization(organization)));
    let memberships = list::<objects::Membership>(world, "organization_memberships", "/data").await;
    items.extend(memberships.into_iter().map(|membership| context.membership(membership).unwrap()));
    sorted(items.iter().map(|item| Value::Object(item.to_attributes())))
}

/// The live rows of the Directory, in the same form.
pub async fn alive(world: &World) -> Vec<Value> {
    sorted(world.directory().await.into_iter().filter(|row| row["deleted_at"].is_null()))
}

async fn list<T: DeserializeOwned>(world: &World, path: &str, of: &str) -> Vec<T> {
    let mut rows: Vec<T> = Vec::new();
    loop {
        let page = format!("/{path}?limit=500&order_by=created_at&offset={}", rows.len());
        let answer = world.clerk("GET", &page, Value::Null).await;
        let page: Vec<T> = serde_json::from_value(answer.pointer(of).unwrap().clone()).unwrap();
        let is_last = page.len() < 500;
        rows.extend(page);
        if is_last {
            return rows;
        }
    }
}

fn sorted(rows: impl Iterator<Item = Value>) -> Vec<Value> {
    let without = |mut row: Value| {
        let fields = row.as_object_mut().unwrap();
        fields.retain(|name, _| !["applied_at", "applied_by", "delivery_id"].contains(&name.as_str()));
        row
    };
    let mut rows: Vec<Value> = rows.map(without).collect();
    rows.sort_by_key(|row| format!("{} {}", row["pk"], row["sk"]));
    rows
}
