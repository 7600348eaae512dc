//! `lameduck-fleet`: the controller of all pods of a cluster that have a lameduck sidecar.
//!
//! [`lameduck_fleet_machine`] decides and does no I/O. The modules here each do one kind of I/O; [`supervisor`] is the
//! event loop between them.
#![forbid(unsafe_code)]

pub mod cleanup;
pub mod kube_api;
pub mod lease;
pub mod metrics;
pub mod outcomes;
pub mod pod_view;
pub mod server;
pub mod settings;
pub mod sidecar;
pub mod sidecar_json;
pub mod supervisor;
pub mod watch;
