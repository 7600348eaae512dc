//! `lameduck inject`: what it writes, what it keeps, and what it refuses.
mod additions;
mod hostile;
mod output;
mod properties;
mod refusals;
mod shared_processes;
mod spellings;
mod support;
