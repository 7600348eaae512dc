//! The event loop under paused time: hours pass in no time, and to the millisecond.
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use lameduck::io::clock::Clock;
use lameduck::queue::{Event, Question};
use lameduck::supervisor::Supervisor;
use lameduck_machine::activity::IdleRule;
use lameduck_machine::controller::Controller;
use lameduck_machine::drain_times::{DrainTimes, TimeArgs};
use lameduck_machine::io::{Action, Input};
use lameduck_machine::policy::{IdlePolicy, Policy, SigtermPolicy};
use lameduck_machine::reading::{Count, Reading, Source};
use lameduck_machine::result::{ExitStatus, Trigger};
use lameduck_machine::snapshot::Snapshot;
use lameduck_machine::target::{Found, Incarnation, SearchResult};
use lameduck_machine::time::Time;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet};

const BOOT: Duration = Duration::from_secs(1_000_000);
const TARGET: Incarnation = Incarnation { pid: 17, started: 200 };

/// What the sources and the target do, and what was done to them.
#[derive(Default)]
struct Fake {
    /// The streams on the page; `None` hangs.
    streams: Option<u64>,
    signals: Vec<Time>,
    done: Vec<Action>,
}

struct Loop {
    clock: Clock,
    queue: mpsc::Sender<Event>,
    fake: Rc<RefCell<Fake>>,
    running: JoinHandle<Snapshot>,
}

fn plan(grace: u64) -> DrainTimes {
    let times = TimeArgs {
        grace_period: Duration::from_secs(grace),
        exit_margin: None,
        lame_duck: None,
        quiet_period: None,
        exit_wait: None,
        poll_interval: Duration::from_secs(1),
        scrape_timeout: Duration::from_secs(2),
    };
    DrainTimes::new(&times).unwrap()
}

fn start(grace: u64, streams: Option<u64>) -> Loop {
    let policy = Policy {
        plan: plan(grace),
        sources: vec![Source::Metrics],
        signal: Some(("SIGINT".into(), 2)),
        wait_for_exit: false,
        idleness: IdlePolicy {
            ports: Vec::new(),
            rule: IdleRule { window: Duration::from_secs(60), rate: 256 },
            ends_drain: false,
        },
        accept_below: None,
        on_sigterm: SigtermPolicy::Drain,
        own_start_ticks: 100,
    };
    let clock = Clock::starting_at(BOOT);
    let fake = Rc::new(RefCell::new(Fake { streams, ..Fake::default() }));
    let (queue, events) = mpsc::channel(64);
    let (world, answers) = (Rc::clone(&fake), queue.clone());
    let perform = move |action| perform(&world, &answers, clock, action);
    let supervisor = Supervisor::new(Controller::new(clock.now(), policy, None), clock, perform);
    let running = tokio::task::spawn_local(supervisor.run(events));
    Loop { clock, queue, fake, running }
}

fn perform(fake: &Rc<RefCell<Fake>>, queue: &mpsc::Sender<Event>, clock: Clock, action: Action) -> Option<Input> {
    let mut fake = fake.borrow_mut();
    fake.done.push(action);
    let answer = match action {
        Action::Seek { requested_at, .. } => {
            let found = Found { incarnation: TARGET, name: "impeller".into(), obstacle: None };
            Input::Sighted { requested_at, sighting: SearchResult::Found(found) }
        }
        Action::Read { requested_at, .. } => {
            let reading = Reading::Counts(vec![Some(Count::of(fake.streams?))]);
            Input::Counted { requested_at, source: Source::Metrics, reading }
        }
        Action::Signal(incarnation) => {
            fake.signals.push(clock.now());
            return Some(Input::Signalled(incarnation, true));
        }
        Action::Watch(_)
        | Action::Write(_)
        | Action::Erase
        | Action::Kill(_)
        | Action::Lived(_)
        | Action::Conclude(_)
        | Action::Release(_)
        | Action::Dismiss(..)
        | Action::Leave => return None,
    };
    queue.try_send(Event::Input(answer)).unwrap();
    None
}

impl Loop {
    async fn call(&self) -> oneshot::Receiver<String> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Event::Question(Question::Prestop(Trigger::Hook, reply))).await.unwrap();
        answer
    }

    async fn status(&self) -> Value {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Event::Question(Question::Status(reply))).await.unwrap();
        serde_json::from_str(&answer.await.unwrap()).unwrap()
    }

    async fn sleep_until(&self, second: f64) {
        tokio::time::sleep_until(self.clock.instant(Time::since_boot(BOOT + Duration::from_secs_f64(second)))).await;
    }

    fn now(&self) -> f64 {
        self.clock.now().since(Time::since_boot(BOOT)).as_secs_f64()
    }

    fn seconds(time: Time) -> f64 {
        time.since(Time::since_boot(BOOT)).as_secs_f64()
    }
}

