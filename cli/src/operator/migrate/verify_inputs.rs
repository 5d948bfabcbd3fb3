//! What `rollcall migrate verify` reads: the files of the verify file, and the folder of the users' migration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use rollcall_migrate::folder::Run;
use rollcall_migrate::ids::{IdMap, MAP};
use rollcall_migrate::input::Options;
use rollcall_migrate::metadata::plan::{Job, Terms};
use rollcall_migrate::metadata::survey::Input;
use rollcall_migrate::verify::exceptions::Exceptions;
use rollcall_migrate::verify::request::{Request, Source};

/// What to do about a path that leads nowhere.
fn advice(file: &Path) -> String {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    format!("Correct the path: paths are relative to the folder of the verify file, {}", folder.display())
}

/// Looks whether the files can be opened, before tables are read and Clerk is asked. A backup that cannot is a finding.
///
/// # Errors
///
/// The place in the verify file, the path, the cause, and what to do.
pub(super) fn present(request: &Request, file: &Path) -> anyhow::Result<()> {
    let users = &request.users;
    let signed = users.exceptions.iter().map(|signed| ("users.exceptions".to_owned(), &signed.file));
    let files = users.files.iter().map(|path| ("users.files".to_owned(), path)).chain(signed);
    let collections = request.collections.iter().flat_map(|collection| {
        let paths: &[PathBuf] = if let Source::Files(paths) = &collection.source { paths } else { &[] };
        paths.iter().map(|path| (format!("collection {}, files", collection.name), path))
    });
    for (place, path) in files.chain(collections) {
        if let Err(error) = std::fs::File::open(path) {
            bail!("{}, {place}: {}: {error}. {}", file.display(), path.display(), advice(file));
        }
    }
    Ok(())
}

/// The migration of the users.
pub(super) struct Migrated {
    pub(super) run: Run,
    pub(super) job: Job,
    pub(super) exceptions: Exceptions,
    pub(super) map: Arc<IdMap>,
    pub(super) map_sha256: String,
}

impl Migrated {
    /// Opens its folder, for reading. The export must be the one that was migrated.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used.
    pub(super) fn open(request: &Request, file: &Path, instance: &str) -> anyhow::Result<Migrated> {
        let path = &request.users.folder;
        let text = std::fs::read(path.join("run.json")).with_context(|| {
            format!(
                "{}, users.folder: {} is no folder of `rollcall migrate metadata`. {}",
                file.display(),
                path.display(),
                advice(file)
            )
        })?;
        let run: Run = serde_json::from_slice(&text).with_context(|| format!("{}/run.json", path.display()))?;
        if run.command != "metadata" {
            bail!(
                "users.folder: {} is a folder of `rollcall migrate {}`, not of metadata",
                path.display(),
                run.command
            );
        }
        if run.instance != instance {
            bail!(
                "users.folder: {} belongs to the Clerk instance {}, and the deployment to {instance}: name the deployment \
                 of that instance, or make a map of this one with `rollcall migrate metadata` (--match-only without fields), \
                 and name its folder",
                path.display(),
                run.instance
            );
        }
        let terms: Terms = serde_json::from_str(&run.options)
            .with_context(|| format!("{}/run.json, options: another release of Rollcall wrote them", path.display()))?;
        let columns = vec![terms.mapping.legacy_id.clone()];
        let options = Options { format: request.users.format.clone(), columns, ..Options::default() };
        let input = Input { paths: request.users.files.clone(), options };
        let sha256 = digest(&input)?;
        if sha256 != run.input_sha256 {
            bail!(
                "users.files: the export has the SHA-256 {sha256}, and the one that was migrated in {} has {}: name the \
                 export that was migrated, or migrate this one first",
                path.display(),
                run.input_sha256
            );
        }
        let exceptions = request.users.exceptions.as_ref().map(Exceptions::read).transpose()?.unwrap_or_default();
        let map_sha256 = if path.join(MAP).exists() { self::sha256(&path.join(MAP))? } else { String::new() };
        let map = Arc::new(IdMap::read(path)?);
        Ok(Migrated { run, job: terms.job(input), exceptions, map, map_sha256 })
    }
}

/// The SHA-256 of files.
///
/// # Errors
///
/// If one cannot be read.
pub(super) fn digest(input: &Input) -> anyhow::Result<String> {
    let names = || input.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    input.digest().with_context(|| format!("reading {}", names()))
}

/// The SHA-256 of a file.
///
/// # Errors
///
/// If it cannot be read.
pub(super) fn sha256(path: &Path) -> anyhow::Result<String> {
    digest(&Input { paths: vec![path.to_owned()], options: Options::default() })
}
