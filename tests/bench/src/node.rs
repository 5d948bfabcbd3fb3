//! The same handlers on Node.js: installed from their lock file, bundled, and run like the functions themselves.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Where the handlers are, one for each function, with their lock file.
pub(crate) const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node");
const LOCK: &str = "package-lock.json";
/// Written once everything is installed; its content is the lock file that was.
const INSTALLED: &str = "node_modules/.installed";
const BUNDLES: &str = "bundles";

/// A Node.js with the handlers.
pub(crate) struct Baseline {
    /// The interpreter itself, not a script that finds it: that would be measured, too.
    pub(crate) path: PathBuf,
    /// As `v24.1.0`.
    pub(crate) version: String,
    bundles: PathBuf,
}

impl Baseline {
    /// A function's handler, its dependencies and its Runtime API loop in one file.
    pub(crate) fn bundle(&self, function: &str) -> PathBuf {
        self.bundles.join(format!("{function}.mjs"))
    }
}

/// Installs and bundles the handlers in `folder`; nothing if this machine has no Node.js or no npm.
///
/// # Errors
///
/// If there are both, but the handlers cannot be installed or bundled.
pub(crate) fn prepare(folder: &Path, functions: &[&str]) -> anyhow::Result<Option<Baseline>> {
    let Some(path) = answer(&mut node("process.execPath")) else { return Ok(None) };
    let Some(version) = answer(&mut node("process.version")) else { return Ok(None) };
    if answer(Command::new("npm").arg("--version")).is_none() {
        return Ok(None);
    }
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    for entry in std::fs::read_dir(SOURCES).with_context(|| SOURCES.to_owned())? {
        let source = entry?;
        if source.file_type()?.is_file() {
            let copied = std::fs::copy(source.path(), folder.join(source.file_name()));
            copied.with_context(|| source.path().display().to_string())?;
        }
    }
    let lock = std::fs::read_to_string(folder.join(LOCK)).context(LOCK)?;
    if std::fs::read_to_string(folder.join(INSTALLED)).ok().as_ref() != Some(&lock) {
        run(folder, "npm", &["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
        std::fs::write(folder.join(INSTALLED), lock)?;
    }
    // The packages' modules and not their CommonJS: only of those can the bundler leave out what is not used, and a third less code
    // starts faster.
    let output = format!("--outdir={BUNDLES}");
    let banner = "--banner:js=import{createRequire}from'node:module';const require=createRequire(import.meta.url);";
    let mut arguments = vec!["node_modules/esbuild/bin/esbuild"];
    let handlers: Vec<String> = functions.iter().map(|function| format!("{function}.js")).collect();
    arguments.extend(handlers.iter().map(String::as_str));
    arguments.extend(["--bundle", "--minify", &output, "--out-extension:.js=.mjs", banner]);
    arguments.extend(["--platform=node", "--target=node20", "--format=esm", "--main-fields=module,main"]);
    arguments.push("--log-level=warning");
    run(folder, &path, &arguments)?;
    Ok(Some(Baseline { path: path.into(), version, bundles: folder.join(BUNDLES) }))
}

fn node(expression: &str) -> Command {
    let mut command = Command::new("node");
    command.args(["-p", expression]);
    command
}

/// What a command prints, if it can be run.
fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Standard output belongs to the measurements.
fn run(folder: &Path, program: impl AsRef<OsStr>, arguments: &[&str]) -> anyhow::Result<()> {
    let name = arguments.first().copied().unwrap_or_default();
    let output = Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("running {name}"))?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{name} ended with {} in {}", output.status, folder.display());
    Ok(())
}
