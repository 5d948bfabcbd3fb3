//! What the codes of reasons mean, for the results that `rekey` and `rekey-table` print.

/// The code of a reason with its meaning. A code of DynamoDB stands for itself.
pub(super) fn explained(reason: &str) -> String {
    match meaning(reason) {
        Some(meaning) => format!("  {reason}: {meaning}"),
        None => format!("  {reason}: the code of DynamoDB's answer"),
    }
}

fn meaning(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "missing" => "the reference is absent, null or empty",
        "not_an_id" => "the value has a type that is no id",
        "unknown_id" => "no old user has this id",
        "no_user" => "the old user has no user in Clerk",
        "ambiguous" => "it is unclear which user in Clerk the old user is",
        "row_refused" => "the row of the old user was refused, so its user in Clerk is not known",
        "deleted" => "the old system had deleted the user",
        "other_value" => "the new field has another value",
        "same_user" => "another row refers to the same user",
        "no_id" => "the row has no id, which a patch needs",
        "in_list" => "the reference is in a list of maps",
        "no_key_for_the_new_table" => "the row has no value for the key of the new table",
        "key_of_several_rows" => "another row would have the same key in the new table",
        "other_row" => "the new table has another row with this key",
        "changes_too_often" => "the row changed four times meanwhile",
        _ => return None,
    })
}
