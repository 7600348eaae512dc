//! Fixtures and helpers that lameduck's tests, benchmarks and fuzz targets share. Not published.
//!
//! | module | offers |
//! |---|---|
//! | [`sidecar`] | `SidecarEnv`: target name, address, files and settings of a sidecar under test; `Sidecar`: a running one |
//! | [`shell`] | `ShellTarget`: a target process that counts the signals it receives |
//! | [`page`] | `PageServer`: a metrics page that a test serves and breaks |
//! | [`port`] | `Port`, `Connection`: established connections whose bytes a test controls |
//! | [`sim`] | `EngineSim` and its client: the example programs as processes |
//! | [`http`] | `Call`: one HTTP request, byte by byte; `Response` |
//! | [`check`] | `CheckReport`: `lameduck check` in text and JSON |
//! | [`terminal`] | `Terminal`: a program on a pseudo-terminal |
//! | [`process`] | paths of the built programs, `Program`, `KillOnDrop`, `wait_until`, `stopwatch`, addresses |
//! | [`environment`] | makes a test independent of what its parent process left: signals, descriptor limits |
//! | [`scenarios`] | runs the scenarios of a test with its own main function |
//! | [`skip`] | how a test reports that it cannot run here |
//! | [`shipped`] | builds the release binary as the image ships it; reads `/proc` of a process |
//! | [`machine`] | policies, incarnations, instants and readings for tests of the drain machine |
//! | [`traffic`] | simulated connections and the socket table that shows them |
//! | [`held_clients`] | connections whose client ends another process of a benchmark holds |
//! | [`json_schema`] | a validator for the JSON Schemas in `docs/schema` |
//! | [`manifests`] | Kubernetes manifests in many styles, and views of their meaning |
#![forbid(unsafe_code)]

pub mod check;
pub mod environment;
pub mod held_clients;
pub mod http;
pub mod json_schema;
pub mod machine;
pub mod manifests;
pub mod page;
pub mod port;
pub mod process;
pub mod run;
pub mod scenarios;
pub mod shell;
pub mod shipped;
pub mod sidecar;
pub mod sim;
pub mod skip;
pub mod terminal;
pub mod traffic;
