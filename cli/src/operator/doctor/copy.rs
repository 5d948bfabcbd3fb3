//! The checks of the tables, of the secret, and of the copy in the tables.

use ::reconcile::settings::Settings;
use anyhow::anyhow;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::clerk::probe::time_at;
use rollcall::adapters::clerk::secrets::SecretError;
use rollcall::adapters::dynamo::operations::runs::{LEASE, Lease};
use rollcall::adapters::dynamo::stores::Stores;
use rollcall::adapters::dynamo::tables::protection;
use rollcall::core::doctor::condition::{self, Sample};
use rollcall::core::doctor::{Finding, stack, tables};
use rollcall::core::millis::Millis;
use rollcall::core::reconcile::run::{Mode, Run};
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{
    CLERK_API_URL, CLERK_SECRET_KEY, DIRECTORY_TABLE, OPERATIONS_TABLE, PROFILES_TABLE, Reader, api_url,
};

use super::stack::unread;
use crate::operator::checks;
use crate::operator::deployment::Deployment;
use crate::operator::reconcile::store;

/// The latest runs among which the last finished one is looked for.
const RUNS: i32 = 20;

/// The findings, and the lease that `--fix` may release.
pub(super) async fn all(deployment: &Deployment, now: Millis) -> (Vec<Finding>, Option<Lease>) {
    let mut findings = Vec::new();
    let full = secret(deployment, &mut findings).await;
    findings.push(clock(deployment, now).await);
    let lookup = |name: &str| deployment.setting(name);
    // Only the names: other settings may be wrong, and were judged already.
    let Some(tables) = Tables::read(&mut Reader::new(&lookup)) else {
        findings.push(
            Finding::not_checked("tables", "the settings do not name the three tables")
                .mend("set DIRECTORY_TABLE, PROFILES_TABLE and OPERATIONS_TABLE, as the check `functions` says"),
        );
        return (findings, None);
    };
    match checks::shapes(deployment, &tables).await {
        Ok(problems) => {
            findings.extend(tables::shapes(&problems));
            if !problems.is_empty() {
                findings.push(Finding::not_checked("last-run", "the tables are not those of Rollcall"));
                return (findings, None);
            }
        }
        Err(error) => {
            findings.push(unread("tables", &error));
            findings.push(Finding::not_checked("last-run", "the tables cannot be read"));
            return (findings, None);
        }
    }
    findings.extend(protections(deployment, &tables).await);
    if let Some(full) = full {
        findings.push(instance(&full).await);
    }
    let lease = of_copy(deployment, &tables, now, &mut findings).await;
    (findings, lease)
}

/// Whether the secret can be read. Returns the deployment with it.
async fn secret(deployment: &Deployment, findings: &mut Vec<Finding>) -> Option<Deployment> {
    const CHECK: &str = "secret";
    let full = match deployment.with_secret().await {
        Ok(full) => full,
        // The functions have roles of their own, which may read it.
        Err(error) if is_denied(&error) => {
            findings.push(unread(CHECK, &error.into()));
            return None;
        }
        Err(error) => {
            findings.push(
                Finding::problem(CHECK, error.to_string())
                    .cause("the ARN is wrong, or the secret was deleted or is malformed")
                    .mend("see docs/webhook-setup.md, Where the secret goes"),
            );
            return None;
        }
    };
    if full.setting(CLERK_SECRET_KEY.name).is_none() {
        findings.push(
            Finding::problem(CHECK, "the secret has no CLERK_SECRET_KEY")
                .cause("the JSON object in Secrets Manager is incomplete")
                .mend("see docs/webhook-setup.md, Where the secret goes"),
        );
        return None;
    }
    findings.push(Finding::ok(CHECK, "the secret can be read and has CLERK_SECRET_KEY"));
    Some(full)
}

/// Whether the caller lacks the permission to read the secret.
fn is_denied(error: &SecretError) -> bool {
    matches!(error, SecretError::Unreadable(code) if matches!(code.as_str(), "AccessDenied" | "AccessDeniedException"))
}

