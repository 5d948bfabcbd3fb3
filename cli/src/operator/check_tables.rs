//! What a command looks at before it writes anything: are the tables what the settings call them?

use ::reconcile::settings::Settings;
use anyhow::bail;
use rollcall::adapters::dynamo::tables::shape;
use rollcall::core::tables::{Role, problem};
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{DIRECTORY_TABLE, OPERATIONS_TABLE, PROFILES_TABLE};

use super::reconcile::store;
use super::target::Target;

/// Refuses tables that are not what the settings call them.
///
/// # Errors
///
/// All that is wrong, each with the table and the variable; or that DynamoDB does not describe them.
pub(super) async fn all(target: &Target, settings: &Settings) -> anyhow::Result<()> {
    named(target, &settings.tables).await
}

/// Refuses tables that are not the Directory, Profiles and Operations.
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
            problems.push(format!("{variable} and {other} name the same table, {table}"));
            continue;
        }
        let found = shape(&target.dynamodb, table).await.map_err(|error| store(&error, &target.options))?;
        let problem = match found {
            None => Some("there is no such table".to_owned()),
            Some(shape) => problem(role, &shape),
        };
        problems.extend(problem.map(|problem| format!("{variable} names {table}: {problem}")));
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("nothing was written: the tables are not what the settings call them\n  {}", problems.join("\n  "))
}
