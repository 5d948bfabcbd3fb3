//! What the commands of other programs name: targets, packages, scripts, parameters.

use std::collections::BTreeSet;

use rollcall_cli::dev::tables::Tables;
use serde_json::Value;

use super::commands;
use super::markdown::Document;
use super::shell::Call;

/// What commands may name.
pub(super) struct Repository {
    tree: Vec<String>,
    makefile: String,
    template: serde_yaml_ng::Value,
    samconfig: String,
    /// What a shell knows: set by a document, by `make cloud`, or by itself.
    variables: BTreeSet<String>,
    /// What reads variables.
    sources: String,
    /// The settings of a stack on its usual ports.
    of_stack: [(&'static str, String); 8],
}

impl Repository {
    pub(super) fn read(tree: Vec<String>, documents: &[Document]) -> Repository {
        let blocks = documents.iter().flat_map(|document| &document.blocks).filter_map(commands::shown).flatten();
        let set = blocks.flat_map(|shown| shown.statement.calls).flat_map(|call| call.variables);
        let up = super::text("tests/cloud/up.py");
        let exported = up.split('"').filter(|word| is_constant(word)).map(str::to_owned);
        let is_source = |path: &&String| {
            let is_source = path.ends_with(".rs") || path.ends_with(".ts") || path.ends_with(".py");
            is_source && !path.starts_with("tests/it/documents/")
        };
        let names = Tables::default();
        Repository {
            of_stack: [
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:4402".to_owned()),
                ("CLERK_API_URL", "http://127.0.0.1:4401".to_owned()),
                ("CLERK_INSTANCE_ID", clerk_emulator::INSTANCE_ID.to_owned()),
                ("CLERK_SECRET_KEY", clerk_emulator::SECRET_KEY.to_owned()),
                ("CLERK_WEBHOOK_SECRET", clerk_emulator::WEBHOOK_SECRET.to_owned()),
                ("DIRECTORY_TABLE", names.directory),
                ("OPERATIONS_TABLE", names.operations),
                ("PROFILES_TABLE", names.profiles),
            ],
            variables: set.map(|(name, _)| name).chain(exported).collect(),
            sources: tree.iter().filter(is_source).map(|path| super::text(path)).collect(),
            makefile: super::text("Makefile"),
            template: serde_yaml_ng::from_str(&super::text("template.yaml")).unwrap(),
            samconfig: super::text("samconfig.toml"),
            tree,
        }
    }

    fn has(&self, section: &str, name: &str) -> bool {
        self.template[section].get(name).is_some()
    }

    /// Variables that nothing reads, and variables that nothing sets.
    pub(super) fn wrong_variables(&self, call: &Call) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, _) in call.variables.iter().filter(|(name, _)| is_constant(name)) {
            if !self.sources.contains(name.as_str()) && !self.makefile.contains(name.as_str()) {
                wrong.push(format!("nothing reads the variable {name}"));
            }
        }
        // Elsewhere a variable is for one command, which is run.
        for (name, value) in call.variables.iter().filter(|_| call.program() == "export") {
            let of_stack = self.of_stack.iter().find(|(known, _)| known == name);
            if of_stack.is_some_and(|(_, known)| known != value && !value.contains('…')) {
                wrong.push(format!("the local stack has another {name}"));
            }
        }
        for used in call.words.iter().flat_map(|word| word.split('$').skip(1)) {
            let end = used.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(used.len());
            let name = &used[..end];
            if name.starts_with(char::is_alphabetic) && !self.variables.contains(name) {
                wrong.push(format!("nothing sets the variable {name}"));
            }
        }
        wrong
    }

    pub(super) fn wrong_make(&self, call: &Call) -> Option<String> {
        let words = call.words.iter().skip(1).map(|word| word.trim_matches(['[', ']']));
        for word in words.filter(|word| !word.starts_with('-')) {
            match word.split_once('=') {
                Some((name, _)) if !self.makefile.contains(&format!("$({name})")) => {
                    return Some(format!("the Makefile has no variable {name}"));
                }
                Some(("ARGS", value)) => return self.wrong_arguments(&call.words, value),
                Some(_) => {}
                None => {
                    let rules = self.makefile.lines().filter(|line| !line.starts_with(['\t', '#', '.']));
                    let mut targets =
                        rules.filter_map(|line| line.split_once(':')).filter(|(_, rest)| !rest.starts_with('='));
                    if !targets.any(|(targets, _)| targets.split_whitespace().any(|target| target == word)) {
                        return Some(format!("the Makefile has no target {word}"));
                    }
                }
            }
        }
        None
    }

