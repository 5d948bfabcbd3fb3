//! `rollcall migrate rekey`: reads files, and writes new ones. It works on no deployment.

use std::sync::{Arc, OnceLock};

use anyhow::{Context, anyhow, bail};
use rollcall_migrate::folder::{Folder, REPORT, Run};
use rollcall_migrate::ids::IdMap;
use rollcall_migrate::metadata::survey::Input;
use rollcall_migrate::rekey::origin::Origin;
use rollcall_migrate::rekey::outcome::Counts;
use rollcall_migrate::rekey::terms::Terms;
use rollcall_migrate::rekey::{DRAFT, LEFT, Rekeyed, discard, publish, write};
use serde_json::json;

use super::args::each_once;
use super::rekey_args::{Orphans, RekeyArgs};
use super::rekey_texts as texts;
use crate::operator::progress::Progress;
use crate::operator::text::{count, counted, moment};
use crate::operator::{Screen, say};
use crate::{Clock, Status, Usage, signals};

/// Writes the new files, or counts.
///
/// # Errors
///
/// If the map, the input or the folder cannot be used, rows would be lost, or rows are left with `--orphans fail`. Then no
/// file has its final name.
pub(super) async fn run(args: RekeyArgs, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    each_once(&args.files)?;
    let terms = args.terms();
    terms.check().map_err(|error| Usage(error.to_string()))?;
    let origin = Origin::of(&args.map)?;
    let input = Input { paths: args.files.clone(), options: args.format.with_columns(args.columns())? };
    let run = Run {
        command: "rekey".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        input_sha256: String::new(),
        options: serde_json::to_string(&json!({ "terms": &terms, "format": format!("{:?}", input.options.format) }))?,
        instance: origin.instance.clone(),
        started: moment(clock()),
    };
    let progress = Arc::new(Progress::start(screen, !args.json));
    let folder = Arc::new(OnceLock::new());
    let job = Job { args: &args, input, terms, map: origin.sha256, run, folder: Arc::clone(&folder) };
    // In a thread of its own: a signal stops the command, however large the input is.
    let done = signals::read(job.work(Arc::clone(&progress))).await;
    drop(progress);
    let result = done.flatten().and_then(|rekeyed| finish(&args, &rekeyed, folder.get()));
    if let Some(folder) = folder.get() {
        discard(folder)?;
    }
    result
}

struct Job<'a> {
    args: &'a RekeyArgs,
    input: Input,
    terms: Terms,
    /// The SHA-256 of the map.
    map: String,
    run: Run,
    /// The folder, once this process has it.
    folder: Arc<OnceLock<Folder>>,
}

impl Job<'_> {
    /// The work, which reads every row and writes the drafts.
    fn work(self, progress: Arc<Progress>) -> impl FnOnce() -> anyhow::Result<Rekeyed> + Send + 'static {
        let (path, map_folder, is_dry) = (self.args.folder(), self.args.map.clone(), self.args.dry_run);
        let Job { input, terms, map, mut run, folder, .. } = self;
        move || {
            let ids = IdMap::read(&map_folder)?;
            let mut each = |rows: u64| {
                if rows.is_multiple_of(1000) {
                    progress.say("reading the rows", &counted(rows, "row"));
                }
            };
            if is_dry {
                let counts = write::survey(&input, &terms, &ids, &mut each)?;
                return Ok(Rekeyed { counts, written: Vec::new() });
            }
            // Before a folder is made: a path that is wrong leaves none behind.
            let digest = input.digest().with_context(|| format!("reading {}", input.paths[0].display()))?;
            run.input_sha256 = format!("{digest}, of the map {map}");
            let opened = Folder::open(&path, &run, &[REPORT])?;
            Ok(write::write(&input, &terms, &ids, folder.get_or_init(|| opened), &mut each)?)
        }
    }
}

/// Prints the counts, gives the files their names, and decides about the exit status.
fn finish(args: &RekeyArgs, rekeyed: &Rekeyed, folder: Option<&Folder>) -> anyhow::Result<Status> {
    let counts = &rekeyed.counts;
    if !counts.adds_up() {
        bail!("the results do not add up to the {} that were read", counted(counts.read, "row"));
    }
    if let Some(field) = counts.nowhere() {
        bail!("no row has the field {field}: check its spelling (--reference). No file was written");
    }
    let is_refused = args.orphans == Orphans::Fail && counts.left() > 0;
    let names: Vec<String> = rekeyed.written.iter().flat_map(|written| written.names().map(|(name, _)| name)).collect();
    if let Some(folder) = folder.filter(|_| is_refused) {
        folder.rename(&format!("{LEFT}{DRAFT}"), LEFT)?;
        return Err(refused(counts, folder));
    }
    let report = json!({
        "dry_run": args.dry_run,
        "folder": folder.map(|folder| folder.path().display().to_string()),
        "files": names,
        "counts": counts,
    });
    if let Some(folder) = folder {
        publish(folder, &rekeyed.written, &report)?;
    }
    if args.json {
        say(&report)?;
    } else {
        say(texts::results(counts))?;
        if let Some(folder) = folder {
            say(format_args!("\n{}", texts::files(&rekeyed.written, folder.path(), args.format.pg_dump.as_deref())))?;
        }
    }
    if is_refused {
        return Ok(Status::Failure);
    }
    Ok(if counts.left() + counts.same_user > 0 { Status::Left } else { Status::Done })
}

fn refused(counts: &Counts, folder: &Folder) -> anyhow::Error {
    anyhow!(
        "{} of {} {} left, and --orphans fail writes no rows then: the reasons are in {}. Repair them, or give --orphans \
         report, which puts them into files of their own",
        count(counts.left()),
        counted(counts.read, "row"),
        if counts.left() == 1 { "is" } else { "are" },
        folder.file(LEFT).display(),
    )
}
