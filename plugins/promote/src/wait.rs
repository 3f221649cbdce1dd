//! A bounded wait for what another pipeline is still doing.

use std::time::{Duration, Instant};

use granary_plugin::output::seconds;
use granary_plugin::{Context, Failure};

/// How often a wait asks again. A pipeline step takes seconds to minutes; asking more often would only
/// load the registry.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// A bounded wait.
pub struct Wait {
    limit: Duration,
    until: Instant,
    told: bool,
}

impl Wait {
    /// A wait of at most `limit`, begun now.
    pub fn new(limit: Duration) -> Self {
        Wait { limit, until: Instant::now() + limit, told: false }
    }

    /// Waits until it is time to ask again; `false` once the wait is over.
    ///
    /// # Errors
    /// If the run is stopped.
    pub async fn again(&mut self, context: &Context, what: &str) -> Result<bool, Failure> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        if !self.told {
            context.output.info(format_args!("waiting for {what}, at most {}", seconds(self.limit)));
            self.told = true;
        }
        tokio::select! {
            stopped = context.stop.requested() => Err(stopped.into()),
            () = tokio::time::sleep(ASK_AGAIN.min(left)) => Ok(true),
        }
    }
}
