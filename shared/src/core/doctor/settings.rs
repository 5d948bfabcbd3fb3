//! Settings that contradict one another, or come near a limit. A function alone cannot see most of these: it reads only
//! its own variables.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;

const POLICIES: &str = "policies";
const ALIKE: &str = "settings-alike";
const ENVIRONMENT: &str = "environment-size";
const SHARE: &str = "rate-share";

/// The most bytes of names and values of a function's variables. Source: AWS, "Lambda quotas", environment variables.
pub const ENVIRONMENT_LIMIT: usize = 4096;
/// From here on the next setting may be the one that does not fit, in bytes.
const ENVIRONMENT_NEAR: usize = ENVIRONMENT_LIMIT * 9 / 10;
/// The functions that send requests to Clerk, each with its own share.
const SHARING: u32 = 4;
/// A value of this many characters is shown.
const SHOWN: usize = 60;

/// A function, with the variables of Rollcall that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionSettings {
    pub name: String,
    pub variables: BTreeMap<String, String>,
    /// The bytes of the names and values of all variables.
    pub bytes: usize,
}

/// The policies that contradict one another. `lookup` has the value of a variable, or its default.
pub fn policies(lookup: &dyn Fn(&str) -> Option<String>) -> Vec<Finding> {
    let is = |name: &str, value: &str| lookup(name).as_deref() == Some(value);
    let set = |name: &str| lookup(name).is_some_and(|value| !value.trim().is_empty());
    let mut found = Vec::new();
    if is("RECONCILE_POLICY", "report") && !is("DELETION_POLICY", "retain") {
        let policy = lookup("DELETION_POLICY").unwrap_or_default();
        found.push(
            Finding::problem(POLICIES, format!("RECONCILE_POLICY=report contradicts DELETION_POLICY={policy}"))
                .cause("under `report` nothing may remove the data that the deletion policy says are removed")
                .mend("set DELETION_POLICY=retain (parameter DeletionPolicy), or RECONCILE_POLICY=repair"),
        );
    }
    if is("ENSURE_POLICY", "verify") && is("MIRROR", "off") {
        found.push(
            Finding::problem(POLICIES, "ENSURE_POLICY=verify contradicts MIRROR=off")
                .cause("without a copy there is nothing to verify, and ensure-profile does not start")
                .mend("set MIRROR=on (parameter Mirror), or ENSURE_POLICY=create"),
        );
    }
    if lookup("OWNED_TABLES").is_some_and(|list| !matches!(list.trim(), "" | "[]")) && !is("DELETION_POLICY", "purge") {
        let policy = lookup("DELETION_POLICY").unwrap_or_default();
        found.push(
            Finding::warning(POLICIES, format!("OWNED_TABLES has no effect under DELETION_POLICY={policy}"))
                .cause("only `purge` removes rows of owned tables")
                .mend("set DELETION_POLICY=purge (parameter DeletionPolicy), or OWNED_TABLES=[]"),
        );
    }
    if is("METADATA_WRITEBACK", "on") && is("MIRROR", "off") {
        found.push(
            Finding::warning(POLICIES, "METADATA_WRITEBACK=on has no effect under MIRROR=off")
                .cause("dbId and role are taken from the copied users, of which there are none")
                .mend("set METADATA_WRITEBACK=off (parameter MetadataWriteback), or MIRROR=on"),
        );
    }
    if !is("ROLE_POINTER", "/role") && set("ROLE_POINTER") && set("ROLES") && !is("ROLES", "admin,user") {
        let pointer = lookup("ROLE_POINTER").unwrap_or_default();
        found.push(
            Finding::warning(POLICIES, format!("ROLES has no effect on authorization under ROLE_POINTER={pointer}"))
                .cause("only the role at /role is limited to ROLES")
                .mend("check which roles your application asks for; set ROLE_POINTER=/role (parameter RolePointer) if they are ROLES"),
        );
    }
    if set("CLERK_JWT_KEY") && set("CLERK_JWKS_URL") {
        found.push(
            Finding::warning(POLICIES, "CLERK_JWKS_URL has no effect beside CLERK_JWT_KEY")
                .cause("with a key in the settings no keys are fetched; after Clerk rotates the key, sessions are rejected")
                .mend("remove CLERK_JWT_KEY or CLERK_JWKS_URL (parameters ClerkJwtKey, ClerkJwksUrl)"),
        );
    }
    let kind = |name: &str, prefix: &str| {
        let value = lookup(name)?;
        ["live", "test"].into_iter().find(|kind| value.starts_with(&format!("{prefix}_{kind}_")))
    };
    let (secret, publishable) = (kind("CLERK_SECRET_KEY", "sk"), kind("CLERK_PUBLISHABLE_KEY", "pk"));
    if let (Some(secret), Some(publishable)) = (secret, publishable)
        && secret != publishable
    {
        found.push(
            Finding::problem(
                POLICIES,
                format!("CLERK_SECRET_KEY is a {secret} key, and CLERK_PUBLISHABLE_KEY a {publishable} key"),
            )
            .cause("the keys belong to two instances, so session cookies are looked for under the wrong name")
            .mend("set CLERK_PUBLISHABLE_KEY (parameter ClerkPublishableKey) to the key of the instance in CLERK_INSTANCE_ID"),
        );
    }
    if found.is_empty() {
        found.push(Finding::ok(POLICIES, "no policies contradict one another"));
    }
    found
}

