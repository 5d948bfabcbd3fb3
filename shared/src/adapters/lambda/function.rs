//! Description of a function: name, log target, routes, variables. The start of the function, its log, the local
//! gateway, `rollcall settings` and the documents use it.

use crate::settings::variables::Variable;

/// A Lambda function. The `lib.rs` of each function defines one, and `rollcall_cli::functions` lists them.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The name of the function's folder in functions/ and of its package.
    pub name: &'static str,
    /// The target of its log lines: the name of its crate in Rust.
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