/// Whether the secret key belongs to the configured instance.
async fn instance(full: &Deployment) -> Finding {
    const CHECK: &str = "instance";
    let settings = match full.settings(|lookup| {
        let resolved = |name: &str| lookup(name).filter(|value| !value.starts_with("@operations/"));
        Settings::read(&resolved)
    }) {
        Ok(settings) => settings,
        Err(error) => return unread(CHECK, &error),
    };
    let configured = settings.clerk.instance.clone();
    match settings.clerk.api().verified(configured).identify().await {
        Ok(instance) => {
            let kind = if instance.is_production { "production" } else { "development" };
            Finding::ok(CHECK, format!("the secret key belongs to {} ({kind})", instance.id))
        }
        Err(error @ ClerkError::Foreign(_)) => Finding::problem(CHECK, error.to_string())
            .cause("the secret has the key of another instance, or CLERK_INSTANCE_ID is wrong")
            .mend("write the key of the instance into the secret; never change CLERK_INSTANCE_ID of existing tables"),
        Err(error @ ClerkError::Unauthorized(_)) => Finding::problem(CHECK, error.to_string())
            .cause("the key was revoked or is misspelt")
            .mend("write a valid key into the secret: see docs/webhook-setup.md, Rotating the secrets"),
        Err(error @ ClerkError::Unavailable(_)) => {
            unread(CHECK, &anyhow!("{error}: check CLERK_API_URL, the network connection and Clerk's status page"))
        }
        Err(error) => Finding::problem(CHECK, error.to_string())
            .cause("CLERK_API_URL is not the URL of Clerk's Backend API, or a proxy answers")
            .mend("correct CLERK_API_URL (parameter ClerkApiUrl)"),
    }
}

async fn clock(deployment: &Deployment, now: Millis) -> Finding {
    const CHECK: &str = "clock";
    let url = deployment.setting(CLERK_API_URL.name);
    let url = url.as_deref().or(CLERK_API_URL.default).and_then(api_url);
    let Some(url) = url else { return Finding::not_checked(CHECK, "CLERK_API_URL is no URL") };
    match time_at(&url).await {
        Ok(Some(theirs)) => stack::clock(now, theirs, "Clerk's server"),
        Ok(None) => Finding::not_checked(CHECK, "the answer of Clerk has no date"),
        Err(error) => unread(CHECK, &anyhow!("{error}")),
    }
}

async fn protections(deployment: &Deployment, tables: &Tables) -> Vec<Finding> {
    const CHECK: &str = "table-protection";
    if deployment.is_local() {
        return vec![Finding::not_applicable(CHECK, "the local stack protects no tables")];
    }
    let variables = [DIRECTORY_TABLE.name, PROFILES_TABLE.name, OPERATIONS_TABLE.name];
    let mut found = Vec::new();
    for (variable, table) in variables.into_iter().zip(tables.names()) {
        match protection(&deployment.dynamodb, table).await {
            Ok(protection) => found.extend(protection.and_then(|it| tables::protection(variable, table, it))),
            Err(error) => found.push(unread(
                CHECK,
                &anyhow!("{table}: {error}: your role needs the permission dynamodb:DescribeContinuousBackups"),
            )),
        }
    }
    if found.is_empty() { vec![tables::protected()] } else { found }
}

/// The checks of runs, events and deletions. Returns the lease that nobody can be renewing.
async fn of_copy(deployment: &Deployment, tables: &Tables, now: Millis, findings: &mut Vec<Finding>) -> Option<Lease> {
    let Stores { directory, operations, .. } = Stores::new(&deployment.dynamodb, tables);
    let failed = |check, error| unread(check, &store(&error, &deployment.options));
    let lease = operations.lease(now).await;
    let runs = operations.latest_runs(RUNS).await;
    let is_active = matches!(lease, Ok(Some(_)));
    if let Ok(runs) = &runs {
        findings.extend(condition::last_run(runs, is_active, now));
    }
    let repaired = runs.as_ref().ok().and_then(|runs| repaired(runs));
    if let Err(error) = runs {
        findings.push(failed("last-run", error));
    }
    let left_behind = match lease {
        Ok(lease) => {
            findings.push(condition::lease(lease.as_ref().map(|lease| lease.until), now, LEASE));
            lease.filter(|lease| condition::is_left_behind(lease.until, now, LEASE))
        }
        Err(error) => {
            findings.push(failed("lease", error));
            None
        }
    };
    match directory.scan_effects(None).await {
        Ok(rows) => {
            let mut sample = Sample { is_whole: rows.next.is_none(), ..Sample::default() };
            rows.items.values().for_each(|item| sample.add(item));
            findings.push(condition::events(&sample, repaired, now));
            findings.push(condition::tokens(&sample));
        }
        Err(error) => findings.push(failed("events", error)),
    }
    findings.push(match operations.count_quarantined(now).await {
        Ok(notes) => condition::quarantine(notes),
        Err(error) => failed("quarantine", error),
    });
    findings.push(match operations.count_overdue_purges(now).await {
        Ok(overdue) => condition::due_purges(overdue),
        Err(error) => failed("due-purges", error),
    });
    left_behind
}

/// The rows that the last finished run found missing or outdated, and when it began. The first run finds everything
/// missing.
fn repaired(runs: &[Run]) -> Option<(u64, Millis)> {
    let mut finished = runs.iter().filter(|run| run.finished_at.is_some() && run.mode == Mode::Repair);
    let last = finished.next()?;
    finished.next()?;
    let drift = last.total().drift;
    Some((drift.missing + drift.outdated, last.started_at))
}
