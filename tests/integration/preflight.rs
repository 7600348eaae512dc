//! `lameduck check -f`: the mistakes that it finds, and its results for other manifests.
mod command;
mod examples;
mod mistakes;
mod properties;
mod recognition;
mod support;
mod unknown;
