//! I8: `ensure` acts for its caller and the token's organization only, never revives, and grants no more than Clerk has
//! said, whatever the token claims, whether or not Clerk answers, and whatever else happens to the same user between
//! any two of its requests.

use std::collections::BTreeSet;

use clerk_emulator::TokenRequest;
use proptest::prelude::*;
use rollcall_tests::{Answer, Fault, Held, Wire, World, deletion_event, event};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

/// The rank of what only a token is known of.
const PLACEHOLDER: &str = "0000000000000.0.0000000000000";

/// Something that happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    /// One of the events so far arrives, again perhaps.
    Deliver(usize),
    Rename,
    /// The user becomes an administrator of the application, or is none any more.
    Promote(bool),
    /// The user's role in the organization changes.
    Role(&'static str),
    Leave,
    Rejoin,
    DeleteOrganization,
    DeleteUser,
    Ban,
}

/// What the token claims.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Claim {
    Nothing,
    Organization,
    /// To be its administrator, and one of the application.
    More,
    /// An organization that the user never was in.
    Foreign,
}

/// How the caller comes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Visit {
    claim: Claim,
    /// As a browser, by `/sync`.
    browses: bool,
    /// Clerk answers none of the function's questions.
    unanswered: bool,
}

impl Visit {
    const fn claiming(claim: Claim) -> Visit {
        Visit { claim, browses: false, unanswered: false }
    }
}

/// A world in which everything happens, and beside it the function under test, whose requests wait until they are let
/// go.
struct Stage {
    world: World,
    tested: World,
    /// The way of the function under test to Clerk.
    wire: Wire,
    waiting: Waiting,
}

/// The requests that wait, to DynamoDB and to Clerk.
struct Waiting {
    store: UnboundedReceiver<Held>,
    clerk: UnboundedReceiver<Held>,
}

impl Stage {
    async fn start() -> Stage {
        let world = World::start().await;
        let wire = Wire::start(world.stack.addresses.clerk.clone()).await;
        let tested = world.beside(&[("CLERK_API_URL", wire.url())]).await;
        let waiting = Waiting { store: tested.wire.hold(), clerk: wire.hold() };
        Stage { world, tested, wire, waiting }
    }
}

impl Waiting {
    async fn next(&mut self) -> Held {
        tokio::select! {
            held = self.store.recv() => held.unwrap(),
            held = self.clerk.recv() => held.unwrap(),
        }
    }
}

struct Story<'a> {
    world: &'a World,
    ada: String,
    acme: String,
    foreign: String,
    events: Vec<Value>,
    /// What Clerk has ever said: the rank, and for users and memberships the role.
    said: BTreeSet<(String, String)>,
    user_lives: bool,
    organization_lives: bool,
    is_member: bool,
    seen: ListedSet,
}

/// What was stored when last looked at.
#[derive(Clone, Debug, Default)]
struct ListedSet {
    copies: [Option<Value>; 3],
    profiles: [Option<Value>; 2],
}

