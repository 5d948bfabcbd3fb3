//! Numbers in sentences.

/// A number of things, such as `1 row` or `2 rows`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_has_no_s() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "old user")), ["0 old users", "1 old user", "2 old users"]);
    }
}
