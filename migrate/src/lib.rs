//! Reads the data that a migration to Clerk starts from: exports of an old users collection and of the tables that
//! refer to it.
//!
//! This crate decides nothing about Clerk. It turns files into a stream of [`Row`](input::Row)s with typed values,
//! keeps each row's own bytes, and refuses what it cannot read without a guess. It has no network, no clock and no
//! environment.
//!
//! In reading order:
//!
//! 1. [`input::open`] recognises a file by its first bytes and answers with [`input::Rows`];
//! 2. [`input::Row`] is one document or record: its place, its bytes, its value;
//! 3. [`input::Value`] is the one tree of types that all formats are read into;
//! 4. [`input::InputError`] names the file, the line, the byte, the cause, and what to do.

pub mod input;
