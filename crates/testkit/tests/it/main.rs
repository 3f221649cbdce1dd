//! The registry against a client of a hundred lines, and the builders against the programs that read their output.

mod auth;
mod builders;
mod client;
mod faults;
mod lists;
mod peers;
mod processes;
mod pushes;
