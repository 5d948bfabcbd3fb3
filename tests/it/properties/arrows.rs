//! The house: which module of the shared crate may use which. Arrows point from services to adapters to settings to
//! core, never back, and neither modules nor folders go round in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the bottom up: each may use itself and those before it.
const FLOORS: [&str; 4] = ["core", "settings", "adapters", "services"];

type Module = Vec<String>;
type Arrows = BTreeMap<Module, BTreeSet<Module>>;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn modules() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src");
    let mut found = Vec::new();
    files(&root, &mut found);
    let module = |path: &PathBuf| {
        let parts = path.strip_prefix(&root).unwrap().with_extension("");
        let parts = parts.iter().map(|part| part.to_str().unwrap().to_owned());
        let module: Module = parts.filter(|part| part != "mod" && part != "lib").collect();
        let text = fs::read_to_string(path).unwrap();
        // A test may use what it tests with.
        let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        (module, code.join("\n"))
    };
    found.iter().map(module).collect()
}

/// Imports of several names, spread: `a::{b, c}` becomes `a::b a::c`. No import here has braces within braces.
fn spread(text: &str) -> String {
    let mut spread = String::new();
    let mut left = text;
    while let Some((before, after)) = left.split_once("::{") {
        let (names, rest) = after.split_once('}').unwrap();
        let start = before.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).map_or(0, |at| at + 1);
        let (code, prefix) = before.split_at(start);
        spread.push_str(code);
        names.split(',').for_each(|name| spread.extend([prefix, "::", name.trim(), " "]));
        left = rest;
    }
    spread + left
}

/// Every path in a text that begins with `crate` or `super`, from the root on.
fn paths(module: &Module, text: &str) -> Vec<Module> {
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let text = spread(text);
    let words = text.split(|c: char| !is_of_path(c));
    let absolute = |word: &str| {
        let mut parts = word.split("::").filter(|part| !part.is_empty()).map(str::to_owned).peekable();
        let mut from = match parts.peek().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("super") => module.clone(),
            _ => return None,
        };
        while parts.peek().is_some_and(|part| part == "crate" || part == "super") {
            if parts.next().as_deref() == Some("super") {
                from.pop();
            }
        }
        from.extend(parts);
        Some(from)
    };
    words.filter_map(absolute).collect()
}

/// Which module uses which, as [`Module`]s cut to a number of names: 1 for floors, 2 for folders, all for files.
fn arrows(modules: &BTreeMap<Module, String>, depth: usize) -> Arrows {
    let cut = |module: &Module| module.iter().take(depth).cloned().collect::<Module>();
    let mut arrows = Arrows::new();
    for (module, text) in modules {
        for path in paths(module, text) {
            let longest =
                (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|it| modules.contains_key(it));
            let Some(used) = longest.filter(|used| !module.starts_with(used)) else { continue };
            let (from, to) = (cut(module), cut(&used));
            if from != to {
                arrows.entry(from).or_default().insert(to);
            }
        }
    }
    arrows
}

/// All that can be reached from a module.
fn reach(arrows: &Arrows, from: &Module) -> BTreeSet<Module> {
    let (mut reached, mut left) = (BTreeSet::new(), vec![from.clone()]);
    while let Some(module) = left.pop() {
        for next in arrows.get(&module).into_iter().flatten() {
            if reached.insert(next.clone()) {
                left.push(next.clone());
            }
        }
    }
    reached
}

#[test]
fn arrows_point_down_and_nothing_goes_round_in_a_circle() {
    let modules = modules();
    assert!(modules.len() > 80, "only {} modules were found", modules.len());
    let floor = |module: &Module| FLOORS.iter().position(|floor| module[0] == *floor);
    let floors = arrows(&modules, 1);
    assert!(floors.values().map(BTreeSet::len).sum::<usize>() >= 5, "hardly any arrow was found: {floors:?}");
    for (from, used) in &floors {
        for to in used.iter().filter(|_| !from.is_empty()) {
            assert!(floor(to) < floor(from), "{from:?} uses {to:?}");
        }
    }
    for depth in [2, usize::MAX] {
        let arrows = arrows(&modules, depth);
        let circles: Vec<&Module> = arrows.keys().filter(|module| reach(&arrows, module).contains(*module)).collect();
        assert!(circles.is_empty(), "these use each other: {circles:?}");
    }
}

/// A file that no `mod` names is not compiled: its tests would not run, and nobody would hear of it.
#[test]
fn every_file_below_tests_it_is_a_module() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("it");
    let mut found = Vec::new();
    files(&root, &mut found);
    assert!(found.len() > 50, "{found:?}");
    let main = root.join("main.rs");
    for path in found.iter().filter(|path| **path != main) {
        let module = if path.ends_with("mod.rs") { path.parent().unwrap() } else { path.as_path() };
        let folder = module.parent().unwrap();
        let parent = if folder == root { main.clone() } else { folder.join("mod.rs") };
        let name = module.file_stem().unwrap().to_str().unwrap();
        let declared = fs::read_to_string(&parent).unwrap_or_default();
        let is_declared = declared.lines().any(|line| line.ends_with(&format!("mod {name};")));
        assert!(is_declared, "{} has no `mod {name};` for {}", parent.display(), path.display());
    }
}
