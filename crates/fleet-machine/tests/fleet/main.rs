//! The fleet machine in a simulated cluster.

mod costs;
mod deadlines;
mod drains;
mod leadership;
mod protection;
mod simulations;
mod world;
