//! Finds out what an instance of Clerk does that Clerk does not document: changes test entities, and watches what follows
//! in Clerk's answers, in the Directory, and among an emulator's deliveries.
//!
//! `entities` finds and removes test entities, `watch` waits for events.

mod entities;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use tokio::time::{Instant, sleep};

pub use self::entities::Swept;
use self::watch::number;
use super::{Operator, OperatorError};
use crate::adapters::clerk::error::ClerkError;
use crate::core::id::EntityId;
use crate::core::probe::{self, Answer, Change, Entry, ProbeName, Question};

/// Between two looks at the same thing.
const LOOK: Duration = Duration::from_millis(250);
/// Test entities in one page of a search.
const PAGE: usize = 100;
/// Users who are listed to compare their number with Clerk's count.
const LISTED: usize = 500;

/// What a probe works with.
pub struct Probe<'a> {
    pub operator: &'a Operator,
    pub run: ProbeName,
    /// How long an event or a list is waited for.
    pub wait: Duration,
    /// The emulator whose deliveries can be read.
    pub emulator: Option<Url>,
    /// Whether react adds keys to the metadata of new users, which moves `updated_at`, too.
    pub writes_back: bool,
    /// Is told each answer.
    pub tell: &'a (dyn Fn(&Entry) + Sync),
    /// The answers so far, and the entities that were created: what is known of a run that is stopped.
    pub transcript: Mutex<Transcript>,
    /// No further request is sent, but the one under way is waited for: it may create an entity.
    pub stopping: AtomicBool,
}

/// What a run has found and created so far.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    pub entries: Vec<Entry>,
    /// The ids of the test entities that may exist.
    pub created: Vec<String>,
}

/// A test user.
struct Person {
    id: String,
    updated_at: Option<i64>,
    second_address: Option<String>,
}

impl Person {
    fn read(user: &Value) -> Option<Person> {
        let id = user["id"].as_str()?.to_owned();
        let second_address = user["email_addresses"][1]["id"].as_str().map(str::to_owned);
        Some(Person { id, updated_at: user["updated_at"].as_i64(), second_address })
    }
}

