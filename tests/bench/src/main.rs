//! The budgets of Rollcall that are times, sizes and counts, measured on release binaries. `make bench` builds what this needs and runs it;
//! docs/bench.md says how to read the figures.
//!
//! A tour in reading order:
//!
//! 1. [`hot_path`]: what a function is handed, asks and answers: [`events`] of the webhook, [`callers`] of ensure-profile,
//!    [`readers`] of account, [`admissions`] of authorizer, [`changes`] of react, [`hours`] of reconcile; [`rows`] is what is stored.
//! 2. [`starts`]: cold starts and warm invocations of fresh processes on that path; [`node`]: the same handlers on Node.js.
//! 3. [`process`] and [`runtime_api`]: one process of a function, and Lambda's side of it.
//! 4. [`decide`]: verify, parse and decide alone, within this process.
//! 5. [`requests`]: what an event asks of DynamoDB and of Clerk, against the local stack.
//! 6. [`report`]: the budgets.
//! 7. [`reconcile`]: a whole instance reconciled, by `make bench-reconcile`; [`purges`]: heavy rows removed, by `make bench-purges`.
//!
//! Everything listens on 127.0.0.1 only. Exit status 0 if all budgets hold, 1 if one is over or could not be measured, 64 for wrong usage.
#![expect(clippy::disallowed_methods, reason = "only a main.rs reads the environment and the clock")]

mod admissions;
mod callers;
mod cap;
mod changes;
mod decide;
mod events;
mod hot_path;
mod hours;
mod node;
mod process;
mod purges;
mod readers;
mod reconcile;
mod report;
mod requests;
mod rows;
mod runtime_api;
mod serve;
mod starts;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use rollcall::core::millis::Millis;

use crate::hot_path::HotPath;
use crate::process::Program;
use crate::report::{Measured, Report, Verdict};
use crate::starts::Store;

const USAGE: &str = "usage: rollcall-bench [--json] [FUNCTION…]   (whose binaries are weighed, by default all)\n       \
                     rollcall-bench --reconcile USERS\n       \
                     rollcall-bench --purges\n       \
                     rollcall-bench --capped [EARLIER]   (a folder with earlier release binaries, to compare)";
/// Where the system keeps its authorities: Debian and Amazon Linux.
const ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (options, functions): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    if options == ["--reconcile"] {
        let Some(users) = functions.first().filter(|_| functions.len() == 1).and_then(|users| users.parse().ok())
        else {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        };
        return status(reconcile_all(users).await);
    }
    if options == ["--purges"] && functions.is_empty() {
        return status(purge_all().await);
    }
    if options == ["--capped"] && functions.len() <= 1 {
        return status(capped(functions.first().map(Path::new)).await);
    }
    if options.iter().any(|option| option != "--json") {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    }
    let report = match measure(&functions).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("rollcall-bench: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    if options.is_empty() {
        print!("{}", report.text());
    } else {
        println!("{:#}", report.json());
    }
    let mut status = ExitCode::SUCCESS;
    for budget in report.budgets() {
        match budget.verdict {
            Verdict::Pass => continue,
            Verdict::Over => eprintln!("over budget: {}", budget.name()),
            Verdict::NotMeasured => eprintln!("not measured, for want of the handlers on Node.js: {}", budget.name()),
        }
        status = ExitCode::FAILURE;
    }
    status
}

