//! What each function says of itself, once: its start, its log, the local gateway, `rollcall settings` and the documents
//! read it here.

use crate::settings::variables::Variable;

/// A Lambda function. PerKind function's `lib.rs` has one, and `rollcall_cli::functions` lists them.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The name of its folder below functions/ and of its package.
    pub name: &'static str,
    /// The target of its log lines: the name of its crate as Rust writes it.
    pub log_target: &'static str,
    /// The route keys by which API Gateway calls the function, such as `GET /sync` or `GET /users/{id}`.
    pub routes: &'static [&'static str],
    /// Every variable that the function reads, in the groups in which it reads them.
    pub groups: &'static [&'static [Variable]],
}

impl Function {
    /// Every variable that the function reads.
    pub fn variables(&self) -> impl Iterator<Item = &'static Variable> + use<> {
        self.groups.iter().copied().flatten()
    }
}
