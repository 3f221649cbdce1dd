//! The gates as their callers see them.

mod calendar;