/// Variables that do not have the same value in all functions that have them. `is_secret` says which values are not
/// shown.
pub fn alike(functions: &[FunctionSettings], is_secret: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let names: BTreeSet<&String> = functions.iter().flat_map(|function| function.variables.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        let with = functions.iter().filter_map(|function| Some((&function.name, function.variables.get(name)?)));
        let mut values: BTreeMap<&String, Vec<&str>> = BTreeMap::new();
        for (function, value) in with {
            values.entry(value).or_default().push(function);
        }
        if values.len() < 2 {
            continue;
        }
        let shows = !is_secret(name) && values.keys().all(|value| value.chars().count() <= SHOWN);
        let groups: Vec<String> = values
            .iter()
            .map(|(value, functions)| {
                let of = functions.join(", ");
                if shows { format!("{value} in {of}") } else { format!("one value in {of}") }
            })
            .collect();
        found.push(
            Finding::problem(ALIKE, format!("{name} differs between the functions: {}", groups.join("; ")))
                .cause("a function was changed by hand, or a deployment is incomplete")
                .mend("deploy the stack again; do not change the environment of a function by hand"),
        );
    }
    if found.is_empty() {
        found.push(Finding::ok(ALIKE, format!("{} functions have the same settings", functions.len())));
    }
    found
}

/// Whether the variables of each function fit into its environment.
pub fn environment_size(functions: &[FunctionSettings]) -> Vec<Finding> {
    let mut found = Vec::new();
    for FunctionSettings { name, bytes, .. } in functions {
        let text = format!("the variables of {name} have {bytes} of {ENVIRONMENT_LIMIT} bytes");
        if *bytes > ENVIRONMENT_LIMIT {
            found.push(Finding::problem(ENVIRONMENT, text).cause("Lambda rejects a function with more"));
        } else if *bytes >= ENVIRONMENT_NEAR {
            found.push(Finding::warning(ENVIRONMENT, text).cause("a longer value makes the next deployment fail"));
        }
    }
    if found.is_empty() {
        let most = functions.iter().map(|function| function.bytes).max().unwrap_or_default();
        return vec![Finding::ok(ENVIRONMENT, format!("at most {most} of {ENVIRONMENT_LIMIT} bytes are used"))];
    }
    let mend = "store OWNED_TABLES with `rollcall owned-tables FILE`, or shorten PROFILE_DEFAULTS and \
                MEMBERSHIP_PROFILE_DEFAULTS";
    found.into_iter().map(|finding| finding.mend(mend)).collect()
}

