//! Finds a local stack among those that run on this machine.

use std::path::Path;

use anyhow::{Context, bail};

use crate::Usage;
use crate::args::{DEFAULT_PORT, LocalArgs};
use crate::dev::record::{self, Record};

/// Reads the records and selects one.
///
/// # Errors
///
/// If no stack fits, or several do.
pub(crate) fn find(args: &LocalArgs, folder: Option<&Path>) -> anyhow::Result<Record> {
    let Some(folder) = folder else {
        bail!("no local stack can be found: set HOME or XDG_RUNTIME_DIR, as when `rollcall dev` was started");
    };
    let running =
        record::running(folder).with_context(|| format!("reading the local stacks in {}", folder.display()))?;
    // The stack recorded the absolute path.
    let data = args.data.as_deref().map(Path::canonicalize);
    let data = data.transpose().context("the folder of --data")?;
    select(running, args.port, data.as_deref())
}

fn select(mut running: Vec<Record>, port: Option<u16>, data: Option<&Path>) -> anyhow::Result<Record> {
    let named = port.is_some() || data.is_some();
    let fits = |record: &Record| {
        port.is_none_or(|port| record.port() == Some(port))
            && data.is_none_or(|data| record.data.as_deref() == Some(data))
    };
    let at = if named || running.len() == 1 {
        running.iter().position(fits)
    } else {
        running.iter().position(|record| record.port() == Some(DEFAULT_PORT))
    };
    if let Some(at) = at {
        return Ok(running.swap_remove(at));
    }
    if running.is_empty() {
        bail!("no local stack is running: start one with `rollcall dev`");
    }
    let all = running.iter().map(|record| {
        let port = record.port().unwrap_or_default();
        let data = record.data.as_ref().map(|data| format!("  --data {}", data.display())).unwrap_or_default();
        format!("\n  --port {port}{data}")
    });
    let problem = if named { "no local stack fits" } else { "several local stacks are running" };
    bail!(Usage(format!("{problem}: choose one of{}", all.collect::<String>())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dev::stack::Addresses;

    fn record(port: u16, data: Option<&str>) -> Record {
        let addresses = Addresses { api: format!("http://127.0.0.1:{port}"), ..Addresses::default() };
        let data = data.map(Into::into);
        let version = String::new();
        Record { process: 1, version, data, addresses, settings: BTreeMap::new(), rate_limits: false, log: None }
    }

    #[test]
    fn the_stack_is_found_by_port_or_folder_and_none_is_guessed() {
        let found = |running: &[Record], port, data: Option<&str>| {
            select(running.to_vec(), port, data.map(Path::new)).map(|record| record.port().unwrap())
        };
        let (usual, first, second) = (record(DEFAULT_PORT, None), record(1001, Some("/a")), record(1002, Some("/b")));
        assert_eq!(found(std::slice::from_ref(&first), None, None).unwrap(), 1001);
        assert_eq!(found(&[first.clone(), usual], None, None).unwrap(), DEFAULT_PORT);
        let two = [first, second];
        assert_eq!(found(&two, Some(1002), None).unwrap(), 1002);
        assert_eq!(found(&two, None, Some("/a")).unwrap(), 1001);
        let several = found(&two, None, None).unwrap_err().to_string();
        assert_eq!(
            several,
            "several local stacks are running: choose one of\n  --port 1001  --data /a\n  --port 1002  --data /b"
        );
        assert!(found(&two, Some(7), None).unwrap_err().to_string().starts_with("no local stack fits: choose one of"));
        assert!(found(&[], None, None).unwrap_err().to_string().contains("start one with `rollcall dev`"));
    }
}
