//! Before a command writes, checks that each configured table has the keys, the index and the stream of its kind.

use ::reconcile::settings::Settings;
use anyhow::bail;
use rollcall::adapters::dynamo::tables::shape;
use rollcall::core::tables::{Role, problem};
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{DIRECTORY_TABLE, OPERATIONS_TABLE, PROFILES_TABLE};

use super::reconcile::store;
use super::target::Target;

/// Checks the tables in the settings.
///
/// # Errors
///
/// All problems, each with the table and the variable; or that DynamoDB cannot describe the tables.
pub(super) async fn all(target: &Target, settings: &Settings) -> anyhow::Result<()> {
    named(target, &settings.tables).await
}

/// Checks that the tables are a Directory, a Profiles and an Operations table.
///
/// # Errors
///
/// As [`all`].
pub(super) async fn named(target: &Target, tables: &Tables) -> anyhow::Result<()> {
    let [directory, profiles, operations] = tables.names();
    let tables = [
        (DIRECTORY_TABLE.name, Role::Directory, directory),
        (PROFILES_TABLE.name, Role::Profiles, profiles),
        (OPERATIONS_TABLE.name, Role::Operations, operations),
    ];
    let mut problems = Vec::new();
    for (at, (variable, role, table)) in tables.into_iter().enumerate() {
        if let Some((other, ..)) = tables[..at].iter().find(|(.., other)| *other == table) {
            problems.push(format!("{variable} names the same table as {other} ({table}): set two different tables"));
            continue;
        }
        let found = shape(&target.dynamodb, table).await.map_err(|error| store(&error, &target.options))?;
        let problem = match found {
            None => Some("the table does not exist".to_owned()),
            Some(shape) => problem(role, &shape),
        };
        problems.extend(problem.map(|problem| format!("{variable} names {table}: {problem}")));
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("nothing was written: the tables do not match the settings\n  {}", problems.join("\n  "))
}
