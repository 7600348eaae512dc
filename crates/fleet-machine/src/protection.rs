//! Which pods must not be disrupted, and for how long.
//!
//! A pod is protected while it has active streams. What was left behind would block the removal of nodes for ever, so
//! every protection ends: by the duration in its value, by the removal of the annotation, and at a maximum age.

use std::time::Duration;

use lameduck_machine::time::Time;

use crate::pod::{DoNotDisrupt, Keys, Pod};
use crate::settings::{DisruptionSetting, ProtectionSettings};

/// For how long a duration protects from now on. It is renewed at half of that.
pub const LEASE: Duration = Duration::from_secs(15 * 60);

/// For how long a pod must have had no active stream until its protection is removed.
const HOLD: Duration = Duration::from_secs(60);

/// The protection of one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Off,
    On {
        since: Time,
        /// Since when it has had no active stream; `None` while it has, or while that is unknown.
        inactive_since: Option<Time>,
    },
    /// The maximum age was reached. It is not protected again before it has had no active stream.
    Expired,
}

impl Protection {
    /// Takes the active streams of a reading; `None` if they are unknown. Returns whether the protection has expired now.
    pub fn on_reading(&mut self, now: Time, active: Option<u64>, max_age: Duration) -> bool {
        let before = self.state;
        self.state = match (before, active) {
            (State::Off, Some(1..)) => State::On { since: now, inactive_since: None },
            (State::Off | State::Expired, Some(0)) | (State::Off, None) => State::Off,
            (State::Expired, _) => State::Expired,
            (State::On { since, .. }, _) if now.since(since) >= max_age => State::Expired,
            (State::On { since, inactive_since }, Some(0)) => {
                let inactive_since = inactive_since.unwrap_or(now);
                let ends = now.since(inactive_since) >= HOLD;
                if ends { State::Off } else { State::On { since, inactive_since: Some(inactive_since) } }
            }
            (State::On { since, .. }, Some(_) | None) => State::On { since, inactive_since: None },
        };
        self.state == State::Expired && before != State::Expired
    }

    /// The annotations that the pod should have now, besides its cost.
    #[must_use]
    pub fn keys(&self, now: Time, pod: &Pod, settings: &ProtectionSettings) -> Keys {
        if !matches!(self.state, State::On { .. }) {
            return Keys::default();
        }
        let do_not_disrupt = match settings.do_not_disrupt {
            DisruptionSetting::Off => None,
            DisruptionSetting::True => Some(DoNotDisrupt::Always),
            DisruptionSetting::Duration => lease(now, pod),
        };
        Keys { cost: None, not_safe_to_evict: settings.safe_to_evict, do_not_disrupt }
    }
}

/// What a protection may leave behind when this process ends: only what ends by itself.
#[must_use]
pub fn keys_to_leave(keys: Keys) -> Keys {
    let ends_by_itself = |value: &DoNotDisrupt| matches!(value, DoNotDisrupt::SinceStart(_));
    Keys { not_safe_to_evict: false, do_not_disrupt: keys.do_not_disrupt.filter(ends_by_itself), ..keys }
}

/// The duration from the start of the pod for which it is protected. The one that it has stays for half of its time.
fn lease(now: Time, pod: &Pod) -> Option<DoNotDisrupt> {
    let age = now.since(pod.started_at?);
    let applied = match pod.annotations.own.do_not_disrupt {
        Some(DoNotDisrupt::SinceStart(applied)) => Some(applied),
        Some(DoNotDisrupt::Always) | None => None,
    };
    let valid = applied.filter(|applied| applied.saturating_sub(age) > LEASE / 2);
    let seconds = valid.unwrap_or(age + LEASE).as_secs();
    Some(DoNotDisrupt::SinceStart(Duration::from_secs(seconds)))
}
