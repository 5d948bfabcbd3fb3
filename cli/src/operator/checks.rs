//! Before a command writes: is the deployed release one that the command knows, and has each configured table the keys,
//! the index and the stream of its kind?

use ::reconcile::settings::Settings;
use anyhow::bail;
use rollcall::adapters::dynamo::tables::shape;
use rollcall::core::tables::{Role, problem};
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{DIRECTORY_TABLE, OPERATIONS_TABLE, PROFILES_TABLE};

use super::deployment::{Deployment, Place};
use super::reconcile::store;

/// Checks the tables in the settings.
///
/// # Errors
///
/// All problems, each with the table and the variable; or that DynamoDB cannot describe the tables.
pub(super) async fn all(deployment: &Deployment, settings: &Settings) -> anyhow::Result<()> {
    named(deployment, &settings.tables).await
}

/// The release of this command.
pub(super) const OURS: &str = env!("CARGO_PKG_VERSION");

/// Checks that this command knows the deployed release. A release with another first number, or before 1.0 with another
/// second number, may store other rows.
fn release(deployment: &Deployment) -> anyhow::Result<()> {
    if let Place::Stack(stack) = &deployment.place
        && (stack.status.ends_with("_IN_PROGRESS") || stack.status.ends_with("_FAILED"))
    {
        bail!(
            "nothing was written: stack {} is in the state {}, so its functions may have different settings. Wait until \
             the deployment is complete, or repair the stack",
            stack.name,
            stack.status
        );
    }
    match deployment.version() {
        Some(deployed) if !is_known(deployed) => bail!(
            "nothing was written: Rollcall {deployed} is deployed, and this command is release {OURS}. Use the command of \
             release {deployed}, or deploy release {OURS}"
        ),
        _ => Ok(()),
    }
}

/// Whether this command knows a release.
pub(super) fn is_known(deployed: &str) -> bool {
    let series = |version: &str| {
        let mut numbers = version.split('.').map(str::to_owned);
        let first = numbers.next().unwrap_or_default();
        let second = numbers.next().filter(|_| first == "0");
        (first, second)
    };
    series(deployed) == series(OURS)
}

/// Checks that the tables are a Directory, a Profiles and an Operations table.
///
/// # Errors
///
/// As [`all`].
pub(super) async fn named(deployment: &Deployment, tables: &Tables) -> anyhow::Result<()> {
    release(deployment)?;
    let problems = shapes(deployment, tables).await?;
    if problems.is_empty() {
        return Ok(());
    }
    bail!("nothing was written: the tables do not match the settings\n  {}", problems.join("\n  "))
}

/// What is wrong with the three tables, each with the variable that names it.
///
/// # Errors
///
/// If DynamoDB cannot describe the tables.
pub(super) async fn shapes(deployment: &Deployment, tables: &Tables) -> anyhow::Result<Vec<String>> {
    let [directory, profiles, operations] = tables.names().map(String::as_str);
    let tables = [
        (DIRECTORY_TABLE.name, Role::Directory, directory),
        (PROFILES_TABLE.name, Role::Profiles, profiles),
        (OPERATIONS_TABLE.name, Role::Operations, operations),
    ];
    problems(deployment, &tables).await
}

/// Checks that the table is an Operations table, for a command that reads no other one.
///
/// # Errors
///
/// As [`all`].
pub(super) async fn operations(deployment: &Deployment, table: &str) -> anyhow::Result<()> {
    let problems = problems(deployment, &[(OPERATIONS_TABLE.name, Role::Operations, table)]).await?;
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n")) }
}

/// What is wrong with the tables, each with the variable that names it.
async fn problems(deployment: &Deployment, tables: &[(&str, Role, &str)]) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for (at, &(variable, role, table)) in tables.iter().enumerate() {
        if let Some((other, ..)) = tables[..at].iter().find(|(.., other)| *other == table) {
            problems.push(format!("{variable} names the same table as {other} ({table}): set two different tables"));
            continue;
        }
        let found = shape(&deployment.dynamodb, table).await.map_err(|error| store(&error, &deployment.options))?;
        let problem = match found {
            None => Some("the table does not exist".to_owned()),
            Some(shape) => problem(role, &shape),
        };
        problems.extend(problem.map(|problem| format!("{variable} names {table}: {problem}")));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_of_the_same_series_is_known() {
        assert!(is_known(OURS) && is_known("0.1.99"));
        for other in ["0.2.0", "1.1.0", "", "x"] {
            assert!(!is_known(other), "{other}");
        }
    }
}