impl<'a> Story<'a> {
    async fn begin(world: &'a World) -> Story<'a> {
        world.set_now(world.now().get() + 20_000);
        let person = async |name: &str| {
            let body =
                json!({ "first_name": name, "email_address": [format!("{name}{}@example.com", world.now().get())] });
            world.clerk("POST", "/users", body).await["id"].as_str().unwrap().to_owned()
        };
        let (ada, boss) = (person("ada").await, person("boss").await);
        let group = async |name: &str| {
            let body = json!({ "name": name, "created_by": boss });
            world.clerk("POST", "/organizations", body).await["id"].as_str().unwrap().to_owned()
        };
        let (acme, foreign) = (group("Acme").await, group("Foreign").await);
        let mut story = Story {
            world,
            ada,
            acme,
            foreign,
            events: Vec::new(),
            said: BTreeSet::new(),
            user_lives: true,
            organization_lives: true,
            is_member: false,
            seen: ListedSet::default(),
        };
        story.user_changed("user.created").await;
        story.organization_changed("organization.created").await;
        story.join("org:member").await;
        story
    }

    fn tick(&self) -> u64 {
        let now = self.world.now().get() + 1;
        self.world.set_now(now);
        now
    }

    async fn user_changed(&mut self, kind: &str) {
        let body = self.world.clerk("GET", &format!("/users/{}", self.ada), Value::Null).await;
        let role = if body["public_metadata"]["role"] == "admin" { "admin" } else { "user" };
        self.said.insert((format!("0000000000000.0.{}", body["updated_at"]), role.to_owned()));
        self.events.push(event(kind, &body, self.world.now().get()));
    }

    async fn organization_changed(&mut self, kind: &str) {
        let body = self.world.clerk("GET", &format!("/organizations/{}", self.acme), Value::Null).await;
        self.said.insert((format!("0000000000000.0.{}", body["updated_at"]), String::new()));
        self.events.push(event(kind, &body, self.world.now().get()));
    }

    fn membership_changed(&mut self, kind: &str, body: &Value) {
        let rank = format!("{}.0.{}", body["created_at"], body["updated_at"]);
        self.said.insert((rank, body["role"].as_str().unwrap().to_owned()));
        self.events.push(event(kind, body, self.world.now().get()));
    }

    async fn join(&mut self, role: &str) {
        let path = format!("/organizations/{}/memberships", self.acme);
        let body = self.world.clerk("POST", &path, json!({ "user_id": self.ada, "role": role })).await;
        self.is_member = true;
        self.membership_changed("organizationMembership.created", &body);
    }

    async fn happen(&mut self, action: Action) {
        let now = self.tick();
        let (ada, acme) = (self.ada.clone(), self.acme.clone());
        let of_ada = format!("/organizations/{acme}/memberships/{ada}");
        match action {
            Action::Deliver(which) => {
                let answer = self.world.post(&self.events[which % self.events.len()]).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
            }
            Action::Rename if self.user_lives => {
                let body = json!({ "first_name": format!("Ada {now}") });
                self.world.clerk("PATCH", &format!("/users/{ada}"), body).await;
                self.user_changed("user.updated").await;
            }
            Action::Promote(admin) if self.user_lives => {
                let body = json!({ "public_metadata": { "role": if admin { "admin" } else { "user" } } });
                self.world.clerk("PATCH", &format!("/users/{ada}/metadata"), body).await;
                self.user_changed("user.updated").await;
            }
            Action::Role(role) if self.is_member => {
                let body = self.world.clerk("PATCH", &of_ada, json!({ "role": role })).await;
                self.membership_changed("organizationMembership.updated", &body);
            }
            Action::Leave if self.is_member => {
                let body = self.world.clerk("DELETE", &of_ada, Value::Null).await;
                self.is_member = false;
                self.events.push(event("organizationMembership.deleted", &body, now));
            }
            Action::Rejoin if self.user_lives && self.organization_lives && !self.is_member => {
                self.join("org:member").await;
            }
            Action::DeleteOrganization if self.organization_lives => {
                self.world.clerk("DELETE", &format!("/organizations/{acme}"), Value::Null).await;
                (self.organization_lives, self.is_member) = (false, false);
                self.events.push(deletion_event("organization.deleted", &acme, now));
            }
            Action::DeleteUser if self.user_lives => {
                self.world.clerk("DELETE", &format!("/users/{ada}"), Value::Null).await;
                (self.user_lives, self.is_member) = (false, false);
                self.events.push(deletion_event("user.deleted", &ada, now));
            }
            Action::Ban if self.user_lives => {
                self.world.clerk("POST", &format!("/users/{ada}/ban"), json!({})).await;
                self.user_changed("user.updated").await;
            }
            // Not possible any more.
            _ => {}
        }
    }

    /// Looks at everything stored about the caller, and holds it against what was stored before.
    async fn look(&mut self) {
        let [user, organization, membership, of_user, of_membership] = self.world.stored(&self.ada, &self.acme).await;
        let now = ListedSet { copies: [user, organization, membership], profiles: [of_user, of_membership] };
        for (before, after) in self.seen.copies.iter().zip(&now.copies) {
            let rank = |item: &Option<Value>| item.as_ref().map(|item| item["rank"].as_str().unwrap().to_owned());
            assert!(rank(before) <= rank(after), "a rank fell: {before:?} {after:?}");
        }
        for (before, after) in self.seen.copies.iter().zip(&now.copies).take(2) {
            let ended = |item: &Option<Value>| item.as_ref().is_some_and(|item| item["deleted_at"].is_u64());
            assert!(!ended(before) || ended(after), "revived: {after:?}");
        }
        for copy in now.copies.iter().flatten().filter(|copy| copy["deleted_at"].is_null()) {
            let (rank, role) = (copy["rank"].as_str().unwrap(), copy["role"].as_str().unwrap_or_default());
            let stands_in = rank == PLACEHOLDER && ["", "user"].contains(&role) && copy["user_pk"].is_null();
            assert!(stands_in || self.said.contains(&(rank.to_owned(), role.to_owned())), "Clerk never said {copy}");
        }
        let has_ended = |at: usize| now.copies[at].as_ref().is_some_and(|copy| copy["deleted_at"].is_u64());
        let owners_ended = [has_ended(0), has_ended(0) || has_ended(1) || has_ended(2)];
        for (at, (before, after)) in self.seen.profiles.iter().zip(&now.profiles).enumerate() {
            assert!(before.is_none() || before == after, "a profile changed: {before:?} {after:?}");
            assert!(before.is_some() || after.is_none() || !owners_ended[at], "a profile of an ended owner: {after:?}");
        }
        self.seen = now;
    }

    fn token(&self, claim: Claim) -> String {
        let mut request = TokenRequest::new(&self.ada);
        request.organization_id = match claim {
            Claim::Nothing => None,
            Claim::Organization | Claim::More => Some(self.acme.clone()),
            Claim::Foreign => Some(self.foreign.clone()),
        };
        if claim == Claim::More {
            let o = json!({ "id": self.acme, "slg": "acme", "rol": "admin", "per": "manage", "fpm": "1" });
            request.claims.insert("o".to_owned(), o);
            request.claims.insert("metadata".to_owned(), json!({ "role": "admin" }));
        }
        self.world.token(&request)
    }

    fn has_ended(&self, at: usize) -> bool {
        self.seen.copies[at].as_ref().is_some_and(|copy| copy["deleted_at"].is_u64())
    }

    /// What the answer may say, given whether the user's end was stored before the call, and what is known by now.
    fn judge(&self, answer: &Answer, visit: Visit, was_deleted: bool) {
        assert!(!was_deleted || answer.status == 410, "{}", answer.text);
        match answer.status {
            303 => return assert!(visit.browses),
            403 => return assert!(self.events.iter().any(|event| event["data"]["banned"] == true), "{}", answer.text),
            404 => return assert!(!self.user_lives && !visit.unanswered, "{}", answer.text),
            410 => return assert!(self.has_ended(0), "{}", answer.text),
            status => assert!([200, 201].contains(&status) && !visit.browses, "{}", answer.text),
        }
        assert_eq!(answer.status == 201, !answer.created().is_empty());
        assert_eq!(answer.body["user"]["clerk_user_id"], self.ada);
        let claimed = match visit.claim {
            Claim::Nothing => Value::Null,
            Claim::Organization | Claim::More => json!(self.acme),
            Claim::Foreign => json!(self.foreign),
        };
        let shown = &answer.body["organization"]["organization_id"];
        assert!(shown.is_null() || *shown == claimed, "{}", answer.text);
        let (membership, record) = (&answer.body["membership"], &answer.body["membership_profile"]);
        assert!(shown.is_null() || !membership.is_null(), "an organization is its members' alone: {}", answer.text);
        // While Clerk has not said that there is the membership, nothing is shown of an organization that is known.
        let is_unproven = membership["membership_id"].is_null() && answer.body["needs_sync"] == true;
        let is_of_claim = *shown == claimed || (shown.is_null() && is_unproven);
        let may_be_member = is_of_claim && (visit.claim != Claim::Foreign || visit.unanswered);
        assert!(membership.is_null() || may_be_member && membership["organization_id"] == claimed, "{}", answer.text);
        assert!(record.is_null() || !membership.is_null() && record["organization_id"] == claimed, "{}", answer.text);
        // A role is one that Clerk gave this very user, in this very organization.
        let said = |rank: &str, role: &str| self.said.iter().any(|(at, said)| at.starts_with(rank) && said == role);
        if let Some(role) = membership["role"].as_str() {
            assert!(visit.claim != Claim::Foreign && said("1", role), "{}", answer.text);
        }
        let role = answer.body["user"]["role"].as_str().unwrap();
        assert!(role == "user" || said("0", role), "{}", answer.text);
    }
}

/// Plays one visit, with `actions[n]` done while its request number n waits on the wire, and what is left afterwards.
/// Says how many requests there were.
async fn play(stage: &mut Stage, visit: Visit, actions: &[Vec<Action>]) -> usize {
    let Stage { world, tested, wire, waiting } = stage;
    let mut story = Story::begin(world).await;
    let token = story.token(visit.claim);
    wire.fail(vec![Fault::Unavailable; if visit.unanswered { 9 } else { 0 }]);
    let (mut requests, mut was_deleted) = (0, false);
    let cookie = format!("__session={token}");
    let visiting = async {
        if visit.browses {
            tested.call("GET", "/sync", &[("cookie", &cookie)]).await
        } else {
            tested.ensure(&token).await
        }
    };
    tokio::pin!(visiting);
    let answer = loop {
        let held = tokio::select! {
            answer = &mut visiting => break answer,
            held = waiting.next() => held,
        };
        story.look().await;
        for action in actions.get(requests).into_iter().flatten() {
            story.happen(*action).await;
            story.look().await;
        }
        was_deleted |= requests == 0 && story.has_ended(0);
        requests += 1;
        held.release();
    };
    wire.fail([]);
    story.look().await;
    story.judge(&answer, visit, was_deleted);
    for action in actions.iter().skip(requests).flatten() {
        story.happen(*action).await;
        story.look().await;
    }
    // Once all events have arrived, the copy is Clerk's, whatever `ensure` did in between.
    for which in 0..story.events.len() {
        story.happen(Action::Deliver(which)).await;
        story.look().await;
    }
    let [copy_of_user, copy_of_organization, copy_of_membership] = &story.seen.copies;
    let lives = |copy: &Option<Value>| copy.as_ref().is_some_and(|copy| copy["deleted_at"].is_null());
    assert_eq!((lives(copy_of_user), lives(copy_of_organization)), (story.user_lives, story.organization_lives));
    // Clerk says nothing of the memberships that end with a user or an organization, and a placeholder of one that
    // there never was is for reconcile to end.
    let stands_in = |copy: &Value| copy["rank"] == PLACEHOLDER;
    if story.user_lives && story.organization_lives && !copy_of_membership.as_ref().is_some_and(stands_in) {
        assert_eq!(lives(copy_of_membership), story.is_member, "{copy_of_membership:?}");
    }
    requests
}

/// The stories whose every interleaving is tried: two groups of actions each.
fn stories() -> Vec<(Visit, [Vec<Action>; 2])> {
    use Action::{Ban, DeleteOrganization, DeleteUser, Deliver, Leave, Promote, Rejoin, Rename, Role};
    let organization = Visit::claiming(Claim::Organization);
    vec![
        (organization, [vec![Deliver(0), Deliver(2)], vec![DeleteUser, Deliver(3)]]),
        (organization, [vec![DeleteUser, Deliver(3)], vec![Deliver(0), Deliver(1)]]),
        (organization, [vec![Leave, Deliver(3)], vec![Rejoin]]),
        (organization, [vec![DeleteOrganization, Deliver(3)], vec![Deliver(1), Deliver(2)]]),
        (
            Visit::claiming(Claim::More),
            [vec![Role("org:admin"), Promote(true)], vec![Deliver(0), Role("org:member"), Rename]],
        ),
        (Visit::claiming(Claim::Nothing), [vec![Ban], vec![Deliver(3), DeleteUser, Deliver(4)]]),
        (
            Visit { unanswered: true, ..Visit::claiming(Claim::More) },
            [vec![Deliver(0), Deliver(2)], vec![Leave, Deliver(3), DeleteUser, Deliver(4)]],
        ),
        (
            Visit { browses: true, ..organization },
            [vec![Deliver(0), Deliver(2), Rename, Promote(true)], vec![Deliver(3), Leave, Deliver(5), Rejoin]],
        ),
    ]
}

#[tokio::test]
async fn i8_every_interleaving_of_a_few_stories() {
    let mut stage = Stage::start().await;
    let mut played = 0;
    for (visit, [first, second]) in stories() {
        let most = play(&mut stage, visit, &[]).await;
        for at in 0..=most {
            for then in at..=most {
                let mut actions = vec![Vec::new(); most + 1];
                actions[at].extend(&first);
                actions[then].extend(&second);
                play(&mut stage, visit, &actions).await;
                played += 1;
            }
        }
    }
    println!("{played} interleavings");
}

#[test]
fn i8_random_stories() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut stage = runtime.block_on(Stage::start());
    let action = prop_oneof![
        4 => (0..8_usize).prop_map(Action::Deliver),
        1 => Just(Action::Rename),
        1 => any::<bool>().prop_map(Action::Promote),
        1 => prop_oneof![Just("org:admin"), Just("org:member")].prop_map(Action::Role),
        1 => Just(Action::Leave),
        2 => Just(Action::Rejoin),
        1 => Just(Action::DeleteOrganization),
        1 => Just(Action::DeleteUser),
        1 => Just(Action::Ban),
    ];
    let claim = prop_oneof![
        1 => Just(Claim::Nothing),
        4 => Just(Claim::Organization),
        2 => Just(Claim::More),
        1 => Just(Claim::Foreign),
    ];
    let visit = (claim, prop::bool::weighted(0.3), prop::bool::weighted(0.3))
        .prop_map(|(claim, browses, unanswered)| Visit { claim, browses, unanswered });
    let actions = prop::collection::vec(prop::collection::vec(action, 0..3), 0..10);
    let (mut runner, seed) = rollcall_tests::runner(200);
    let stage = std::cell::RefCell::new(&mut stage);
    let result = runner.run(&(visit, actions), |(visit, actions)| {
        let played = std::panic::AssertUnwindSafe(|| {
            runtime.block_on(play(&mut stage.borrow_mut(), visit, &actions));
        });
        std::panic::catch_unwind(played).map_err(|_| TestCaseError::fail("see above"))
    });
    result.unwrap_or_else(|failure| panic!("{failure}\n{seed}"));
}
