//! The checks of `rollcall doctor`: each one decides about facts that were read before.
//!
//! [`settings`] compares settings with one another, [`stack`] judges the deployment, [`alarms`] the alarms and their
//! topics, [`executions`] what the schedule started, [`tables`] the tables, and [`condition`] the state of the copy: runs,
//! events, quarantine, due purges.

pub mod alarms;
pub mod condition;
pub mod executions;
pub mod settings;
pub mod stack;
pub mod tables;

use serde::Serialize;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// It works, but something may go wrong.
    Warning,
    /// Something does not work.
    Problem,
    /// The facts could not be read.
    NotChecked,
    /// The deployment has no such part.
    NotApplicable,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    pub result: Verdict,
    /// What is the case, in a sentence.
    pub message: String,
    /// What causes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The command or the setting that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { check, result: Verdict::Ok, message: message.into(), cause: None, mend: None }
    }

    pub fn not_applicable(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { result: Verdict::NotApplicable, ..Finding::ok(check, message) }
    }

    pub fn warning(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { result: Verdict::Warning, ..Finding::ok(check, message) }
    }

    pub fn problem(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { result: Verdict::Problem, ..Finding::ok(check, message) }
    }

    pub fn not_checked(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { result: Verdict::NotChecked, ..Finding::ok(check, message) }
    }

    #[must_use]
    pub fn cause(self, cause: impl Into<String>) -> Finding {
        Finding { cause: Some(cause.into()), ..self }
    }

    #[must_use]
    pub fn mend(self, mend: impl Into<String>) -> Finding {
        Finding { mend: Some(mend.into()), ..self }
    }

    /// Whether there is something to mend.
    pub fn is_found(&self) -> bool {
        matches!(self.result, Verdict::Warning | Verdict::Problem)
    }
}

/// What all checks found together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Nothing is to be mended.
    Sound,
    /// Something is to be mended.
    Found,
    /// Nothing was found, but not every check could look.
    Unseen,
}

/// What all checks found together. A finding counts more than a check that could not look.
pub fn conclusion(findings: &[Finding]) -> Conclusion {
    if findings.iter().any(Finding::is_found) {
        Conclusion::Found
    } else if findings.iter().any(|finding| finding.result == Verdict::NotChecked) {
        Conclusion::Unseen
    } else {
        Conclusion::Sound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_counts_more_than_a_check_that_could_not_look() {
        let (ok, none) = (Finding::ok("x", ""), Finding::not_applicable("x", ""));
        let (warning, unseen) = (Finding::warning("x", ""), Finding::not_checked("x", ""));
        assert_eq!(conclusion(&[ok.clone(), none.clone()]), Conclusion::Sound);
        assert_eq!(conclusion(&[ok, unseen.clone()]), Conclusion::Unseen);
        assert_eq!(conclusion(&[unseen, warning, none]), Conclusion::Found);
    }
}
