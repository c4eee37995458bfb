//! The harness of the end-to-end tests: a real gateway process, a client that sends exact bytes, and a key minter.
//!
//! It is written from the public contract and shares no code with the gateway, so that both would have to be wrong in
//! the same way for a mistake to go unseen. It never looks into the gateway's memory: what it knows, it knows from
//! answers, from the files an operator can read, and from the process table.

pub mod audit;
pub mod aws;
pub mod clients;
pub mod expect;
pub mod faults;
pub mod form;
pub mod gateway;
pub mod http;
pub mod http2;
pub mod key;
pub mod process;
pub mod python;
pub mod stores;
