//! Which value of a setting counts: that of the deployment, or the one of `--override`. A variable in the shell never
//! counts; one that contradicts the deployment is an error, because its owner expects that it counts.

use std::fmt;
use std::str::FromStr;

use rollcall::settings::account::ROLE_POINTER;
use rollcall::settings::variables::{Source, Variable};

/// One `--override`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    variable: &'static Variable,
    /// `None`: the value of the variable in the shell.
    value: Option<String>,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Override, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let variable = variables().find(|variable| variable.name == name);
        let variable = variable.ok_or_else(|| {
            format!("{name} is no setting of the reconcile function: see the names with `rollcall settings`")
        })?;
        if variable.source == Source::Secret && value.is_some() {
            return Err(format!(
                "a secret in the arguments can be read in the list of processes: set the variable {name} in the shell, and \
                 pass --override {name}"
            ));
        }
        if value.as_deref() == Some("") {
            return Err(format!("--override {name}= has no value"));
        }
        Ok(Override { variable, value })
    }
}

impl Override {
    pub(in crate::operator) fn name(&self) -> &'static str {
        self.variable.name
    }

    /// The value that counts.
    ///
    /// # Errors
    ///
    /// If the value of the shell is wanted, and the shell has none.
    pub(super) fn value(&self, shell: impl Fn(&str) -> Option<String>) -> Result<String, String> {
        let name = self.name();
        let given = self.value.clone().or_else(|| shell(name));
        given.ok_or_else(|| format!("--override {name}: the shell has no variable {name}; write {name}=VALUE"))
    }
}

impl fmt::Display for Override {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match &self.value {
            // A secret is not repeated in an advice.
            Some(value) if self.variable.source == Source::Environment => {
                write!(out, "--override '{name}={}'", value.replace('\'', r"'\''"))
            }
            _ => write!(out, "--override {name}"),
        }
    }
}

/// The settings of the operator's commands: those of the reconcile function, and the place of a user's role, which
/// set-role writes.
pub(super) fn variables() -> impl Iterator<Item = &'static Variable> {
    static POINTER: Variable = ROLE_POINTER;
    reconcile::FUNCTION.variables().chain([&POINTER])
}

/// A variable in the shell that contradicts the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    variable: &'static Variable,
    shell: String,
    deployed: Option<String>,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.variable.name;
        if self.variable.source == Source::Secret {
            return write!(out, "{name}: the shell and the deployment have different values (a secret is not shown)");
        }
        let deployed = match (&self.deployed, self.variable.default) {
            (Some(deployed), _) => deployed.clone(),
            (None, Some(default)) => format!("{default} (the default)"),
            (None, None) => "not set".to_owned(),
        };
        write!(out, "{name}: the shell says {}, the deployment says {deployed}", self.shell)
    }
}

/// The variables in the shell that contradict the deployment and are not overridden. A secret that the command does not
/// read (`knows_secrets`) cannot be compared, nor can the place of the role if only the reconcile function is known
/// (`knows_pointer`).
pub(super) fn contradictions(
    shell: impl Fn(&str) -> Option<String>,
    deployed: impl Fn(&str) -> Option<String>,
    overrides: &[Override],
    knows_secrets: bool,
    knows_pointer: bool,
) -> Vec<Contradiction> {
    let considered = variables().filter(|variable| knows_secrets || variable.source == Source::Environment);
    let considered = considered.filter(|variable| knows_pointer || variable.name != ROLE_POINTER.name);
    let considered = considered.filter(|variable| overrides.iter().all(|given| given.name() != variable.name));
    let contradicts = |variable: &'static Variable| {
        let (shell, deployed) = (shell(variable.name)?, deployed(variable.name));
        let counts = deployed.as_deref().or(variable.default);
        (counts != Some(&shell)).then_some(Contradiction { variable, shell, deployed })
    };
    considered.filter_map(contradicts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Values = &'static [(&'static str, &'static str)];

    fn lookup(values: Values) -> impl Fn(&str) -> Option<String> {
        move |name| values.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
    }

    fn found(shell: Values, deployed: Values, overrides: &[&str]) -> Vec<String> {
        let overrides: Vec<Override> = overrides.iter().map(|text| text.parse().unwrap()).collect();
        let found = contradictions(lookup(shell), lookup(deployed), &overrides, true, true);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fault_a3_both_values_are_named() {
        let deployed: Values = &[("DELETION_POLICY", "purge"), ("CLERK_SECRET_KEY", "sk_test_right")];
        let of = |shell| found(shell, deployed, &[]);
        assert_eq!(of(&[]), [""; 0]);
        assert_eq!(of(&[("DELETION_POLICY", "purge"), ("PATH", "/bin"), ("SIGN_IN_URL", "x")]), [""; 0]);
        assert_eq!(
            of(&[("DELETION_POLICY", "retain")]),
            ["DELETION_POLICY: the shell says retain, the deployment says purge"]
        );
        // The default counts where the deployment has no value.
        assert_eq!(of(&[("RECONCILE_POLICY", "repair")]), [""; 0]);
        assert_eq!(
            of(&[("RECONCILE_POLICY", "report")]),
            ["RECONCILE_POLICY: the shell says report, the deployment says repair (the default)"]
        );
        assert_eq!(
            of(&[("ROLE_POINTER", "/app/role")]),
            ["ROLE_POINTER: the shell says /app/role, the deployment says /role (the default)"]
        );
        assert_eq!(of(&[("BACKUP_BUCKET", "b")]), ["BACKUP_BUCKET: the shell says b, the deployment says not set"]);
    }

    #[test]
    fn a_secret_is_compared_but_not_shown() {
        let of = |shell, knows| {
            contradictions(lookup(shell), lookup(&[("CLERK_SECRET_KEY", "sk_test_right")]), &[], knows, true)
        };
        let wrong: Values = &[("CLERK_SECRET_KEY", "sk_test_wrong")];
        let text = of(wrong, true)[0].to_string();
        assert!(text.starts_with("CLERK_SECRET_KEY: ") && !text.contains("sk_test"), "{text}");
        assert!(of(wrong, false).is_empty() && of(&[("CLERK_SECRET_KEY", "sk_test_right")], true).is_empty());
        let given: Override = "CLERK_SECRET_KEY".parse().unwrap();
        assert_eq!(given.to_string(), "--override CLERK_SECRET_KEY");
        let refused = "CLERK_SECRET_KEY=sk_test_other".parse::<Override>().unwrap_err();
        assert!(refused.contains("--override CLERK_SECRET_KEY") && !refused.contains("sk_test"), "{refused}");
    }

    #[test]
    fn an_override_ends_the_contradiction() {
        let shell: Values = &[("DELETION_POLICY", "retain"), ("MIRROR", "off")];
        assert_eq!(found(shell, &[], &["DELETION_POLICY=retain", "MIRROR"]), [""; 0]);
        let given: Override = "MIRROR".parse().unwrap();
        assert_eq!(given.value(lookup(shell)), Ok("off".to_owned()));
        assert!(given.value(lookup(&[])).unwrap_err().contains("the shell has no variable MIRROR"));
        let given: Override = "ROLES=it's".parse().unwrap();
        assert_eq!(given.to_string(), r"--override 'ROLES=it'\''s'");
        for wrong in ["", "PATH=x", "=x", "SIGN_IN_URL=x", "MIRROR="] {
            assert!(wrong.parse::<Override>().is_err(), "{wrong}");
        }
    }
}
