//! `lameduck inject`: what it writes, what it leaves, and what it refuses.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod additions;
mod hostile;
mod manifests;
mod properties;
mod refusals;
mod shapes;
mod spellings;
mod support;
mod view;
mod writing;