    /// What `ARGS` hands on. Those of `make dev` are looked at as arguments of `rollcall dev`.
    fn wrong_arguments(&self, words: &[String], value: &str) -> Option<String> {
        let of_target = |target: &str| words.iter().any(|word| word == target);
        match value.split_once(' ') {
            _ if value.contains('…') || of_target("dev") => None,
            Some(("-k", part)) if of_target("cloud-test") => {
                self.wrong_test("tests/cloud/", part, &format!("no test there has {part} in its name"))
            }
            None if of_target("bench") && super::text("tests/bench/src/main.rs").contains(&format!("\"{value}\"")) => {
                None
            }
            _ => Some(format!("these ARGS are not known: {value}")),
        }
    }

    fn wrong_test(&self, folder: &str, part: &str, message: &str) -> Option<String> {
        let in_folder = self.tree.iter().filter(|path| path.starts_with(folder));
        let files = in_folder.filter(|path| path.ends_with(".rs") || path.ends_with(".py"));
        let is_named = |text: &str| {
            let functions = text.split("fn ").skip(1).chain(text.split("def ").skip(1));
            functions.filter_map(|rest| rest.split(['(', '<']).next()).any(|name| name.contains(part))
        };
        let is_found = files.into_iter().any(|path| {
            let is_module = path.ends_with(".py") && path.contains(part);
            !path.starts_with("tests/it/documents/") && (is_module || is_named(&super::text(path)))
        });
        (!is_found).then(|| message.to_owned())
    }

    /// The folder of a package.
    fn package(&self, name: &str) -> Option<String> {
        let manifests = self.tree.iter().filter(|path| path.ends_with("/Cargo.toml"));
        let found =
            manifests.into_iter().find(|path| super::text(path).contains(&format!("[package]\nname = \"{name}\"")))?;
        found.strip_suffix("Cargo.toml").map(str::to_owned)
    }

    pub(super) fn wrong_cargo(&self, call: &Call) -> Option<String> {
        let own = call.words.iter().position(|word| word == "--").unwrap_or(call.words.len());
        let mut words = call.words[1..own].iter().map(String::as_str).peekable();
        let command = match words.next()? {
            "lambda" => words.next()?,
            command => command,
        };
        let (mut folder, mut test) = (String::new(), false);
        while let Some(word) = words.next() {
            match word {
                "-p" => {
                    let name = words.next()?;
                    let Some(found) = self.package(name) else { return Some(format!("there is no package {name}")) };
                    folder = found;
                }
                "--test" => {
                    let name = words.next()?;
                    let has_name =
                        super::text(&format!("{folder}Cargo.toml")).contains(&format!("[[test]]\nname = \"{name}\""));
                    if !has_name && !self.tree.contains(&format!("{folder}tests/{name}/main.rs")) {
                        return Some(format!("{folder} has no tests {name}"));
                    }
                    test = true;
                }
                "--path" => {
                    let path = words.next()?;
                    if !self.tree.contains(&format!("{path}/src/main.rs")) {
                        return Some(format!("{path} has no program"));
                    }
                }
                "--data-file" => drop(words.next()),
                "-q" | "--lib" | "--workspace" => {}
                word if word.starts_with('-') => return Some(format!("cargo's option {word} is not known here")),
                word if word.contains('…') => {}
                name if command == "invoke" => {
                    return self.package(name).is_none().then(|| format!("there is no package {name}"));
                }
                part if command == "test" => {
                    // The scenarios are in the folder of the tests; others are anywhere.
                    let folder = if test { folder.as_str() } else { "" };
                    let wrong = self.wrong_test(folder, part, &format!("no test has {part} in its name"));
                    if wrong.is_some() {
                        return wrong;
                    }
                }
                word => return Some(format!("cargo's argument {word} is not known here")),
            }
        }
        let is_known = ["check", "run", "test", "install", "watch", "invoke"].contains(&command);
        let is_run = command == "run" && !self.tree.contains(&format!("{folder}src/main.rs"));
        (!is_known || is_run).then(|| format!("there is nothing for cargo {command}"))
    }

    pub(super) fn wrong_npm(&self, call: &Call, document: &Document) -> Option<String> {
        let mut folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let mut words = call.words.iter().skip(1).map(String::as_str).peekable();
        if words.peek() == Some(&"--prefix") {
            let up = words.nth(1)?;
            let levels = up.matches("../").count();
            let kept = folder.split('/').count().checked_sub(levels)?;
            let kept: Vec<&str> = folder.split('/').take(kept).collect();
            folder = kept.into_iter().chain([up.trim_start_matches("../")]).collect::<Vec<_>>().join("/");
        }
        let package: Value = serde_json::from_str(&super::text(&format!("{folder}/package.json"))).unwrap();
        let has_script = |name: &str| package["scripts"][name].is_string();
        let named = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let is_there = match (words.next()?, words.next()) {
            ("ci", None) => self.tree.contains(&format!("{folder}/package-lock.json")),
            ("test", None) => has_script("test"),
            ("run", Some(name)) => has_script(name),
            ("pack", None) => package["files"].is_array(),
            // What `npm pack` makes, or the reader's own path.
            ("install", Some(file)) => {
                file == "…" || file.ends_with(&format!("/{}-{}.tgz", named("name"), named("version")))
            }
            _ => false,
        };
        (!is_there).then(|| format!("{folder}/package.json has no such command"))
    }

