//! The tests of one step, repeated until they pass or may not be repeated any more.
//!
//! What is judged is the last attempt; the ones before it can only make a pass a pass with a warning.

use std::time::Instant;

use granary_plugin::output::seconds;
use granary_plugin::with_causes;
use jiff::Timestamp;

use super::commands::Prepared;
use super::record::RunRecord;
use super::runs::Place;
use super::shares::Shares;
use super::{History, Judged, TestRun, Unjudged};
use crate::plan::Ran;
use crate::report;
use crate::results::{Earlier, TestOutcome, decide};
use crate::settings::Commands;

impl TestRun<'_> {
    /// Runs the tests, and leaves a record of it, whatever comes of them.
    pub(super) async fn run_commands(&self, commands: &Commands, ran: &[Ran]) -> Result<Judged, Unjudged> {
        let prepared = self.prepare(commands)?;
        // A step that signs by itself has no judge after it. Without a record one attempt looks to a judge
        // like any plain step; several attempts would look like one.
        let is_needed = self.key.is_none() && (self.registry.is_none() || commands.attempts > 1);
        let place = Place::of(self.settings, &self.context.workspace);
        let mut record = RunRecord::begun(&self.found, place, self.context.now());
        record.write(self.context, is_needed)?;
        let end = self.repeat(commands, &prepared, ran, &mut record).await;
        match &end {
            Ok(judged) => record.decided(&judged.decision),
            Err(unjudged) => record.problems = vec![unjudged.failure.to_string()],
        }
        record.finished(self.context.now());
        let written = record.write(self.context, is_needed);
        let history = record.history();
        let judged = end.map_err(|unjudged| Unjudged { history, ..unjudged })?;
        Ok(Judged { history, unrecorded: written.err(), ..judged })
    }

    async fn repeat(
        &self,
        commands: &Commands,
        prepared: &Prepared,
        ran: &[Ran],
        record: &mut RunRecord,
    ) -> Result<Judged, Unjudged> {
        let output = &self.context.output;
        let most = commands.attempts;
        let mut earlier: Vec<Earlier> = Vec::new();
        let mut first_started: Option<Timestamp> = None;
        let mut number = 0;
        loop {
            number += 1;
            if most > 1 {
                output.info(format_args!("attempt {number} of {most}"));
            }
            let begun = Instant::now();
            let attempt = self.attempt(commands, prepared).await;
            (record.attempts, record.ended, record.exit_code) = (number, attempt.ended, attempt.exit_code);
            self.context.record(|facts| {
                facts.extra.insert("attempts".to_owned(), number.into());
            });
            let started = *first_started.get_or_insert(attempt.started);
            self.context.stop.check()?;
            let may_repeat = number < most;
            match attempt.result {
                Ok((outcome, problems)) => {
                    self.check_named_digest(&outcome, ran)?;
                    let mut decision = decide(&outcome, &self.settings.rules);
                    problems.iter().for_each(|problem| decision.object(problem));
                    let again = decision.result == TestOutcome::Failed
                        && may_repeat
                        && self.has_time_for(number + 1, commands, begun);
                    if !again {
                        decision.repeated(&earlier);
                    }
                    let took = attempt.finished.duration_since(attempt.started);
                    report::tests(self.context, &outcome, &decision, took.try_into().ok());
                    if !again {
                        let measured = Some((started, attempt.finished));
                        let history = History::UNTOLD;
                        return Ok(Judged { outcome, decision, measured, history, unrecorded: None });
                    }
                    earlier.push(Earlier::Failed(decision.failed));
                }
                Err(fault) if fault.again && may_repeat && self.has_time_for(number + 1, commands, begun) => {
                    output.warn(format_args!("attempt {number} of {most}: {}", with_causes(&fault.failure)));
                    earlier.push(Earlier::Untold);
                }
                Err(fault) => return Err(fault.failure.into()),
            }
        }
    }

    /// Whether another attempt could come to an end: one that is cut short would hide why the last one
    /// failed.
    fn has_time_for(&self, number: u32, commands: &Commands, begun: Instant) -> bool {
        let took = begun.elapsed();
        let left = Shares::of(self.context.remaining(), commands.teardown.is_some()).tests;
        let has_time = took < left;
        if !has_time {
            self.context.output.warn(format_args!(
                "no time for attempt {number} of {}: the one before took {}, {} are left",
                commands.attempts,
                seconds(took),
                seconds(left)
            ));
        }
        has_time
    }
}
