//! Ends the processes of a drain, and collects what they and the clients have seen.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{DrainRun, GIVE_UP, POLL_INTERVAL};
use crate::incarnation::{End, Incarnation};
use crate::jitter::now;
use crate::matrix::{BUDGET, PageFault};
use crate::record::Record;
use crate::run;

impl DrainRun<'_> {
    /// Ends the remaining processes as a kubelet would, and returns the record.
    pub(super) fn finish(mut self) -> Record {
        if self.scenario.combination.is_run() {
            return self.finish_run();
        }
        let end = if self.replaced { End::Cleanup } else { End::Kubelet };
        if !self.replaced {
            self.engine().end(end);
        }
        let limit = now() + BUDGET + GIVE_UP;
        while self.waiting > 0 && now() < limit {
            if let Ok(call) = self.answers.1.recv_timeout(POLL_INTERVAL * 10) {
                self.record_call(call);
            }
        }
        self.fault_seen |= self.sidecar_saw_fault();
        let message = self.pod.termination_message();
        self.engine().end(end);
        self.sidecar.signal(Signal::SIGTERM);
        self.into_record(message, None)
    }

    /// `lameduck run` ends the engine, and then itself.
    fn finish_run(mut self) -> Record {
        self.sidecar.exit_code();
        let ended_at = now();
        let message = self.pod.termination_message();
        self.fault_seen |= self.sidecar_saw_fault();
        let (status, terminated) = run::end_of_command(self.sidecar.log());
        self.engine().ended_under_run(status, terminated);
        self.into_record(message, Some(ended_at))
    }

    fn into_record(mut self, message: Option<Value>, run_ended_at: Option<Duration>) -> Record {
        let engines = self.engines.into_iter().map(Incarnation::into_record).collect();
        let status = self.sidecar.exit_status();
        Record {
            called_at: self.called_at,
            calls: self.calls,
            unanswered: self.waiting,
            engines,
            fault: self.fault,
            fault_seen: self.fault_seen,
            replaced: self.replaced,
            restarts: self.restarts,
            message,
            status,
            run_ended_at,
            log: self.sidecar.log().iter().map(Value::to_string).collect(),
        }
    }

    /// While the page is down, the engine sees no request, so the sidecar's own metric has to show it; or the log, if
    /// `lameduck run` has ended.
    fn sidecar_saw_fault(&mut self) -> bool {
        match self.scenario.combination.page {
            PageFault::Down if self.fault.is_none() => false,
            PageFault::Down if self.scenario.combination.is_run() => {
                self.sidecar.log().iter().any(|line| line["message"] == "source is unknown")
            }
            PageFault::Down => {
                self.sidecar.metric("lameduck_source_readings_total{source=\"metrics\",result=\"unknown\"}") > Some(0.0)
            }
            PageFault::Hanging
            | PageFault::Trickling
            | PageFault::Garbage
            | PageFault::Frozen
            | PageFault::Long
            | PageFault::Redirecting
            | PageFault::Gzip => self.engines.iter().any(|engine| engine.count_lines("faulty") > 0),
        }
    }
}
