//! `lameduck check -f`: the mistakes that it finds, and what it makes of other manifests.
mod command;
mod examples;
mod mistakes;
mod properties;
mod recognition;
mod support;
mod unknown;
