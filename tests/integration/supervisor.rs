//! The event loop under paused time: hours pass at once, and exactly to the millisecond.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use lameduck::io::clock::Clock;
use lameduck::io::report::{OutcomeReport, StatusReport};
use lameduck::queue::{Event, HookCall, HookReply, PollResult, Request, Stop};
use lameduck::supervisor::{ActionResult, Supervisor};
use lameduck_machine::io::{Action, CallKind, Input, Poll, PollRequest};
use lameduck_machine::policy::{Policy, SigtermPolicy};
use lameduck_machine::reading::{Count, Reading, Source};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::snapshot::Snapshot;
use lameduck_machine::target::{Found, Incarnation, SearchResult};
use lameduck_machine::time::Time;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet};

const BOOT: Duration = Duration::from_secs(1_000_000);
const SIGTERM: Stop = Stop { signal: "SIGTERM", sender: Some(1), from_terminal: false };
const TARGET: Incarnation = Incarnation { pid: 17, started: 200 };

/// What the sources and the target do, and what was done to them.
#[derive(Default)]
struct Fake {
    /// The streams on the page; `None` hangs.
    streams: Option<u64>,
    signals: Vec<Time>,
    actions: Vec<Action>,
}

/// A running event loop.
struct Loop {
    clock: Clock,
    queue: mpsc::Sender<Event>,
    fake: Rc<RefCell<Fake>>,
    running: JoinHandle<Snapshot>,
}

/// Starts a loop with a grace period of this many seconds.
fn start(grace: u64, streams: Option<u64>) -> Loop {
    let mut policy = Policy { on_sigterm: SigtermPolicy::Drain, ..lameduck_test_support::machine::policy() };
    policy.times.grace_period = Duration::from_secs(grace);
    let clock = Clock::starting_at(BOOT);
    let fake = Rc::new(RefCell::new(Fake { streams, ..Fake::default() }));
    let (queue, events) = mpsc::channel(64);
    let (world, answers) = (Rc::clone(&fake), queue.clone());
    let perform = move |action| perform(&world, &answers, clock, action);
    let running = tokio::task::spawn_local(Supervisor::new(clock, policy, None, perform).run(events));
    Loop { clock, queue, fake, running }
}

fn perform(
    fake: &Rc<RefCell<Fake>>,
    queue: &mpsc::Sender<Event>,
    clock: Clock,
    action: Action,
) -> Option<ActionResult> {
    let mut fake = fake.borrow_mut();
    fake.actions.push(action);
    let answer = match action {
        Action::FindTarget { requested_at, .. } => {
            let found = Found { incarnation: TARGET, name: "impeller".into(), blocker: None };
            Event::Input(Input::SearchResult { requested_at, result: SearchResult::Found(found) })
        }
        Action::PollSources(PollRequest { requested_at, target, .. }) => {
            let reading = Reading::Counts(vec![Some(Count::of(fake.streams?))]);
            let poll = Poll { requested_at, target, readings: vec![(Source::Metrics, reading)], ..Poll::default() };
            Event::Polled(PollResult { poll, durations: Vec::new() })
        }
        Action::SendSignal(incarnation) => {
            fake.signals.push(clock.now());
            return Some(ActionResult::Signalled(incarnation, true));
        }
        Action::WatchTarget(_)
        | Action::SaveState(_)
        | Action::ClearState
        | Action::KillTarget(_)
        | Action::SignalChild(_)
        | Action::StreamEnded(_)
        | Action::ReportOutcome(_)
        | Action::WriteRecord(..)
        | Action::ClearRecord(_)
        | Action::CountStragglers(_)
        | Action::TargetEnded(_)
        | Action::Reply(..)
        | Action::Exit => return None,
    };
    queue.try_send(answer).unwrap();
    None
}

impl Loop {
    async fn request<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Event::Request(request(reply))).await.unwrap();
        answer
    }

    async fn call_hook(&self) -> oneshot::Receiver<HookReply> {
        self.request(|reply| Request::Hook(HookCall { kind: CallKind::Hook, peer: None, made_at: None, reply })).await
    }

    async fn status(&self) -> Box<StatusReport> {
        self.request(Request::Status).await.await.unwrap()
    }

    async fn sleep_until(&self, second: f64) {
        tokio::time::sleep_until(self.clock.instant(Time::since_boot(BOOT + Duration::from_secs_f64(second)))).await;
    }

    fn now(&self) -> f64 {
        Self::seconds(self.clock.now())
    }

    fn seconds(time: Time) -> f64 {
        time.since(Time::since_boot(BOOT)).as_secs_f64()
    }
}

