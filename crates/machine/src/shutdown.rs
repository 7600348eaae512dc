//! When the sidecar exits after SIGTERM.

use std::time::Duration;

use crate::drain_state::DrainState;
use crate::hook_callers::HookCallers;
use crate::incarnation::IncarnationState;
use crate::policy::{Policy, SigtermPolicy};
use crate::reading::ReadErrorKind;
use crate::target_tracker::TargetTracker;
use crate::time::Time;

/// How long `auto` waits for a hook: a kubelet that stops the pod calls it within a few seconds.
const HOOK_WAIT: Duration = Duration::from_secs(30);

/// The progress of the sidecar's shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shutdown {
    /// It has received no SIGTERM.
    #[default]
    Running,
    /// It waits for a hook until then, as long as there may be streams to drain.
    AwaitingHook(Time),
    /// It exits when the drain is over and the target has ended.
    AfterDrain,
    /// It exits now.
    Immediate,
}

/// What the decision to exit depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownInput {
    /// The time.
    pub now: Time,
    /// Whether there may be open streams.
    pub may_have_streams: bool,
    /// Whether the target has ended; `None` if no target is known.
    pub target_ended: Option<bool>,
    /// Whether the child and the target have ended; `None` if lameduck has no child.
    pub child_ended: Option<bool>,
    /// Whether an unauthorized caller waits. The exit would end its call. If the caller is the kubelet, it would then
    /// send SIGTERM.
    pub has_unauthorized: bool,
}

impl ShutdownInput {
    /// Collects the input from the parts.
    #[must_use]
    pub fn new(
        now: Time,
        policy: &Policy,
        target: &TargetTracker,
        incarnation: &IncarnationState,
        callers: &HookCallers,
    ) -> Self {
        let is_alive = target.alive().is_some();
        let sources = &incarnation.sources;
        let may_have_streams = match sources.streams() {
            Some(streams) if streams > 0 => true,
            // If only the exit ends a drain, zero streams do not mean zero work.
            Some(_) => is_alive && policy.wait_for_exit,
            None => {
                let refused = sources.all_failed(target.observed_since.at, &[ReadErrorKind::ConnectionRefused]);
                is_alive || (sources.ever_answered() && !refused)
            }
        };
        let target_ended = target.target().map(|target| !target.is_alive());
        let child_ended = policy.is_parent().then(|| target.child.is_over(now, &policy.times) && !is_alive);
        Self { now, may_have_streams, target_ended, child_ended, has_unauthorized: callers.has_unauthorized() }
    }
}

impl Shutdown {
    /// Whether nothing stops the target: there is no drain, no SIGTERM to the pod, and no unauthorized hook call.
    #[must_use]
    pub fn lets_target_serve(self, drain: &DrainState, callers: &HookCallers) -> bool {
        self == Self::Running && drain.is_serving() && !callers.has_unauthorized()
    }

    /// Handles a SIGTERM, and returns whether it starts a drain.
    #[must_use]
    pub fn on_sigterm(&mut self, policy: &Policy, drain: &DrainState, now: Time) -> bool {
        let drains = matches!(policy.on_sigterm, SigtermPolicy::Drain | SigtermPolicy::StopChild);
        let starts_drain = drain.is_serving() && drains && *self != Self::Immediate;
        *self = match (*self, policy.on_sigterm) {
            (Self::Immediate, _) | (_, SigtermPolicy::Exit) => Self::Immediate,
            (_, SigtermPolicy::Drain | SigtermPolicy::StopChild) => Self::AfterDrain,
            (_, SigtermPolicy::Auto) if !drain.is_serving() => Self::AfterDrain,
            (Self::Running, SigtermPolicy::Auto) => Self::AwaitingHook(now + HOOK_WAIT),
            // A second SIGTERM does not extend the wait, or start another one after a drain.
            (Self::AwaitingHook(_) | Self::AfterDrain, SigtermPolicy::Auto) => *self,
        };
        starts_drain
    }

    /// Handles the start of a drain: a sidecar that awaited a hook exits after the drain.
    pub const fn on_drain(&mut self) {
        if self.awaits_hook() {
            *self = Self::AfterDrain;
        }
    }

    /// Whether SIGTERM has arrived, but no hook call yet.
    #[must_use]
    pub const fn awaits_hook(self) -> bool {
        matches!(self, Self::AwaitingHook(_))
    }

    /// Whether the sidecar exits now. `lameduck run` exits when nothing is left that it could stop.
    #[must_use]
    pub fn should_exit(self, drain: &DrainState, input: ShutdownInput) -> bool {
        if let Some(child_ended) = input.child_ended {
            return child_ended;
        }
        match (self, drain) {
            (Self::Running, _) | (Self::AfterDrain, DrainState::Active(_)) => false,
            (Self::Immediate, _) => true,
            (Self::AfterDrain, DrainState::Serving) => !input.has_unauthorized,
            (Self::AwaitingHook(until), _) => {
                !input.has_unauthorized && (input.now >= until || !input.may_have_streams)
            }
            // Every authorized caller was answered when the drain ended.
            (Self::AfterDrain, DrainState::Finished(_)) => input.target_ended.unwrap_or(!input.has_unauthorized),
        }
    }

