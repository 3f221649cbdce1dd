//! What a policy is read as, what is refused, and how it is said.

mod bad;
mod good;
mod odd;
mod properties;
mod sample;
mod schema;
