//! `lameduck inject`: what it writes, what it keeps, and what it refuses.
mod additions;
mod block_scalars;
mod hooks;
mod hostile;
mod kept;
mod kinds;
mod label;
mod output;
mod patch;
mod properties;
mod refusals;
mod shared_processes;
mod spellings;
mod support;
mod users;
mod values;