fn outcome(answer: &str) -> (String, Value) {
    let json: Value = serde_json::from_str(answer).unwrap();
    (json["outcome"].as_str().unwrap().to_owned(), json["stragglers"].clone())
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_streams_is_waited_for_and_then_zero_must_hold_and_the_exit_is_given_its_wait() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(7200, Some(3));
            sidecar.sleep_until(10.0).await;
            let answer = sidecar.call().await;
            sidecar.sleep_until(3600.25).await;
            sidecar.fake.borrow_mut().streams = Some(0);
            assert_eq!(outcome(&answer.await.unwrap()), ("drained".into(), 0.into()));
            // The poll at 3601 sees zero first; quiet period 2 s and exit wait 10 s follow.
            assert!((sidecar.now() - 3613.0).abs() < 0.1, "answered at {}", sidecar.now());
            let signals: Vec<f64> = sidecar.fake.borrow().signals.iter().map(|at| Loop::seconds(*at)).collect();
            assert!(matches!(signals[..], [at] if (at - 15.0).abs() < 0.1), "signalled at {signals:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_hangs_holds_the_hook_to_the_deadline_and_not_beyond() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(60, Some(3));
            sidecar.sleep_until(10.0).await;
            let answer = sidecar.call().await;
            sidecar.sleep_until(20.0).await;
            sidecar.fake.borrow_mut().streams = None;
            assert_eq!(outcome(&answer.await.unwrap()), ("expired".into(), Value::Null));
            assert!((sidecar.now() - 65.0).abs() < 0.01, "answered at {}", sidecar.now());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn every_caller_gets_the_same_answer_and_every_question_is_answered_meanwhile() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(60, Some(1));
            sidecar.sleep_until(3.0).await;
            let mut answers = VecDeque::new();
            for _ in 0..50 {
                answers.push_back(sidecar.call().await);
            }
            let (reply, live) = oneshot::channel();
            sidecar.queue.send(Event::Question(Question::Live(reply))).await.unwrap();
            live.await.unwrap();
            assert_eq!(sidecar.status().await["phase"], "lame_duck");
            sidecar.queue.send(Event::Input(Input::Exited(TARGET, ExitStatus::Code(0)))).await.unwrap();
            let first = answers.pop_front().unwrap().await.unwrap();
            for answer in answers {
                assert_eq!(answer.await.unwrap(), first);
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_comes_again_after_its_caller_was_lost_gets_the_whole_budget_again() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(60, Some(1));
            sidecar.sleep_until(3.0).await;
            drop(sidecar.call().await);
            sidecar.sleep_until(30.0).await;
            let again = sidecar.call().await;
            let remaining = sidecar.status().await["drain"]["remaining_seconds"].as_f64().unwrap();
            assert!((remaining - 55.0).abs() < 0.1, "{remaining} s remain");
            sidecar.sleep_until(40.0).await;
            let third = sidecar.call().await;
            assert_eq!(outcome(&again.await.unwrap()).0, "expired");
            assert!((sidecar.now() - 85.0).abs() < 0.1, "a third call beside a waiting one moves nothing");
            assert_eq!(outcome(&third.await.unwrap()).0, "expired");
            assert_eq!(sidecar.fake.borrow().signals.len(), 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn after_sigterm_and_a_drain_the_loop_ends_when_the_target_is_gone() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(60, Some(2));
            sidecar.sleep_until(3.0).await;
            sidecar.queue.send(Event::Sigterm(Some(1))).await.unwrap();
            sidecar.sleep_until(10.0).await;
            assert!(!sidecar.running.is_finished());
            sidecar.queue.send(Event::Input(Input::Exited(TARGET, ExitStatus::Killed(9)))).await.unwrap();
            let left = sidecar.running.await.unwrap();
            assert_eq!(left.result.unwrap().stragglers, Some(2));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_note_is_written_before_the_signal_goes_out() {
    LocalSet::new()
        .run_until(async {
            let sidecar = start(60, Some(2));
            sidecar.sleep_until(3.0).await;
            let _answer = sidecar.call().await;
            sidecar.sleep_until(20.0).await;
            let fake = sidecar.fake.borrow();
            let signal = fake.done.iter().position(|action| matches!(action, Action::Signal(_))).unwrap();
            let noted = |action: &Action| matches!(action, Action::Write(note) if note.signalled);
            assert!(fake.done[..signal].iter().any(noted));
        })
        .await;
}
