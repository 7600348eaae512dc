//! `lameduck inject`: what it writes, what it leaves, and what it refuses.
mod additions;
mod hostile;
mod properties;
mod refusals;
mod shapes;
mod spellings;
mod support;
