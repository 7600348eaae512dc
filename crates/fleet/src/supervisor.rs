//! The event loop. It owns the only clock, passes each event to the machine, and performs the machine's actions.

use std::time::{Duration, UNIX_EPOCH};

use lameduck::io::clock::Clock;
use lameduck::io::log::Nullable;
use lameduck_fleet_machine::controller::Controller;
use lameduck_fleet_machine::io::{Action, Input, Notice};
use lameduck_fleet_machine::report::DrainReport;
use lameduck_fleet_machine::settings::Settings;
use lameduck_machine::time::Time;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::kube_api::KubeApi;
use crate::lease::FleetLease;
use crate::pod_view::Now;
use crate::server::{Page, PageRequest};
use crate::sidecar::Sidecars;
use crate::{metrics, outcomes};

/// How long an orderly exit may take.
const EXIT_TIMEOUT: Duration = Duration::from_secs(20);

/// What the loop performs actions with.
#[derive(Clone)]
pub struct Effects {
    /// The API server.
    pub api: KubeApi,
    /// The lease.
    pub lease: FleetLease,
    /// The sidecars.
    pub sidecars: Sidecars,
    /// The name of this replica.
    pub identity: String,
}

/// The queues of the loop.
pub struct Queues {
    /// Inputs of the watch and of finished actions.
    pub inputs: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
    /// Requests of the server.
    pub pages: mpsc::Receiver<PageRequest>,
    /// Receives a value when this process must stop.
    pub stop: mpsc::Receiver<()>,
}

/// The event loop.
pub struct Supervisor {
    machine: Controller,
    clock: Clock,
    effects: Effects,
    tasks: JoinSet<()>,
    inputs: mpsc::Sender<Input>,
    is_listed: bool,
    stop_at: Option<Time>,
}

/// The time on both clocks.
#[must_use]
pub fn now(clock: &Clock) -> Now {
    let time = clock.now();
    let unix = clock.wall_clock_at_boot() + time.as_duration();
    Now { time, unix_seconds: i64::try_from(unix.as_secs()).unwrap_or(i64::MAX) }
}

