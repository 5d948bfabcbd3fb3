//! The inputs as an operator has them: files, also those that the real programs wrote, and files that are damaged.

mod dynamo;
mod encodings;
mod fixtures;
mod malformed;
mod properties;
mod rekey;
mod rekey_drafts;
mod rekey_properties;
mod splicing;
mod support;
