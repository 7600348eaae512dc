//! What lameduck says of a drain, in each of its records.

use lameduck_test_support::sidecar::{Sidecar, SidecarEnv};
use nix::sys::signal::Signal;
use serde_json::Value;

/// The fields of a log line that are not part of the outcome.
const LOG_FIELDS: [&str; 3] = ["timestamp", "level", "message"];

/// Every record of one drain.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    /// The body of the hook's answer.
    pub(crate) answer: Value,
    /// The fields of the log line.
    pub(crate) log: Value,
    /// The termination message.
    pub(crate) message: Value,
    /// `lameduck_drains_total` of the outcome in the answer.
    pub(crate) drains: Option<f64>,
    /// `lameduck_stragglers_total`.
    pub(crate) stragglers: Option<f64>,
    /// The sidecar's exit code.
    pub(crate) exit_code: Option<i32>,
}

/// The counters of a sidecar after its drain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    drains: Option<f64>,
    stragglers: Option<f64>,
}

impl Counters {
    pub(crate) fn read(sidecar: &Sidecar, answer: &Value) -> Self {
        let outcome = answer["outcome"].as_str().expect("an outcome");
        Self {
            drains: sidecar.metric(&format!("lameduck_drains_total{{outcome=\"{outcome}\"}}")),
            stragglers: sidecar.metric("lameduck_stragglers_total"),
        }
    }
}

impl Records {
    /// Ends the sidecar as the kubelet does, and collects what it leaves.
    pub(crate) fn collect(answer: Value, counters: Counters, mut sidecar: Sidecar, env: &SidecarEnv) -> Self {
        sidecar.signal(Signal::SIGTERM);
        let exit_code = sidecar.exit_code();
        let line = sidecar.log().iter().rfind(|line| line["message"] == "drain over");
        let log = outcome_of_line(line.expect("the outcome is logged"));
        let message = env.termination_message().expect("a termination message");
        let Counters { drains, stragglers } = counters;
        Self { answer, log, message, drains, stragglers, exit_code }
    }

    /// The codes in `warnings` of the answer.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether all say the same.
    pub(crate) fn assert_equal(&self) {
        assert_eq!(self.log, self.answer, "the log line and the answer");
        assert_eq!(self.message, self.answer, "the termination message and the answer");
        assert_eq!(self.drains, Some(1.0), "{self:?}");
        assert_eq!(self.stragglers, Some(self.answer["stragglers"].as_f64().unwrap_or(0.0)), "{self:?}");
    }

    /// Asserts that no record says less than the clients saw.
    pub(crate) fn assert_not_less_than(&self, cut: usize) {
        if cut > 0 {
            assert_ne!(self.exit_code, Some(0), "{cut} streams were cut: {self:?}");
            let stragglers = self.answer["stragglers"].as_u64();
            assert!(stragglers.is_none_or(|stragglers| stragglers >= cut as u64), "{cut} streams were cut: {self:?}");
        }
    }
}

/// The outcome in a log line, whose field `warnings` is a text.
fn outcome_of_line(line: &Value) -> Value {
    let mut outcome = line.clone();
    let fields = outcome.as_object_mut().expect("a line is an object");
    fields.retain(|key, _| !LOG_FIELDS.contains(&key.as_str()));
    if let Some(Value::String(warnings)) = fields.get("warnings") {
        let codes: Vec<&str> = warnings.split(',').filter(|code| !code.is_empty()).collect();
        let codes = codes.into();
        fields.insert("warnings".to_owned(), codes);
    }
    outcome
}
