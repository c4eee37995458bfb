//! The gateway: everything that waits on the world.
//!
//! `flow.rs` tells what becomes of a request. Around it stand the server, the stores, the ledger and the
//! records; what a key means is decided in the crate `valetkey`, without any of them.

pub mod admin;
pub mod backend;
pub mod clock;
pub mod command;
pub mod notify;
pub mod observe;
pub mod serve;
pub mod settings;

mod admit;
mod bound;
mod cors;
mod flow;
mod form;
mod gateway;
mod holder;
mod identify;
mod left;
mod recent;
mod request;
mod respond;
mod revocation;
mod running;
mod s3;
mod settle;
mod transfer;
