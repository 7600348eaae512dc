//! The editor behind `lameduck inject`: adds the sidecar to Kubernetes manifests, or removes it, and keeps every other
//! byte. Pure: text in, text out. [`preflight`] has the rules of `lameduck check -f`.
//!
//! How [`inject()`] works:
//! 1. [`stream`] splits the text into documents and parses each with [`yaml`] into a tree whose nodes know their byte
//!    ranges. A document that is certainly not a workload may be unreadable; it is skipped.
//! 2. [`pods`] finds the pod templates in these trees, and [`select`] the containers that get the preStop hook.
//! 3. [`plan`] decides per pod what is missing or out of date, and refuses pods that a sidecar cannot serve.
//!    [`sidecar_spec`] defines what lameduck writes and how it recognizes its own work.
//! 4. [`text_edit`] turns each change into an edit of a byte range, formatted like its surroundings by [`yaml_value`].
//! 5. All edits are applied at once. [`remove()`] is the inverse and restores the original text to the byte.
//!    [`saved_hook`] reads the hooks that it restores.
//!
//! [`patch`] writes the difference between two such texts as patches for kustomize.
//!
//! Read the files in this order: `request`, `inject`, `stream`, `pods`, `select`, `sidecar_spec`, `plan`, `saved_hook`,
//! `remove`; then, for the text itself, `yaml_value`, `text_edit`, `yaml`. `shell_script` and `waiting_call` evaluate hooks
//! that users wrote. `preflight` uses only `yaml`, `waiting_call` and two functions of `select`; it also tells `plan` how
//! lameduck is started after an injection.

#![forbid(unsafe_code)]

pub mod inject;
pub mod patch;
pub mod plan;
pub mod pods;
pub mod preflight;
pub mod remove;
pub mod request;
pub mod saved_hook;
pub mod select;
mod shell_script;
pub mod sidecar_spec;
pub mod stream;
pub mod text_edit;
mod waiting_call;
pub mod yaml;
pub mod yaml_value;

pub use inject::inject;
pub use patch::strategic_merge;
pub use preflight::SettingsCheck;
pub use remove::remove;
pub use request::{ContainerSelector, Edited, MAX_UID, Message, Mode, Request, RunAsUser, SIDECAR_NAME, Setting};