/// Whether the functions together keep within Clerk's rate limit. `share` is the share of each, in percent.
pub fn rate_share(share: u8) -> Finding {
    let together = u32::from(share) * SHARING;
    if together <= 100 {
        return Finding::ok(SHARE, format!("the functions use at most {together} % of Clerk's rate limit"));
    }
    Finding::warning(SHARE, format!("the functions together may use {together} % of Clerk's rate limit"))
        .cause(format!("CLERK_RATE_SHARE={share} applies to each of reconcile, react, ensure-profile and account"))
        .mend("set CLERK_RATE_SHARE=25 or less (parameter ClerkRateShare)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::doctor::Verdict;

    type Values = &'static [(&'static str, &'static str)];

    fn found(set: Values) -> Vec<(Verdict, String)> {
        const USUAL: Values = &[
            ("RECONCILE_POLICY", "repair"),
            ("DELETION_POLICY", "redact"),
            ("MIRROR", "on"),
            ("ENSURE_POLICY", "create"),
            ("METADATA_WRITEBACK", "on"),
            ("OWNED_TABLES", "[]"),
            ("ROLE_POINTER", "/role"),
            ("ROLES", "admin,user"),
        ];
        let lookup = |name: &str| {
            let of = |values: Values| values.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
            of(set).or_else(|| of(USUAL))
        };
        policies(&lookup).into_iter().map(|finding| (finding.result, finding.message)).collect()
    }

    #[test]
    fn each_contradiction_is_found_and_the_defaults_have_none() {
        let first = |set| found(set).remove(0);
        assert_eq!(first(&[]).0, Verdict::Ok);
        assert_eq!(first(&[("RECONCILE_POLICY", "report"), ("DELETION_POLICY", "retain")]).0, Verdict::Ok);
        let purge = "[{\"table\":\"tasks\",\"key\":\"user_id\"}]";
        let list: Values = &[("OWNED_TABLES", "@operations/00"), ("DELETION_POLICY", "purge")];
        assert_eq!(first(list).0, Verdict::Ok, "{purge}");
        for (set, verdict, expected) in [
            (
                &[("RECONCILE_POLICY", "report"), ("DELETION_POLICY", "purge")][..],
                Verdict::Problem,
                "DELETION_POLICY=purge",
            ),
            (
                &[("ENSURE_POLICY", "verify"), ("MIRROR", "off"), ("METADATA_WRITEBACK", "off")],
                Verdict::Problem,
                "MIRROR=off",
            ),
            (
                &[("OWNED_TABLES", "@operations/00")],
                Verdict::Warning,
                "OWNED_TABLES has no effect under DELETION_POLICY=redact",
            ),
            (&[("MIRROR", "off")], Verdict::Warning, "METADATA_WRITEBACK=on"),
            (&[("ROLE_POINTER", "/primary_role"), ("ROLES", "a,b")], Verdict::Warning, "ROLE_POINTER=/primary_role"),
            (&[("CLERK_JWT_KEY", "x"), ("CLERK_JWKS_URL", "y")], Verdict::Warning, "CLERK_JWKS_URL"),
            (
                &[("CLERK_SECRET_KEY", "sk_live_1"), ("CLERK_PUBLISHABLE_KEY", "pk_test_1")],
                Verdict::Problem,
                "a live key",
            ),
        ] {
            let all = found(set);
            assert_eq!((all.len(), all[0].0), (1, verdict), "{set:?} {all:?}");
            assert!(all[0].1.contains(expected) && !all[0].1.contains("sk_live_1"), "{all:?}");
        }
    }

    fn function(name: &str, variables: &[(&str, &str)], bytes: usize) -> FunctionSettings {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        FunctionSettings { name: name.to_owned(), variables, bytes }
    }

    #[test]
    fn a_variable_that_differs_is_named_with_both_values_unless_it_is_secret() {
        let functions = [
            function("webhook", &[("MIRROR", "on"), ("KEY", "a")], 0),
            function("react", &[("MIRROR", "off"), ("KEY", "b")], 0),
            function("account", &[("MIRROR", "on")], 0),
        ];
        let found = alike(&functions, &|name| name == "KEY");
        let messages: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "KEY differs between the functions: one value in webhook; one value in react",
                "MIRROR differs between the functions: off in react; on in webhook, account",
            ]
        );
        assert_eq!(alike(&functions[..1], &|_| false)[0].result, Verdict::Ok);
    }

    #[test]
    fn an_environment_near_its_limit_is_a_warning_and_one_beyond_it_a_problem() {
        let of = |bytes| environment_size(&[function("webhook", &[], bytes)])[0].result;
        assert_eq!([of(0), of(3685), of(3686), of(4096), of(4097)], {
            [Verdict::Ok, Verdict::Ok, Verdict::Warning, Verdict::Warning, Verdict::Problem]
        });
        assert_eq!([rate_share(25).result, rate_share(26).result], [Verdict::Ok, Verdict::Warning]);
    }
}
