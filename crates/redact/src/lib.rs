//! Secrets that cannot be printed, and text and URLs with them taken out (DESIGN §4.10).
//!
//! Pure. Everything that may end up in a log, an error or a file goes through one of three types:
//! a [`Secret`] has no `Display` and a masked `Debug`; a [`SafeUrl`] shows only what is known to be
//! harmless; a [`Redactor`] cleans text that somebody else wrote (a server's error, a test's output).

mod redactor;
mod safe_url;
mod secret;

pub use redactor::Redactor;
pub use safe_url::SafeUrl;
pub use secret::Secret;
