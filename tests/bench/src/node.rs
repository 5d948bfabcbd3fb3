//! The same handlers on Node.js: installed from their lock file, bundled, and run like the functions themselves.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

const SOURCES: [(&str, &str); 10] = [
    ("package.json", include_str!("../node/package.json")),
    ("package-lock.json", include_str!("../node/package-lock.json")),
    (".npmrc", include_str!("../node/.npmrc")),
    ("attributes.js", include_str!("../node/attributes.js")),
    ("ensure-profile.js", include_str!("../node/ensure-profile.js")),
    ("internal-id.js", include_str!("../node/internal-id.js")),
    ("react.js", include_str!("../node/react.js")),
    ("reconcile.js", include_str!("../node/reconcile.js")),
    ("runtime.js", include_str!("../node/runtime.js")),
    ("webhook.js", include_str!("../node/webhook.js")),
];
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
pub(crate) fn prepare(folder: &Path) -> anyhow::Result<Option<Baseline>> {
    let Some(path) = answer(&mut node("process.execPath")) else { return Ok(None) };
    let Some(version) = answer(&mut node("process.version")) else { return Ok(None) };
    if answer(Command::new("npm").arg("--version")).is_none() {
        return Ok(None);
    }
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    for (name, content) in SOURCES {
        std::fs::write(folder.join(name), content).with_context(|| name.to_owned())?;
    }
    let lock = SOURCES[1].1;
    if std::fs::read_to_string(folder.join(INSTALLED)).ok().as_deref() != Some(lock) {
        run(folder, "npm", &["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
        std::fs::write(folder.join(INSTALLED), lock)?;
    }
    // The packages' modules and not their CommonJS: only of those can the bundler leave out what is not used, and a third less code
    // starts faster.
    let output = format!("--outdir={BUNDLES}");
    let banner = "--banner:js=import{createRequire}from'node:module';const require=createRequire(import.meta.url);";
    let mut arguments = vec!["node_modules/esbuild/bin/esbuild"];
    arguments.extend(["webhook.js", "ensure-profile.js", "react.js", "reconcile.js"]);
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