impl Probe<'_> {
    /// Asks all questions. A question that Clerk rejects is answered "not known".
    ///
    /// # Errors
    ///
    /// [`OperatorError`] if Clerk or DynamoDB cannot be reached. What was created then is in the transcript.
    pub async fn run(&self) -> Result<(), OperatorError> {
        let before = self.count().await?;
        let (Some(ada), Some(bob)) = (self.person(1).await?, self.person(2).await?) else { return Ok(()) };
        self.list_lag(&ada).await?;
        self.counts(before).await?;
        let mut is_connected = false;
        if self.operator.mirror {
            is_connected = self.connection(&EntityId::User(id(&ada.id)?), "webhook_connected").await?;
            self.settle(&ada.id, is_connected).await?;
        }
        self.changes_of_users(&ada, is_connected).await?;
        self.organizations(&ada, &bob, is_connected).await
    }

    /// Ends [`Probe::run`] after the request under way.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Transcript> {
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, question: &'static str, (answer, detail): (Answer, String)) {
        // What was waited for did not have its time.
        if self.is_stopping() {
            return;
        }
        let entry = Entry { at: (self.operator.clock)(), question, answer, detail };
        (self.tell)(&entry);
        self.lock().entries.push(entry);
    }

    /// Sends a request; nothing, with the reason as the answer to `question`, if Clerk rejects it, and nothing after
    /// [`Probe::stop`].
    async fn ask(&self, question: &'static str, request: &Question) -> Result<Option<Value>, OperatorError> {
        if self.is_stopping() {
            return Ok(None);
        }
        let reason = match self.operator.applier.clerk.probe(request).await {
            Ok(Some(answer)) => return Ok(Some(answer)),
            Ok(None) => "Clerk does not have the entity".to_owned(),
            Err(error @ (ClerkError::Rejected(..) | ClerkError::SwitchedOff | ClerkError::Unreadable(_))) => {
                error.to_string()
            }
            Err(error) => return Err(error.into()),
        };
        self.answer(question, (Answer::NotKnown, reason));
        Ok(None)
    }

    /// Creates a test user.
    async fn person(&self, number: u32) -> Result<Option<Person>, OperatorError> {
        let created = self.ask("user_created", &probe::create_user(&self.run, number)).await?;
        let person = created.as_ref().and_then(Person::read);
        self.lock().created.extend(person.as_ref().map(|person| person.id.clone()));
        Ok(person)
    }

    async fn count(&self) -> Result<Option<u64>, OperatorError> {
        let found = self.operator.applier.clerk.probe(&probe::count_users()).await?;
        Ok(found.and_then(|found| found["total_count"].as_u64()))
    }

    async fn list_lag(&self, person: &Person) -> Result<(), OperatorError> {
        const QUESTION: &str = "user_is_listed_at_once";
        let begun = Instant::now();
        let mut looks = 0;
        loop {
            let Some(newest) = self.ask(QUESTION, &probe::users(false, PAGE)).await? else { return Ok(()) };
            if newest.as_array().into_iter().flatten().any(|user| user["id"] == person.id.as_str()) {
                let milliseconds = begun.elapsed().as_millis();
                self.answer(QUESTION, (Answer::from(looks == 0), format!("listed within {milliseconds} ms")));
                return Ok(());
            }
            looks += 1;
            if begun.elapsed() > self.wait {
                let detail = format!("not listed after {} s", self.wait.as_secs());
                self.answer(QUESTION, (Answer::No, detail));
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    async fn counts(&self, before: Option<u64>) -> Result<(), OperatorError> {
        let after = self.count().await?;
        let listed = match after {
            Some(count) if count <= LISTED as u64 => {
                let listed = self.operator.applier.clerk.probe(&probe::users(false, LISTED)).await?;
                listed.and_then(|listed| listed.as_array().map(|listed| listed.len() as u64))
            }
            _ => None,
        };
        self.answer("users_are_counted_exactly", probe::counted(before, after, 2, listed));
        Ok(())
    }

    async fn changes_of_users(&self, ada: &Person, is_connected: bool) -> Result<(), OperatorError> {
        let user = ada.id.as_str();
        let mut changes = vec![
            ("profile_change_moves_updated_at", Change::LastName { user, name: "changed" }),
            ("public_metadata_moves_updated_at", Change::PublicMetadata { user }),
            ("private_metadata_moves_updated_at", Change::PrivateMetadata { user }),
        ];
        let address = ada.second_address.as_deref();
        changes.extend(
            address.map(|address| ("primary_email_moves_updated_at", Change::PrimaryAddress { user, address })),
        );
        let now = self.operator.applier.clerk.probe(&probe::user(user)).await?;
        let mut updated_at = now.and_then(|now| now["updated_at"].as_i64()).or(ada.updated_at);
        for (question, change) in changes {
            updated_at = self.change(question, change, updated_at).await?;
        }
        for (moves, emits, change) in [
            (
                "unchanged_patch_moves_updated_at",
                "unchanged_patch_emits_event",
                Change::LastName { user, name: "changed" },
            ),
            ("ban_moves_updated_at", "ban_emits_event", Change::Ban { user }),
            ("unban_moves_updated_at", "unban_emits_event", Change::Unban { user }),
        ] {
            let sent = self.deliveries().await?.map(|sent| number(&sent, "user.updated", user));
            let changed = self.change(moves, change, updated_at).await?;
            self.event(emits, user, (updated_at, changed), sent, is_connected).await?;
            updated_at = changed;
        }
        const MOVES: &str = "sign_in_moves_updated_at";
        let sent = self.deliveries().await?.map(|sent| number(&sent, "user.updated", user));
        if self.ask(MOVES, &probe::sign_in(user)).await?.is_some()
            && let Some(found) = self.ask(MOVES, &probe::user(user)).await?
        {
            let signed_in = found["updated_at"].as_i64();
            self.answer(MOVES, probe::moved(updated_at, signed_in));
            self.event("sign_in_emits_event", user, (updated_at, signed_in), sent, is_connected).await?;
        }
        Ok(())
    }

    /// Makes a change and compares `updated_at`. Returns the new value, or the old one if Clerk rejects the change.
    async fn change(
        &self,
        question: &'static str,
        change: Change<'_>,
        before: Option<i64>,
    ) -> Result<Option<i64>, OperatorError> {
        // Two changes in one millisecond may share their time.
        sleep(Duration::from_millis(2)).await;
        let Some(changed) = self.ask(question, &change.request()).await? else { return Ok(before) };
        let after = changed["updated_at"].as_i64();
        self.answer(question, probe::moved(before, after));
        Ok(after.or(before))
    }

    async fn organizations(&self, ada: &Person, bob: &Person, is_connected: bool) -> Result<(), OperatorError> {
        let (Some(first), Some(second)) =
            (self.organization(1, ada, bob).await?, self.organization(2, ada, bob).await?)
        else {
            return Ok(());
        };
        let (organization, user) = (first.id.as_str(), bob.id.as_str());
        let mut is_connected = is_connected;
        if !self.operator.mirror {
            let entity = EntityId::Organization(id(organization)?);
            is_connected = self.connection(&entity, "webhook_connected").await?;
        }
        let name = format!("{}-1-renamed", self.run.as_str());
        let renamed = Change::OrganizationName { organization, name: &name };
        let updated_at = self.change("organization_name_moves_updated_at", renamed, first.updated_at).await?;
        let metadata = Change::OrganizationMetadata { organization };
        self.change("organization_metadata_moves_updated_at", metadata, updated_at).await?;
        let role = Change::Role { organization, user };
        let updated_at = self.change("membership_role_moves_updated_at", role, first.member_updated_at).await?;
        let metadata = Change::MembershipMetadata { organization, user };
        self.change("membership_metadata_moves_updated_at", metadata, updated_at).await?;

        const OF_ORGANIZATION: &str = "organization_delete_emits_membership_deletes";
        // The memberships must be there before, so that a tombstone of the webhook is the event's.
        self.arrived(user, &second.id, is_connected).await?;
        if self.ask(OF_ORGANIZATION, &probe::delete_organization(&second.id)).await?.is_some() {
            self.ended(OF_ORGANIZATION, user, &second, is_connected).await?;
        }
        const OF_USER: &str = "user_delete_emits_membership_deletes";
        self.arrived(user, organization, is_connected).await?;
        if self.ask(OF_USER, &probe::delete_user(user)).await?.is_some() {
            self.ended(OF_USER, user, &first, is_connected).await?;
        }
        Ok(())
    }

    async fn organization(&self, number: u32, ada: &Person, bob: &Person) -> Result<Option<Group>, OperatorError> {
        let request = probe::create_organization(&self.run, number, &ada.id);
        let Some(created) = self.ask("organization_created", &request).await? else { return Ok(None) };
        let Some(organization) = created["id"].as_str().map(str::to_owned) else { return Ok(None) };
        self.lock().created.push(organization.clone());
        let member = self.ask("membership_created", &probe::add_member(&organization, &bob.id)).await?;
        Ok(member.map(|member| Group {
            id: organization,
            updated_at: created["updated_at"].as_i64(),
            member: member["id"].as_str().unwrap_or_default().to_owned(),
            member_updated_at: member["updated_at"].as_i64(),
        }))
    }
}

/// A test organization with its second member.
struct Group {
    id: String,
    updated_at: Option<i64>,
    /// The id of the membership.
    member: String,
    member_updated_at: Option<i64>,
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, OperatorError> {
    text.parse().map_err(|_| OperatorError::Clerk(ClerkError::Unreadable(200)))
}
