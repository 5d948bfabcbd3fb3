//! Which targets a table cannot have, and what a new table lacks.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::ScalarAttributeType;
use rollcall::adapters::dynamo::application::Description;

use crate::references::Reference;

/// Whether a text is a name of a table, and no ARN.
pub fn is_table_name(text: &str) -> bool {
    (3..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn target(reference: &Reference) -> String {
    match reference.field.rsplit_once('.') {
        Some((around, _)) => format!("{around}.{}", reference.target),
        None => reference.target.clone(),
    }
}

/// What is wrong with the references themselves.
pub fn overlap(references: &[Reference]) -> Option<String> {
    let mut targets = BTreeSet::new();
    for reference in references {
        let target = target(reference);
        if references.iter().any(|other| other.field == target || other.field.starts_with(&format!("{target}."))) {
            return Some(format!("the new field {target} is the old field of another --reference"));
        }
        if !targets.insert(target.clone()) {
            return Some(format!("two references have the new field {target}: write FIELD=NEW_FIELD for each"));
        }
    }
    None
}

/// Why a table cannot have the targets of the references as new attributes.
pub fn problem(table: &Description, references: &[Reference]) -> Option<String> {
    for target in references.iter().map(target) {
        if table.key.contains(&target) {
            return Some(format!(
                "{target} is in the key of the table, and DynamoDB changes no key: create a table with the new key, and \
                 copy the rows with --into"
            ));
        }
        if let Some(problem) = wrong_type(table, &target) {
            return Some(problem);
        }
    }
    None
}

/// Why a new table cannot take the rows.
pub fn problem_of_new(new: &Description, references: &[Reference]) -> Option<String> {
    let targets: Vec<String> = references.iter().map(target).collect();
    if !targets.iter().any(|target| new.key.contains(target)) {
        return Some(format!(
            "no new field ({}) is in the key of the new table ({}): leave out --into to write the fields into the table \
             itself",
            targets.join(", "),
            new.key.join(", ")
        ));
    }
    targets.iter().find_map(|target| wrong_type(new, target))
}

fn wrong_type(table: &Description, target: &str) -> Option<String> {
    let kind = table.types.get(target).filter(|kind| **kind != ScalarAttributeType::S)?;
    Some(format!("{target} is in a key or an index as {kind}: a Clerk id is text (S)"))
}

/// What the old table has and the new one lacks.
pub fn lacks(old: &Description, old_ttl: Option<&str>, new: &Description, new_ttl: Option<&str>) -> Vec<String> {
    let mut lacks = Vec::new();
    if let Some(attribute) = old_ttl.filter(|old| Some(*old) != new_ttl) {
        lacks.push(format!("time to live on {attribute}: rows that are due stay"));
    }
    for (name, key) in old.indexes.iter().filter(|(_, key)| !new.indexes.iter().any(|(_, other)| other == key)) {
        lacks.push(format!("index {name} ({})", key.join(", ")));
    }
    lacks
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn table(key: &[&str], indexes: &[(&str, &[&str])], types: &[(&str, ScalarAttributeType)]) -> Description {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Description {
            key: texts(key),
            types: types.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect::<HashMap<_, _>>(),
            indexes: indexes.iter().map(|(name, key)| ((*name).to_owned(), texts(key))).collect(),
            items: 0,
            bytes: 0,
        }
    }

    fn references(texts: &[&str]) -> Vec<Reference> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a2_targets_overlap_neither_each_other_nor_a_reference() {
        for (texts, problem) in [
            (&["user_id", "coach_id"][..], Some("two references have the new field clerk_user_id")),
            (&["user_id=a", "a=b"], Some("a is the old field")),
            (&["user_id=a", "a.b=c"], Some("a is the old field")),
            (&["user_id", "coach_id=clerk_coach_id"], None),
            (&["user_id", "meta.user_id"], None),
        ] {
            let found = overlap(&references(texts));
            match problem {
                Some(problem) => assert!(found.unwrap().contains(problem), "{texts:?}"),
                None => assert_eq!(found, None, "{texts:?}"),
            }
        }
    }

    #[test]
    fn a2_a_key_cannot_be_a_target_nor_a_key_of_an_index_that_is_no_text() {
        let s = ScalarAttributeType::S;
        let n = ScalarAttributeType::N;
        let table = table(
            &["pk", "clerk"],
            &[("by", &["number"]), ("by_user", &["text"])],
            &[("pk", s.clone()), ("clerk", s.clone()), ("number", n), ("text", s)],
        );
        let problem = |text: &str| problem(&table, &references(&[text]));
        assert!(problem("user_id=clerk").unwrap().contains("--into"));
        assert!(problem("user_id=number").unwrap().contains("as N"));
        // The names of the key are those of attributes, not of what is in a map.
        for text in ["user_id=text", "user_id=free", "meta.user_id=clerk", "meta.user_id=number"] {
            assert_eq!(problem(text), None, "{text}");
        }
        assert_eq!(problem_of_new(&table, &references(&["user_id=clerk"])), None);
        assert!(problem_of_new(&table, &references(&["user_id=other"])).unwrap().contains("leave out --into"));
    }

    #[test]
    fn a2_a_new_table_may_lack_indexes_and_the_time_to_live() {
        let old = table(&["pk"], &[("a", &["x"]), ("b", &["y", "z"])], &[]);
        let new = table(&["clerk"], &[("other_name", &["x"])], &[]);
        let found = lacks(&old, Some("expires"), &new, None);
        assert_eq!(found, ["time to live on expires: rows that are due stay", "index b (y, z)"]);
        assert_eq!(lacks(&old, Some("expires"), &old, Some("expires")), Vec::<String>::new());
    }

    #[test]
    fn a2_an_arn_is_no_name() {
        for (text, is_name) in [("app-notes_1.x", true), ("ab", false), ("arn:aws:dynamodb:x:1:table/y", false)] {
            assert_eq!(is_table_name(text), is_name, "{text}");
        }
    }
}