    /// When the decision must be made again even if nothing happens.
    #[must_use]
    pub const fn timeout(self, has_unauthorized: bool) -> Option<Time> {
        match self {
            Self::AwaitingHook(until) if !has_unauthorized => Some(until),
            Self::AwaitingHook(_) | Self::Running | Self::AfterDrain | Self::Immediate => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain_id::DrainId;
    use crate::policy::tests::policy;
    use crate::result::{DrainResult, Outcome, Trigger};
    use crate::saved_drain::{SavedDrain, SavedResult};
    use crate::time::tests::at;
    use crate::warnings::Warnings;

    const QUIET: ShutdownInput = ShutdownInput {
        now: Time::since_boot(Duration::from_secs(10)),
        may_have_streams: false,
        target_ended: Some(false),
        child_ended: None,
        has_unauthorized: false,
    };

    fn after_sigterm(on_sigterm: SigtermPolicy) -> (Shutdown, bool) {
        let mut shutdown = Shutdown::default();
        let starts_drain = shutdown.on_sigterm(&Policy { on_sigterm, ..policy() }, &DrainState::Serving, at(10));
        (shutdown, starts_drain)
    }

    #[test]
    fn each_sigterm_policy_is_followed() {
        assert_eq!(after_sigterm(SigtermPolicy::Drain), (Shutdown::AfterDrain, true));
        assert_eq!(after_sigterm(SigtermPolicy::Exit), (Shutdown::Immediate, false));
        assert_eq!(after_sigterm(SigtermPolicy::Auto), (Shutdown::AwaitingHook(at(40)), false));
    }

    /// A drain that ended without a target.
    fn finished_drain() -> DrainState {
        let (id, warnings) = (DrainId(1), Warnings::default());
        let result = DrainResult {
            id,
            outcome: Outcome::Drained,
            streams_at_start: Some(0),
            streams_at_signal: None,
            stragglers: Some(0),
            idle_streams: 0,
            duration: Duration::from_secs(5),
            signalled: false,
            warnings,
        };
        let saved = SavedDrain {
            id,
            incarnation: None,
            trigger: Trigger::Hook,
            started_at: at(0),
            deadline: at(50),
            streams_at_start: Some(0),
            signal: None,
            hook_joined: true,
            warnings,
            finished: Some(SavedResult { ended_at: at(5), result, reported: true }),
        };
        DrainState::resume(&saved, &policy(), at(10))
    }

    #[test]
    fn unknown_target_holds_the_sidecar_only_for_unauthorized_callers() {
        for drain in [DrainState::Serving, finished_drain()] {
            let exits = |has_unauthorized| {
                let input = ShutdownInput { target_ended: None, has_unauthorized, ..QUIET };
                Shutdown::AfterDrain.should_exit(&drain, input)
            };
            assert_eq!([false, true].map(exits), [true, false]);
        }
    }

    #[test]
    fn second_sigterm_extends_nothing() {
        let (mut shutdown, _) = after_sigterm(SigtermPolicy::Auto);
        assert!(!shutdown.on_sigterm(&policy(), &DrainState::Serving, at(20)));
        assert_eq!(shutdown, Shutdown::AwaitingHook(at(40)));
        shutdown.on_drain();
        assert_eq!((shutdown, shutdown.timeout(false)), (Shutdown::AfterDrain, None));
        assert!(!shutdown.on_sigterm(&policy(), &DrainState::Serving, at(50)));
        assert_eq!(shutdown, Shutdown::AfterDrain);
    }

    #[test]
    fn auto_awaits_a_hook_while_there_may_be_streams() {
        let (shutdown, _) = after_sigterm(SigtermPolicy::Auto);
        let exits = |input| shutdown.should_exit(&DrainState::Serving, input);
        assert!(exits(QUIET));
        let busy = ShutdownInput { may_have_streams: true, ..QUIET };
        assert!(!exits(busy) && exits(ShutdownInput { now: at(40), ..busy }));
        assert!(!exits(ShutdownInput { has_unauthorized: true, ..QUIET }));
        assert_eq!((shutdown.timeout(false), shutdown.timeout(true)), (Some(at(40)), None));
    }

    #[test]
    fn parent_exits_with_its_child_alone() {
        for shutdown in [Shutdown::Running, Shutdown::AfterDrain] {
            for drain in [DrainState::Serving, finished_drain()] {
                let exits = |child_ended| {
                    let child_ended = Some(child_ended);
                    shutdown.should_exit(&drain, ShutdownInput { target_ended: None, child_ended, ..QUIET })
                };
                assert_eq!([false, true].map(exits), [false, true]);
            }
        }
    }
}
