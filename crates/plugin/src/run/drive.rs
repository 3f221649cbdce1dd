//! Runs a plugin's future under signals and the step's time.

use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::Plugin;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::seconds;
use crate::report::Outcome;
use crate::stop::{Signal, Stopped};

/// Woodpecker kills 20 seconds after the signal; the rest is for writing the result.
const GRACE: Duration = Duration::from_secs(15);

/// Runs the plugin to its end, whichever that is.
pub(super) fn drive<P: Plugin>(
    settings: P::Settings,
    context: &Context,
    sender: &watch::Sender<Option<Signal>>,
) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Unexpected, "cannot start the runtime").caused_by(error))?;
    let end = runtime.block_on(supervise::<P>(settings, context, sender));
    // A blocking task that hangs must not hold the exit back.
    runtime.shutdown_background();
    end
}

async fn supervise<P: Plugin>(
    settings: P::Settings,
    context: &Context,
    sender: &watch::Sender<Option<Signal>>,
) -> Result<Outcome, Failure> {
    let mut signals = Signals::install()?;
    let deadline = tokio::time::Instant::from_std(context.deadline);
    let mut work = pin!(P::run(settings, context));
    let asked = tokio::select! {
        end = &mut work => return end,
        asked = signals.next() => asked,
        () = tokio::time::sleep_until(deadline), if !P::OWN_TIMEOUT => return Err(too_long(context)),
    };
    context.output.info(format_args!("{}: stopping before the next step", asked.name()));
    sender.send_replace(Some(asked));
    let end = tokio::select! {
        end = &mut work => end,
        again = signals.next() => Err(Failure::from(Stopped(again)).hint("a second signal ended it at once")),
        () = tokio::time::sleep(GRACE) => {
            let late = format!("the step under way was given up after {}", seconds(GRACE));
            Err(Failure::from(Stopped(asked)).hint(late))
        }
    };
    stopped(context, asked, end)
}

/// What a run that was asked to stop came to. One that was finished by then is finished, and a decision
/// that was made stands; anything else is the signal's doing.
fn stopped(context: &Context, asked: Signal, end: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
    let failure = match end {
        Ok(outcome) => return Ok(outcome),
        Err(failure) if failure.kind().is_refusal() => return Err(failure),
        Err(failure) => failure,
    };
    let done = context.output.record();
    match done.is_empty() {
        true => context.output.info("nothing was done yet"),
        false => context.output.info(format_args!("done so far:\n  {}", done.join("\n  "))),
    }
    match failure.kind() == asked.kind() {
        true => Err(failure),
        false => Err(Failure::new(asked.kind(), Stopped(asked).to_string()).caused_by(failure)),
    }
}

fn too_long(context: &Context) -> Failure {
    let limit = seconds(context.common.timeout);
    Failure::new(Kind::Unavailable, format!("the step took longer than `timeout` allows ({limit})"))
        .hint("run it again: what is complete is not done again; or set a longer `timeout`")
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn install() -> Result<Self, Failure> {
        let install = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(Kind::Unexpected, "cannot listen for signals").caused_by(error))
        };
        Ok(Signals {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}
