//! The gates as their callers see them.

mod analysis;
mod calendar;
mod clocks;
mod policy;
mod properties;
mod records;
mod sessions;
mod stages;