/// Runs until this process must stop.
pub async fn run(clock: Clock, settings: Settings, effects: Effects, queues: Queues) {
    let Queues { inputs: (sender, mut inputs), mut pages, mut stop } = queues;
    let machine = Controller::new(clock.now(), settings, effects.identity.clone());
    let mut supervisor =
        Supervisor { machine, clock, effects, tasks: JoinSet::new(), inputs: sender, is_listed: false, stop_at: None };
    loop {
        supervisor.perform();
        if supervisor.is_done() {
            break;
        }
        let wake = clock.instant(supervisor.machine.poll_timeout());
        tokio::select! {
            Some(()) = stop.recv() => supervisor.stop(),
            Some(input) = inputs.recv() => supervisor.handle(input),
            Some(request) = pages.recv() => supervisor.answer(request),
            Some(_) = supervisor.tasks.join_next() => {}
            () = tokio::time::sleep_until(wake) => supervisor.handle(Input::Tick),
        }
    }
    // The lease is released by a task.
    let ends = async { while supervisor.tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(EXIT_TIMEOUT, ends).await;
}

impl Supervisor {
    fn handle(&mut self, input: Input) {
        self.is_listed |= input == Input::ListEnded;
        self.machine.handle(self.clock.now(), input);
    }

    fn stop(&mut self) {
        info!("stopping: protections that do not end by themselves are removed");
        self.stop_at.get_or_insert(self.clock.now() + EXIT_TIMEOUT);
        self.handle(Input::Shutdown);
    }

    fn is_done(&self) -> bool {
        let is_late = self.stop_at.is_some_and(|stop_at| self.clock.now() >= stop_at);
        if is_late && !self.machine.is_stopped() {
            warn!("the protections of some pods could not be removed; `lameduck-fleet cleanup` removes them");
        }
        is_late || self.machine.is_stopped()
    }

    fn perform(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            self.perform_action(action);
        }
    }

    fn perform_action(&mut self, action: Action) {
        let Effects { api, lease, sidecars, identity } = self.effects.clone();
        match action {
            Action::Poll { pod, ip, requested_at } => self.spawn(async move {
                let status = sidecars.status(ip).await.ok();
                Input::Polled { uid: pod.uid, requested_at, status }
            }),
            Action::Write { pod, keys } => self.spawn(async move {
                let result = api.write(&pod, keys).await;
                Input::Written(pod.uid, result)
            }),
            Action::ShortenDeadline { pod, ip, drain_end } => {
                let remaining = drain_end.since(self.clock.now());
                info!(%pod, remaining_seconds = remaining.as_secs_f64(), "the pod has less time than its grace period");
                self.spawn(async move {
                    let reply = sidecars.shorten_deadline(ip, remaining).await;
                    Input::DeadlineSent(pod.uid, reply)
                });
            }
            Action::Record { report, is_first } => {
                let time = self.wall_clock(report.seen_at);
                if is_first {
                    log_outcome(&report, &time);
                }
                self.spawn(async move {
                    let result = api.record(&report, &time).await;
                    Input::Recorded(report.key, result)
                });
            }
            Action::ReadLease => self.spawn(async move { Input::LeaseRead(lease.read().await) }),
            Action::WriteLease(write) => {
                let time = self.wall_clock(self.clock.now());
                self.spawn(async move { Input::LeaseWritten(lease.write(&write, &time).await) });
            }
            Action::ReleaseLease => {
                self.tasks.spawn(async move { lease.release(&identity).await });
            }
            Action::Log(notice) => log_notice(&notice),
        }
    }

    /// Runs an action in a task, whose result is an input.
    fn spawn(&mut self, action: impl Future<Output = Input> + Send + 'static) {
        let inputs = self.inputs.clone();
        self.tasks.spawn(async move {
            // The loop has ended if this fails.
            let _ = inputs.send(action.await).await;
        });
    }

    fn wall_clock(&self, time: Time) -> String {
        let since_epoch = self.clock.wall_clock_at_boot() + time.as_duration();
        humantime::format_rfc3339_micros(UNIX_EPOCH + since_epoch).to_string()
    }

    fn answer(&self, request: PageRequest) {
        let answer = match request.page {
            Page::Liveness => (true, "ok\n".to_owned()),
            Page::Readiness if self.is_listed => (true, "ready\n".to_owned()),
            Page::Readiness => (false, "the pods have not been listed yet\n".to_owned()),
            Page::Metrics => (true, metrics::render(&self.machine)),
            Page::Outcomes => (true, outcomes::render(&self.machine, |time| self.wall_clock(time)) + "\n"),
        };
        // The client may have disconnected.
        let _ = request.reply.send(answer);
    }
}

fn log_outcome(report: &DrainReport, time: &str) {
    let outcome = outcomes::outcome(report, time);
    let number = |name: &str| Nullable(outcome[name].as_u64());
    info!(
        pod = %report.pod,
        workload = report.owner.workload,
        outcome = report.outcome().name(),
        id = outcome["id"].as_str(),
        streams_at_start = ?number("streams_at_start"),
        stragglers = ?number("stragglers"),
        seconds = report.duration().as_secs_f64(),
        warnings = %outcome["warnings"],
        "drain finished"
    );
}

fn log_notice(notice: &Notice) {
    match notice {
        Notice::KeyOwnedByOther { pod, workload, key } => warn!(
            %pod,
            workload,
            annotation = key.name(),
            "another field manager owns this annotation, so it is not written on pods of this workload that have it; \
             `kubectl get pod POD -o yaml --show-managed-fields` names the owner"
        ),
        Notice::CostManagedByKarpenter { pod, workload } => {
            warn!(%pod, workload, "Karpenter manages the deletion costs of this workload, so they are not written");
        }
        Notice::DeadlineRefused(pod) => error!(
            %pod,
            "the sidecar refuses a shorter deadline, so its drain may be cut off by SIGKILL: give the sidecar and \
             lameduck-fleet the same token with --token-file"
        ),
        Notice::ProtectionExpired(pod) => {
            warn!(%pod, "the pod had active streams for --protection-max-age, and is not protected any more");
        }
        Notice::Leading => info!("this replica is the leader: it writes"),
        Notice::NotLeading => warn!("this replica is no longer the leader: it only watches"),
    }
}
