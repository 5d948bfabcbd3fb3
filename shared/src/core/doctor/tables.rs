//! Whether the tables are what they are called, and whether they are protected.

use super::Finding;

const TABLES: &str = "tables";
const PROTECTION: &str = "table-protection";

/// How a table is protected, as DynamoDB describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// Encrypted with a key of KMS, so that each use of the key is recorded. DynamoDB's own encryption is always on.
    pub has_kms_key: bool,
    pub has_point_in_time_recovery: bool,
    /// The table cannot be deleted by accident.
    pub has_deletion_protection: bool,
}

/// `problems` are those of the shapes, each with the variable and the table.
pub fn shapes(problems: &[String]) -> Vec<Finding> {
    if problems.is_empty() {
        return vec![Finding::ok(TABLES, "the three tables have the keys, the index and the stream of their kind")];
    }
    let found = problems.iter().map(|problem| {
        Finding::problem(TABLES, problem.clone())
            .cause("the setting names another table, or the table was created by another program")
            .mend("correct the name, or create the table as template.yaml does; until then no command writes")
    });
    found.collect()
}

/// The protection of one table. `variable` is the setting that names it.
pub fn protection(variable: &str, table: &str, found: Protection) -> Option<Finding> {
    let lacks = [
        (found.has_kms_key, "encryption with a key of KMS (SSEEnabled)"),
        (found.has_point_in_time_recovery, "point-in-time recovery"),
        (found.has_deletion_protection, "deletion protection"),
    ];
    let lacking: Vec<&str> = lacks.into_iter().filter(|(has, _)| !has).map(|(_, what)| what).collect();
    (!lacking.is_empty()).then(|| {
        Finding::warning(PROTECTION, format!("{variable} names {table}: the table lacks {}", lacking.join(", ")))
            .cause("the table was changed by hand, or is not created by template.yaml")
            .mend("deploy template.yaml again, or set the same properties where the table is created")
    })
}

/// What is said if [`protection`] finds nothing.
pub fn protected() -> Finding {
    Finding::ok(PROTECTION, "the tables are encrypted, recoverable and protected against deletion")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::doctor::Verdict;

    #[test]
    fn each_protection_that_a_table_lacks_is_named() {
        let whole = Protection { has_kms_key: true, has_point_in_time_recovery: true, has_deletion_protection: true };
        assert_eq!(protection("PROFILES_TABLE", "p", whole), None);
        for (lacking, expected) in [
            (Protection { has_kms_key: false, ..whole }, "encryption"),
            (Protection { has_point_in_time_recovery: false, ..whole }, "point-in-time recovery"),
            (Protection { has_deletion_protection: false, ..whole }, "deletion protection"),
        ] {
            let finding = protection("PROFILES_TABLE", "p", lacking).unwrap();
            assert_eq!(finding.result, Verdict::Warning);
            assert!(finding.message.ends_with(expected) || finding.message.contains(expected), "{}", finding.message);
        }
        assert_eq!(shapes(&[])[0].result, Verdict::Ok);
        assert_eq!(shapes(&["x".to_owned()])[0].result, Verdict::Problem);
    }
}
