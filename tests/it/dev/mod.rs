//! The local stack and its commands.

mod data_folder;
mod main_job;
mod manners;
mod pages;
mod routes;
mod trigger;
