//! Checks provisional records, and what a result says about the time after the signal.

use lameduck_machine::drain_id::DrainId;
use lameduck_machine::io::{RecordReason, TargetEnded};
use lameduck_machine::result::{DrainResult, ExitStatus, Outcome};
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::sent_signal::AfterSignal;
use lameduck_machine::time::Time;
use lameduck_machine::warnings::{Warning, Warnings};

use super::{Drain, Oracle};

/// The signal of every policy.
const SIGINT: i32 = 2;

/// What is known of the records of one drain.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    /// The last record that was written.
    pub(super) record: Option<DrainResult>,
    id: Option<DrainId>,
    earlier_ids: Vec<DrainId>,
    warnings: Warnings,
    /// When the signal was sent, by its result.
    pub(super) sent_at: Option<Time>,
    streams_at_signal: Option<u64>,
    /// Whether an earlier sidecar has seen the target still serving after the signal.
    seen_before: bool,
    /// Whether the last hook caller has disconnected from the active drain.
    pub(super) hook_disconnected: bool,
    /// The exits of a target that have not been reported.
    pub(super) unreported_ends: usize,
}

impl Records {
    /// What the next sidecar knows.
    pub(super) fn resume(saved: Option<&SavedDrain>) -> Self {
        let signal = saved.and_then(|saved| saved.signal);
        Self {
            record: saved.and_then(|saved| saved.finished).map(|finished| finished.result),
            id: saved.map(|saved| saved.id),
            warnings: saved.map(|saved| saved.warnings).unwrap_or_default(),
            sent_at: signal.map(|signal| signal.sent_at),
            streams_at_signal: signal.and_then(|signal| signal.streams),
            seen_before: signal.is_some_and(|signal| signal.after == AfterSignal::ServedOn),
            ..Self::default()
        }
    }

    /// A new drain has a new id, or that of the record that was written while its hook was awaited, and no warnings.
    pub(super) fn start_drain(&mut self) {
        let awaited = self.record.filter(|record| record.outcome == Outcome::Interrupted).map(|record| record.id);
        self.earlier_ids.extend(self.id);
        let (unreported_ends, earlier_ids) = (self.unreported_ends, std::mem::take(&mut self.earlier_ids));
        *self = Self { id: awaited, earlier_ids, unreported_ends, ..Self::default() };
    }

    /// The id of a drain never changes, and its warnings are never lost.
    pub(super) fn on_save(&mut self, saved: &SavedDrain) {
        assert!(self.id.is_none_or(|id| id == saved.id), "the id of a drain has changed");
        assert!(!self.earlier_ids.contains(&saved.id), "two drains have one id");
        assert!(self.warnings.iter().all(|warning| saved.warnings.contains(warning)), "a warning is lost");
        (self.id, self.warnings) = (Some(saved.id), saved.warnings);
        self.streams_at_signal = saved.signal.and_then(|signal| signal.streams);
    }

    pub(super) fn on_result(&mut self, result: &DrainResult) {
        assert_eq!(self.id, Some(result.id), "the id of a result is not the saved one");
        assert!(self.warnings.iter().all(|warning| result.warnings.contains(warning)), "a warning is lost");
        let at_signal = self.streams_at_signal.filter(|_| result.signalled);
        assert_eq!(result.streams_at_signal, at_signal, "the count at the signal is not the saved one");
        self.record = Some(*result);
    }
}

impl Oracle {
    /// A record is written before its drain is over, and never after that.
    pub(super) fn on_record(&mut self, now: Time, record: &DrainResult, reason: RecordReason) {
        if reason == RecordReason::LaterStreams {
            return self.on_later_streams(record);
        }
        assert_eq!(record.outcome, Outcome::Interrupted);
        if let Some(drain) = &self.drain {
            assert!(drain.finished.is_none(), "a final record is overwritten");
            assert_eq!(Some(record.id), self.records.id, "the record has another id");
            assert_eq!(record.duration, now.since(drain.started_at));
        } else {
            let awaits_hook = matches!(reason, RecordReason::Exit | RecordReason::CountChanged);
            // The end of a child may cut streams of a target that was not found.
            let is_end_of_child = reason == RecordReason::Exit && self.policy.is_parent();
            assert!(awaits_hook && self.sigterm_at.is_some() || is_end_of_child, "a record without a drain");
            assert!(self.records.record.is_none_or(|last| last.id == record.id), "the record has another id");
        }
        self.records.hook_disconnected |= reason == RecordReason::HookDisconnected;
        self.records.record = Some(*record);
    }

    /// Streams that were opened after the drain are added to the record of `lameduck run`.
    fn on_later_streams(&mut self, record: &DrainResult) {
        assert!(self.policy.is_parent(), "the record of a hook that was answered has changed");
        let (_, result) = self.drain.as_mut().and_then(|drain| drain.finished.as_mut()).expect("a finished drain");
        assert!(record.stragglers.is_none() || record.stragglers > result.stragglers, "{record:?} after {result:?}");
        assert_eq!(DrainResult { stragglers: result.stragglers, ..*record }, *result);
        *result = *record;
        self.records.record = Some(*record);
    }

    /// Checks the last record when all actions are performed.
    pub(super) fn check_record(&self) {
        let Some(drain) = &self.drain else { return };
        let record = self.records.record.expect("a record of the drain");
        assert_eq!(Some(record.id), self.records.id);
        let may_be_interrupted = drain.finished.is_none_or(|(_, result)| result.outcome == Outcome::Interrupted);
        assert_eq!(record.outcome == Outcome::Interrupted, may_be_interrupted, "{record:?}");
        assert_eq!(self.records.unreported_ends, 0, "the end of the target is not reported");
    }

    pub(super) fn on_target_end(&mut self, ended: TargetEnded) {
        assert!(self.records.unreported_ends > 0, "the end of the target is reported twice");
        self.records.unreported_ends -= 1;
        match &self.drain {
            None => assert!(matches!(ended, TargetEnded::Serving(_)), "{ended:?}"),
            // Streams may be opened after a drain has released its callers.
            Some(Drain { finished: Some((_, result)), .. }) => {
                assert!(ended == TargetEnded::Drain || result.outcome != Outcome::Idle, "{ended:?}");
            }
            Some(Drain { finished: None, .. }) => assert_eq!(ended, TargetEnded::Drain),
        }
    }

    /// A result may say that nothing was cut only if a reading after the signal has seen the target still serving.
    pub(super) fn assert_proven(&self, result: &DrainResult) {
        let Some(sent_at) = self.records.sent_at.filter(|_| result.signalled) else { return };
        let nothing_to_lose = result.streams_at_signal == Some(0) || result.outcome == Outcome::NeverServed;
        // Only idle streams were left, by a reading with streams.
        let only_idle = result.outcome == Outcome::Idle;
        let seen = self.records.seen_before || self.readings.streams_after(sent_at);
        let warned = result.warnings.contains(Warning::EndedWithSignal);
        assert!(
            result.stragglers != Some(0) || nothing_to_lose || only_idle || seen,
            "nothing was cut, without any evidence"
        );
        assert!(!warned || !nothing_to_lose, "a warning about streams that there were not");
        let killed = matches!(self.exit_status, Some(ExitStatus::Killed(signal)) if signal != SIGINT);
        let ended = match result.outcome {
            Outcome::Drained => true,
            Outcome::Exited => !killed && !self.records.hook_disconnected,
            Outcome::Idle | Outcome::Expired | Outcome::NeverServed | Outcome::Interrupted => false,
        };
        assert!(warned || !ended || nothing_to_lose || seen, "an end with the signal is not reported");
    }
}