    pub(super) fn wrong_pip(&self, call: &Call) -> Option<String> {
        let required = super::text("tests/template/requirements-build.txt");
        let mut missing = call.words.iter().skip(2).filter(|name| !required.contains(&format!("{name}==")));
        missing.next().map(|name| format!("`make build` does not use {name}"))
    }

    pub(super) fn wrong_sam(&self, call: &Call) -> Option<String> {
        let (mut is_override, mut is_file) = (false, false);
        for word in call.words.iter().skip(1).filter(|word| *word != "…") {
            match word.as_str() {
                "build" | "deploy" | "--guided" => {}
                "--parameter-overrides" => is_override = true,
                "--config-file" => is_file = true,
                file if is_file => {
                    is_file = false;
                    if !self.tree.iter().any(|path| path == file) {
                        return Some(format!("there is no file {file}"));
                    }
                }
                word => match word.split_once('=').filter(|_| is_override) {
                    Some((name, _)) if self.has("Parameters", name) => {}
                    Some((name, _)) => return Some(format!("template.yaml has no parameter {name}")),
                    None => return Some(format!("sam's argument {word} is not known here")),
                },
            }
        }
        None
    }

    pub(super) fn wrong_aws(&self, call: &Call) -> Option<String> {
        let stack = self.samconfig.split("stack_name = \"").nth(1)?.split('"').next()?;
        let mut words = call.words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            if let Some((_, output)) = word.split_once("OutputKey=='") {
                let output = output.split('\'').next()?;
                if !self.has("Outputs", output) {
                    return Some(format!("template.yaml has no output {output}"));
                }
            }
            let wrong = match word.strip_prefix("/aws/lambda/") {
                Some(group) if !group.contains('$') => {
                    let function = group.strip_prefix(&format!("{stack}-"));
                    function.is_none_or(|function| !self.tree.contains(&format!("functions/{function}/")))
                }
                // Another stack may stand beside it.
                _ if word == "--stack-name" => words
                    .next()
                    .and_then(|name| name.strip_prefix(stack))
                    .is_none_or(|it| !it.is_empty() && !it.starts_with('-')),
                _ => false,
            };
            if wrong {
                return Some(format!("the stack of samconfig.toml has another name, or no such function: {word}"));
            }
        }
        None
    }

    /// A comment `output X` beside a command says what to put into it.
    pub(super) fn wrong_output(&self, comment: &str) -> Option<String> {
        let name = comment.strip_prefix("output ")?;
        (!self.has("Outputs", name)).then(|| format!("template.yaml has no output {name}"))
    }
}

fn is_constant(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// What another stack imports by name in a document, with the name of the stack of samconfig.toml.
#[test]
fn what_a_document_imports_is_exported_by_the_template() {
    let tree = super::tree();
    let documents = super::documents(&tree);
    let repository = Repository::read(tree, &documents);
    let stack = repository.samconfig.split("stack_name = \"").nth(1).unwrap().split('"').next().unwrap();
    let outputs = repository.template["Outputs"].as_mapping().unwrap().values();
    let exports = outputs.filter_map(|output| match &output["Export"]["Name"] {
        serde_yaml_ng::Value::Tagged(sub) => Some(sub.value.as_str()?.replace("${AWS::StackName}", stack)),
        _ => None,
    });
    let exports: BTreeSet<String> = exports.collect();
    let (mut found, mut problems) = (0, Vec::new());
    for document in &documents {
        let blocks = document.blocks.iter().map(|block| (block.line, &block.text));
        for (line, text) in blocks.chain(document.spans.iter().map(|span| (span.line, &span.text))) {
            let imports = ["importValue(\"", "ImportValue "].iter().flat_map(|call| text.split(call).skip(1));
            for name in imports.filter_map(|rest| rest.split(['"', ' ', '\n', '`']).next()) {
                found += 1;
                if !exports.contains(name) {
                    problems.push(format!("{}:{line}: template.yaml does not export {name}", document.path));
                }
            }
        }
    }
    super::assert_none(&problems);
    assert!(found > 0, "no document imports a value");
}
