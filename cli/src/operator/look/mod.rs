//! `rollcall users`, `organizations` and `members`: show what the Directory has.
//!
//! [`args`] has the options. `list` reads page by page and prints what a filter wants, `get` one entity with its record.
//! `deletions` and `quarantine` use the same context.

pub mod args;
mod get;
mod list;

use anyhow::anyhow;
use clerk_emulator::output::said;
use dialoguer::console::Term;
use rollcall::adapters::clerk::access::ClerkAccess;
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::adapters::dynamo::stores::Stores;
use rollcall::services::operator::look::{Look, LookError};
use rollcall::settings::mirror::Mirror;
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{InvalidSettings, Reader};

pub use self::args::{MembersCommand, OrganizationsCommand, UsersCommand};
use super::deployment::{Deployment, Environment};
use super::reconcile::store;
use super::{Screen, checks};
use crate::Status;
use crate::args::DeploymentArgs;

/// The number of lines that are shown to a person who names no limit.
pub(super) const SHOWN: u64 = 50;

/// The deployment, and what reads its tables.
pub(super) struct LookContext {
    pub(super) deployment: Deployment,
    pub(super) look: Look,
}

impl LookContext {
    /// Opens the tables for reading. Clerk is not asked, and no secret is read.
    pub(super) async fn open(args: &DeploymentArgs, environment: Environment) -> anyhow::Result<LookContext> {
        LookContext::over(Deployment::find(args, environment, false).await?).await
    }

    pub(super) async fn over(deployment: Deployment) -> anyhow::Result<LookContext> {
        let (tables, clerk, mirror) = deployment.settings(settings)?;
        checks::named(&deployment, &tables).await?;
        let stores = Stores::new(&deployment.dynamodb, &tables);
        let look = Look { stores, instance: clerk.instance, mirror: mirror.is_on };
        Ok(LookContext { deployment, look })
    }

    /// The options of the deployment, for another command.
    pub(super) fn options(&self) -> &str {
        &self.deployment.options
    }

    /// The error with advice.
    pub(super) fn explain(&self, error: LookError) -> anyhow::Error {
        match error {
            LookError::Store(error) => self.store(&error),
            error => anyhow!(error),
        }
    }

    /// The same for an error of DynamoDB alone.
    pub(super) fn store(&self, error: &StoreError) -> anyhow::Error {
        store(error, &self.deployment.options)
    }
}

fn settings(lookup: &dyn Fn(&str) -> Option<String>) -> Result<(Tables, ClerkAccess, Mirror), InvalidSettings> {
    let mut reader = Reader::new(lookup);
    let tables = Tables::read(&mut reader);
    let clerk = ClerkAccess::read(&mut reader, false);
    let mirror = Mirror::read(&mut reader);
    reader.finish(|| Some((tables?, clerk?, mirror)))
}

/// The columns of the terminal on which the result is shown; nothing if it goes elsewhere.
pub(super) fn columns() -> Option<u16> {
    let term = Term::stdout();
    let (_, columns) = term.is_term().then(|| term.size_checked()).flatten()?;
    // A terminal that does not know its size says 0.
    (columns >= 40).then_some(columns)
}

/// Prints lines of a result. Whether the reader still reads: further rows need not be looked for otherwise.
pub(super) fn still_read(text: impl std::fmt::Display) -> anyhow::Result<bool> {
    Ok(said(text)?)
}

/// `rollcall users`.
///
/// # Errors
///
/// If the tables cannot be read, or the id is unknown. The error has advice.
pub async fn users(command: UsersCommand, environment: Environment, screen: &Screen) -> anyhow::Result<Status> {
    match command {
        UsersCommand::List(args) => list::run(args.into(), environment, screen).await,
        UsersCommand::Get(args) => get::run(rollcall::core::id::Kind::User, args, environment).await,
        UsersCommand::Find(args) => list::run(args.into(), environment, screen).await,
    }
}

/// `rollcall organizations`.
///
/// # Errors
///
/// As [`users`].
pub async fn organizations(
    command: OrganizationsCommand,
    environment: Environment,
    screen: &Screen,
) -> anyhow::Result<Status> {
    match command {
        OrganizationsCommand::List(args) => list::run(args.into(), environment, screen).await,
        OrganizationsCommand::Get(args) => get::run(rollcall::core::id::Kind::Organization, args, environment).await,
        OrganizationsCommand::Find(args) => list::run(args.into(), environment, screen).await,
    }
}

/// `rollcall members`.
///
/// # Errors
///
/// As [`users`].
pub async fn members(command: MembersCommand, environment: Environment, screen: &Screen) -> anyhow::Result<Status> {
    match command {
        MembersCommand::List(args) => list::run(args.into(), environment, screen).await,
        MembersCommand::Get(args) => get::run(rollcall::core::id::Kind::Membership, args, environment).await,
        MembersCommand::Find(args) => list::run(args.into(), environment, screen).await,
    }
}