fn status(holds: anyhow::Result<bool>) -> ExitCode {
    match holds {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rollcall-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The path of each function that is measured. Requests are counted on the first.
///
/// # Errors
///
/// If a sample is not what it was.
fn hot_paths() -> anyhow::Result<Vec<HotPath>> {
    Ok(vec![
        events::hot_path(),
        callers::hot_path()?,
        admissions::hot_path()?,
        readers::hot_path()?,
        changes::hot_path(),
        hours::hot_path(now()),
    ])
}

/// The first invocation under the share of a core of small functions, beside earlier binaries if there are any.
async fn capped(earlier: Option<&Path>) -> anyhow::Result<bool> {
    let release = std::env::current_exe()?.parent().context("this binary's folder")?.to_owned();
    let work = release.parent().context("the target folder")?.join("bench");
    std::fs::create_dir_all(&work)?;
    let paths = hot_paths()?;
    let store = Store::start().await?;
    let authorities = work.join("authorities.pem");
    std::fs::write(&authorities, [roots().as_slice(), store.authority.as_bytes()].concat())?;
    println!("{:24}{:>8}{:>14}{:>14}", "first invocation, ms", "MB", "function", "earlier");
    for path in &paths {
        let mut environment = environment(path, &store.url());
        environment.push(("SSL_CERT_FILE", authorities.display().to_string()));
        let folders = [Some(release.as_path()), earlier];
        let program = |folder: &Path| Program {
            path: folder.join(path.function),
            arguments: vec![],
            environment: environment.clone(),
            limit: path.limit,
        };
        let programs: Vec<Program> = folders.into_iter().flatten().map(program).collect();
        for megabytes in [128, 256] {
            let Some(medians) = starts::capped(path, &programs, &store, now, megabytes).await? else {
                println!("not measured: this machine lets this process make no control group");
                return Ok(true);
            };
            let earlier = medians.get(1).map(|median| format!("{median:.1}")).unwrap_or_default();
            println!("{:24}{megabytes:>8}{:>14.1}{earlier:>14}", path.function, medians[0]);
        }
    }
    Ok(true)
}

async fn purge_all() -> anyhow::Result<bool> {
    let (function, rollcall) = binaries()?;
    purges::measure(&function, &rollcall, now).await
}

async fn reconcile_all(users: u64) -> anyhow::Result<bool> {
    let (function, rollcall) = binaries()?;
    reconcile::measure(&function, &rollcall, users, now).await
}

/// Reconcile as it ships, and the command that starts the local stack.
fn binaries() -> anyhow::Result<(PathBuf, PathBuf)> {
    let release = std::env::current_exe()?.parent().context("this binary's folder")?.to_owned();
    let rollcall = release.parent().context("the target folder")?.join("debug/rollcall");
    Ok((release.join("reconcile"), rollcall))
}

async fn measure(functions: &[String]) -> anyhow::Result<Report> {
    // This binary lies in the target folder's `release`; so do the functions.
    let release = std::env::current_exe()?.parent().context("this binary's folder")?.to_owned();
    let target = release.parent().context("the target folder")?;
    let work = target.join("bench");
    std::fs::create_dir_all(&work).with_context(|| format!("creating {}", work.display()))?;

    let paths = hot_paths()?;
    let all = paths.iter().map(|path| path.function);
    let functions: Vec<String> =
        if functions.is_empty() { all.clone().map(str::to_owned).collect() } else { functions.to_vec() };
    for function in &functions {
        ensure!(all.clone().any(|known| known == function), "{function} has no hot path: add one to hot_paths()");
    }
    let weigh = |name: &String| {
        let file = release.join(name);
        let size = std::fs::metadata(&file).with_context(|| format!("{}: build it first", file.display()))?.len();
        Ok((name.clone(), starts::megabytes(size)))
    };
    let binaries = functions.iter().map(weigh).collect::<anyhow::Result<_>>()?;

    eprintln!("installing the handlers for Node.js …");
    // Without them there is still much to measure.
    let baseline = node::prepare(&work.join("node"), &all.collect::<Vec<_>>()).unwrap_or_else(|error| {
        eprintln!("rollcall-bench: the handlers for Node.js: {error:#}");
        None
    });

    let store = Store::start().await?;
    let (authority, authorities) = (work.join("authority.pem"), work.join("authorities.pem"));
    std::fs::write(&authority, &store.authority)?;
    std::fs::write(&authorities, [roots().as_slice(), store.authority.as_bytes()].concat())?;
    let mut measured = Vec::new();
    for path in &paths {
        eprintln!("starting {}, cold …", path.function);
        // Node.js carries the world's authorities in itself and reads them, too, so it is told only of the one more.
        let cold = |variable, file: &Path| {
            let mut environment = environment(path, &store.url());
            environment.push((variable, file.display().to_string()));
            // A notice on standard error would count as the handler's work.
            environment.push(("NODE_NO_WARNINGS", "1".to_owned()));
            environment
        };
        let environment = cold("SSL_CERT_FILE", &authorities);
        let limit = path.limit;
        let mut programs = vec![Program { path: release.join(path.function), arguments: vec![], environment, limit }];
        programs.extend(baseline.iter().map(|node| Program {
            path: node.path.clone(),
            arguments: vec![node.bundle(path.function)],
            environment: cold("NODE_EXTRA_CA_CERTS", &authority),
            limit,
        }));
        let mut figures = starts::measure(path, &programs, &store, now).await?;
        let node = baseline.as_ref().and_then(|_| figures.pop());
        let function = figures.pop().context("no figures")?;
        measured.push(Measured { name: path.function, function, node });
    }

    eprintln!("deciding …");
    let decide_us = decide::measure(now())?;

    eprintln!("counting requests …");
    let webhook = paths.first().context("no paths")?;
    let program = |dynamodb: &str, clerk: &str, directory: &str, operations: &str| {
        let mut environment = environment(webhook, dynamodb);
        // The last value of a name is the one that counts.
        let set = [("CLERK_API_URL", clerk), ("DIRECTORY_TABLE", directory), ("OPERATIONS_TABLE", operations)];
        environment.extend(set.map(|(name, value)| (name, value.to_owned())));
        Program { path: release.join(webhook.function), arguments: vec![], environment, limit: webhook.limit }
    };
    let costs = requests::measure(&target.join("debug/rollcall"), program, now).await?;
    Ok(Report { binaries, functions: measured, node: baseline.map(|node| node.version), decide_us, costs })
}

/// What Lambda and template.yaml set. `ROLLCALL_SECRET_ARN` is left out: Secrets Manager's time is not the function's. Clerk is
/// where AWS is, so that whoever asks it is noticed.
fn environment(path: &HotPath, aws: &str) -> Vec<(&'static str, String)> {
    let mut environment = process::environment(path.function, aws);
    environment.push(("CLERK_API_URL", aws.to_owned()));
    environment.extend(path.settings.iter().cloned());
    environment
}

/// The system's authorities. A deployed function reads all of them when it makes its client, so a measured one does, too.
fn roots() -> Vec<u8> {
    ROOTS.iter().map(PathBuf::from).find_map(|path| std::fs::read(path).ok()).unwrap_or_default()
}

fn now() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).ok().and_then(|ms| Millis::try_from(ms).ok()).unwrap_or(Millis::ZERO)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `make bench` would find it, too, but only after a release build of everything.
    #[test]
    fn every_function_has_one_hot_path_and_a_handler_on_node() {
        let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../functions")).unwrap();
        let folders = folders.map(|entry| entry.unwrap()).filter(|entry| entry.path().join("Cargo.toml").is_file());
        let functions: BTreeSet<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
        let paths: Vec<&str> = hot_paths().unwrap().iter().map(|path| path.function).collect();
        let measured: BTreeSet<String> = paths.iter().map(|&function| function.to_owned()).collect();
        assert_eq!(measured, functions, "the functions of hot_paths(), and the folders below functions/");
        assert_eq!(paths.len(), functions.len(), "a path for each: {paths:?}");
        for function in functions {
            let handler = Path::new(node::SOURCES).join(format!("{function}.js"));
            assert!(handler.is_file(), "{function} has no handler on Node.js: {}", handler.display());
        }
    }
}
