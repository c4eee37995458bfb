//! End-to-end tests: a real gateway process, spoken to over its socket, judged by the public contract alone.
#![allow(clippy::unwrap_used, reason = "a test may end where it cannot go on")]

mod admin;
mod answers;
mod audit;
mod audit_files;
<<<<<<< HEAD
mod botocore;
=======
mod aws_objects;
>>>>>>> aws-core
mod browser;
mod clients;
mod command;
mod conditions;
mod configuration;
mod content;
mod cors;
mod deploy;
mod disk_full;
mod docs;
mod headers;
mod holder;
mod hostile;
mod hostile_http2;
mod http2;
mod keys;
mod large;
mod leaks;
mod limits;
mod listing;
mod narrow;
mod object_store;
mod proxies;
mod quotas;
mod rates;
mod reload;
mod revocation;
mod scope_and_path;
mod signer_command;
mod signers;
mod size;
mod time;
mod tls;
mod uses;
mod verbs;
mod volumes;
