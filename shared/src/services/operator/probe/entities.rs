//! Finds and removes the test entities of probes.

use serde_json::Value;

use super::{PAGE, Probe};
use crate::adapters::clerk::error::ClerkError;
use crate::core::probe::{self, ProbeName};
use crate::services::operator::{Operator, OperatorError};

/// Pages of a search. A run creates five entities, so this many pages are many killed runs.
const MOST_PAGES: usize = 20;

/// The result of a removal of test entities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub removed: u64,
    /// The ids of those that are left.
    pub left: Vec<String>,
    /// Why Clerk could not be searched, so that others may be left.
    pub unsearched: Option<String>,
}

impl Operator {
    /// The ids of the test entities of all runs, or of one, organizations first: their deletion ends the memberships.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn find_test_entities(&self, of: Option<&ProbeName>) -> Result<Vec<String>, OperatorError> {
        let is_wanted = |run: Option<&str>| run.is_some_and(|run| of.is_none_or(|of| of.as_str() == run));
        let clerk = &self.applier.clerk;
        let organizations = match clerk.probe(&probe::organizations(PAGE)).await {
            Ok(found) => found.map(|found| found["data"].clone()).unwrap_or_default(),
            Err(ClerkError::SwitchedOff) => Value::Null,
            Err(error) => return Err(error.into()),
        };
        let users = clerk.probe(&probe::users(true, PAGE)).await?.unwrap_or_default();
        let ids = |found: &Value, run_of: fn(&Value) -> Option<&str>| {
            let rows = found.as_array().into_iter().flatten().filter(|row| is_wanted(run_of(row)));
            rows.filter_map(|row| row["id"].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        Ok([ids(&organizations, probe::run_of_organization), ids(&users, probe::run_of_user)].concat())
    }

    /// Removes the test entities of all runs, or of one.
    pub async fn sweep(&self, of: Option<&ProbeName>) -> Swept {
        let mut swept = Swept::default();
        for _ in 0..MOST_PAGES {
            let mut found = match self.find_test_entities(of).await {
                Ok(found) => found,
                Err(error) => {
                    swept.unsearched = Some(error.to_string());
                    break;
                }
            };
            found.retain(|id| !swept.left.contains(id));
            if found.is_empty() {
                break;
            }
            for id in found {
                match self.remove_test_entity(&id).await {
                    Ok(()) => swept.removed += 1,
                    Err(_) => swept.left.push(id),
                }
            }
        }
        swept
    }

    async fn remove_test_entity(&self, id: &str) -> Result<(), ClerkError> {
        let question = if id.starts_with("org_") { probe::delete_organization(id) } else { probe::delete_user(id) };
        self.applier.clerk.probe(&question).await.map(drop)
    }
}

impl Probe<'_> {
    /// Removes what this run has created: those found by their marks, and those whose ids are known.
    pub async fn clean(&self) -> Swept {
        let mut swept = self.operator.sweep(Some(&self.run)).await;
        let mut known = self.lock().created.clone();
        known.sort_by_key(|id| !id.starts_with("org_"));
        for id in known {
            match self.operator.remove_test_entity(&id).await {
                Ok(()) => swept.left.retain(|left| *left != id),
                Err(_) if swept.left.contains(&id) => {}
                Err(_) => swept.left.push(id),
            }
        }
        self.lock().created.clone_from(&swept.left);
        swept
    }
}