/// The outcome of an answered call and its stragglers.
fn outcome(reply: HookReply) -> (String, Option<u64>) {
    let HookReply::Finished(OutcomeReport { outcome, stragglers, .. }) = reply else { panic!("{reply:?}") };
    (outcome, stragglers)
}

#[tokio::test(start_paused = true)]
async fn hour_of_streams_is_awaited_then_quiet_period_and_exit_wait() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(7200, Some(3));
            sidecar.sleep_until(10.0).await;
            let answer = sidecar.call_hook().await;
            sidecar.sleep_until(3600.25).await;
            sidecar.fake.borrow_mut().streams = Some(0);
            assert_eq!(outcome(answer.await.unwrap()), ("drained".into(), Some(0)));
            // The poll at 3601 sees zero first; quiet period 2 s and exit wait 10 s follow.
            assert!((sidecar.now() - 3613.0).abs() < 0.1, "answered at {}", sidecar.now());
            let signals: Vec<f64> = sidecar.fake.borrow().signals.iter().map(|at| Loop::seconds(*at)).collect();
            assert!(matches!(signals[..], [at] if (at - 15.0).abs() < 0.1), "signalled at {signals:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn hanging_page_holds_the_hook_exactly_to_the_deadline() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(60, Some(3));
            sidecar.sleep_until(10.0).await;
            let answer = sidecar.call_hook().await;
            sidecar.sleep_until(20.0).await;
            sidecar.fake.borrow_mut().streams = None;
            assert_eq!(outcome(answer.await.unwrap()), ("expired".into(), None));
            assert!((sidecar.now() - 65.0).abs() < 0.01, "answered at {}", sidecar.now());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn all_callers_get_one_answer_and_probes_are_answered_meanwhile() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(60, Some(1));
            sidecar.sleep_until(3.0).await;
            let mut answers = VecDeque::new();
            for _ in 0..50 {
                answers.push_back(sidecar.call_hook().await);
            }
            sidecar.request(Request::Liveness).await.await.unwrap();
            assert_eq!(sidecar.status().await.phase, "lame_duck");
            sidecar.queue.send(Event::Input(Input::Exited(TARGET, ExitStatus::Code(0)))).await.unwrap();
            let first = answers.pop_front().unwrap().await.unwrap();
            for answer in answers {
                assert_eq!(answer.await.unwrap(), first);
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn hook_after_a_lost_caller_gets_the_whole_budget() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(60, Some(1));
            sidecar.sleep_until(3.0).await;
            drop(sidecar.call_hook().await);
            sidecar.sleep_until(30.0).await;
            let again = sidecar.call_hook().await;
            let remaining = sidecar.status().await.drain.unwrap().remaining_seconds;
            assert!((remaining - 55.0).abs() < 0.1, "{remaining} s remain");
            sidecar.sleep_until(40.0).await;
            let third = sidecar.call_hook().await;
            assert_eq!(outcome(again.await.unwrap()).0, "expired");
            assert!((sidecar.now() - 85.0).abs() < 0.1, "a third call next to a waiting one moves nothing");
            assert_eq!(outcome(third.await.unwrap()).0, "expired");
            assert_eq!(sidecar.fake.borrow().signals.len(), 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn loop_ends_after_sigterm_when_target_is_gone() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(60, Some(2));
            sidecar.sleep_until(3.0).await;
            sidecar.queue.send(Event::Stop(SIGTERM)).await.unwrap();
            sidecar.sleep_until(10.0).await;
            assert!(!sidecar.running.is_finished());
            sidecar.queue.send(Event::Input(Input::Exited(TARGET, ExitStatus::Killed(9)))).await.unwrap();
            let left = sidecar.running.await.unwrap();
            assert_eq!(left.result.unwrap().stragglers, Some(2));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn drain_is_saved_before_the_signal_is_sent() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(60, Some(2));
            sidecar.sleep_until(3.0).await;
            let _answer = sidecar.call_hook().await;
            sidecar.sleep_until(20.0).await;
            let fake = sidecar.fake.borrow();
            let signal = fake.actions.iter().position(|action| matches!(action, Action::SendSignal(_))).unwrap();
            let saved = |action: &Action| matches!(action, Action::SaveState(drain) if drain.signal.is_some());
            assert!(fake.actions[..signal].iter().any(saved));
        })
        .await;
}
