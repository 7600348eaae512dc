//! Runs one drain, from the start of its pod to the end of its sidecar.

mod end;

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::events::{Event, events};
use crate::incarnation::{End, Incarnation};
use crate::jitter::now;
use crate::matrix::{
    BUDGET, EXIT_MARGIN, EXIT_WAIT, EngineBehavior, LAME_DUCK, PageFault, QUIET_PERIOD, SCRAPE_TIMEOUT, Scenario, Stage,
};
use crate::record::{HookCall, Record};
use crate::run;
use lameduck_test_support::http::Call;
use lameduck_test_support::process::{free_address, wait_until};
use lameduck_test_support::sidecar::{Sidecar, SidecarEnv};

/// How long after a deadline the test gives up.
const GIVE_UP: Duration = Duration::from_secs(15);
/// Interval between two reads of the termination message, once no caller is left.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

struct DrainRun<'a> {
    scenario: &'a Scenario,
    pod: SidecarEnv,
    /// The addresses of the streams and of the metrics page.
    ports: [SocketAddr; 2],
    sidecar: Sidecar,
    engines: Vec<Incarnation>,
    called_at: Duration,
    received_at: Duration,
    /// Callers that disconnect before the outcome.
    impatient: Vec<Call>,
    answers: (Sender<HookCall>, Receiver<HookCall>),
    calls: Vec<HookCall>,
    waiting: usize,
    /// No caller is left, so the termination message is the only answer.
    no_callers: bool,
    fault: Option<(Duration, Duration)>,
    fault_seen: bool,
    replaced: bool,
    restarts: usize,
}

/// Runs the scenario's drain.
pub(crate) fn run(scenario: &Scenario) -> Record {
    let mut run = DrainRun::start(scenario);
    if scenario.combination.stage == Stage::Serving {
        run.fault_while_serving();
    }
    run.begin_drain();
    run.run_events();
    run.finish()
}

impl<'a> DrainRun<'a> {
    fn start(scenario: &'a Scenario) -> Self {
        let ports = [free_address(), free_address()];
        let pod = SidecarEnv::new(&format!("http://{}/metrics", ports[1]));
        let (sidecar, engine) = if scenario.combination.is_run() {
            let (sidecar, mut engine) = run::start(&pod, scenario, ports);
            engine.open_streams(scenario.streams.len());
            (sidecar, engine)
        } else {
            let mut engine = Incarnation::start(&pod.dir, &pod.target_name, ports, scenario.ignores_sigint);
            engine.open_streams(scenario.streams.len());
            (start_sidecar(&pod, scenario), engine)
        };
        sidecar.wait_for_status("/target/pid", engine.pid());
        sidecar.wait_for_status("/streams", scenario.streams.len());
        if !scenario.ignores_sigint {
            sidecar.wait_for_ready();
        }
        Self {
            scenario,
            pod,
            ports,
            sidecar,
            engines: vec![engine],
            called_at: Duration::ZERO,
            received_at: Duration::ZERO,
            impatient: Vec::new(),
            answers: channel(),
            calls: Vec::new(),
            waiting: 0,
            no_callers: false,
            fault: None,
            fault_seen: false,
            replaced: false,
            restarts: 0,
        }
    }

    fn engine(&mut self) -> &mut Incarnation {
        self.engines.last_mut().expect("there is always an engine")
    }

    /// A replacement engine serves a healthy page first; otherwise it would count as never having served.
    fn fault_while_serving(&mut self) {
        let behavior = self.scenario.combination.behavior;
        if behavior == EngineBehavior::Replaced {
            self.apply_behavior(self.scenario.streams.len());
            let pid = self.engine().pid();
            self.sidecar.wait_for_status("/target/pid", pid);
            self.sidecar.wait_for_status("/streams", self.scenario.streams.len());
        }
        self.break_page();
        self.wait_until_fault_seen();
        if behavior != EngineBehavior::Replaced {
            self.apply_behavior(0);
        }
        if matches!(behavior, EngineBehavior::Exits | EngineBehavior::Killed) {
            let gone = |status: &Value| status.pointer("/target/alive") != Some(&Value::from(true));
            wait_until(|| gone(&self.sidecar.status()));
        }
    }

    fn wait_until_fault_seen(&mut self) {
        let page = self.ports[1];
        let down = self.scenario.combination.page == PageFault::Down;
        wait_until(|| if down { TcpStream::connect(page).is_err() } else { self.engine().count_lines("faulty") > 0 });
        self.sidecar.wait_for_readings(1);
        self.fault_seen = true;
    }

    fn begin_drain(&mut self) {
        self.called_at = now();
        let (called_at, streams) = (self.called_at, &self.scenario.streams);
        self.engines.last_mut().expect("there is always an engine").end_streams(called_at, streams);
        if self.scenario.combination.is_run() {
            self.request_stop();
        } else {
            self.call_hooks();
        }
        self.impatient = self.scenario.disconnects.iter().map(|_| Call::get(self.pod.address, "/prestop")).collect();
    }

    /// Stops `lameduck run`. Its only answer is the termination message.
    fn request_stop(&mut self) {
        self.sidecar.signal(Signal::SIGTERM);
        wait_until(|| self.pod.dir.join("termination").exists());
        (self.received_at, self.no_callers) = (now(), true);
    }

    fn call_hooks(&mut self) {
        let called_at = now();
        let calls: Vec<Call> = (0..self.scenario.callers).map(|_| Call::get(self.pod.address, "/prestop")).collect();
        assert_eq!(self.sidecar.get("/livez").status, 200, "the sidecar's event loop is running");
        self.received_at = now();
        let received_at = self.received_at;
        self.waiting += calls.len();
        for call in calls {
            let answers = self.answers.0.clone();
            thread::spawn(move || {
                let outcome = outcome(call);
                answers.send(HookCall { called_at, received_at, released_at: now(), outcome })
            });
        }
    }

    /// Runs the scenario's events until the hook is released.
    fn run_events(&mut self) {
        let mut events = events(self.scenario);
        loop {
            let next = events.first().map(|(after, _)| self.called_at + *after);
            if let Some((_, event)) = next.filter(|at| now() >= *at).map(|_| events.remove(0)) {
                self.apply(event);
                continue;
            }
            if self.wait_for_outcome(next) || now() > self.called_at + BUDGET * 2 + GIVE_UP {
                return;
            }
        }
    }

    /// Waits for an answer until the next event is due; returns whether there was an outcome.
    fn wait_for_outcome(&mut self, next_event: Option<Duration>) -> bool {
        if self.no_callers {
            return self.read_termination_message();
        }
        let timeout = next_event.map_or(POLL_INTERVAL * 10, |next| next.saturating_sub(now()));
        match self.answers.1.recv_timeout(timeout) {
            Ok(call) => self.record_call(call),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }

    fn read_termination_message(&mut self) -> bool {
        thread::sleep(POLL_INTERVAL);
        let released_at = now();
        // The sidecar may be in the middle of writing it.
        let text = std::fs::read(self.pod.dir.join("termination")).ok();
        let record: Option<Value> = text.and_then(|text| serde_json::from_slice(&text).ok());
        // Until the drain is over, the record is provisional.
        let outcome = record.filter(|record| record["outcome"] != "interrupted");
        let found = outcome.is_some();
        if found {
            let (called_at, received_at) = (self.called_at, self.received_at);
            self.calls.push(HookCall { called_at, received_at, released_at, outcome });
        }
        found
    }

    fn record_call(&mut self, call: HookCall) -> bool {
        self.waiting -= 1;
        let has_outcome = call.outcome.is_some();
        self.calls.push(call);
        has_outcome
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::BreakPage => self.break_page(),
            Event::RepairPage => self.repair_page(),
            Event::Behavior => self.apply_behavior(1),
            Event::ResumeEngine => self.engine().signal(Signal::SIGCONT),
            Event::RestartSidecar => self.restart_sidecar(),
            Event::Disconnect => drop(self.impatient.pop()),
        }
    }

    fn break_page(&mut self) {
        self.fault = Some((now(), Duration::MAX));
        let fault = self.scenario.combination.page.name();
        self.engine().send_command(&format!("page {fault}"));
    }

    fn repair_page(&mut self) {
        self.engine().send_command("page ok");
        if let Some((_, until)) = &mut self.fault {
            *until = now();
        }
    }

    /// Applies the scenario's engine behavior; a replacement engine gets this many streams.
    fn apply_behavior(&mut self, streams: usize) {
        let code = self.scenario.code;
        match self.scenario.combination.behavior {
            EngineBehavior::Drains if self.scenario.lingers => self.engine().send_command("ignore"),
            EngineBehavior::Drains => {}
            EngineBehavior::Exits => self.engine().end(End::Exit(code)),
            EngineBehavior::Killed => self.engine().end(End::Kill),
            EngineBehavior::Replaced => self.replace_engine(streams),
            EngineBehavior::Ignores => self.engine().send_command("ignore"),
            EngineBehavior::Stopped => self.engine().signal(Signal::SIGSTOP),
        }
    }

    fn replace_engine(&mut self, streams: usize) {
        self.replaced = true;
        if !self.scenario.overlaps {
            self.engine().end(End::Kill);
        }
        let mut new = Incarnation::start(&self.pod.dir, &self.pod.target_name, self.ports, false);
        if self.scenario.overlaps {
            thread::sleep(self.scenario.poll_interval());
            self.engine().end(End::Kill);
        }
        new.open_streams(streams);
        self.engines.push(new);
        if self.fault.is_some_and(|(_, until)| until == Duration::MAX) {
            self.break_page();
        }
    }

    fn restart_sidecar(&mut self) {
        self.restarts += 1;
        self.sidecar.signal(Signal::SIGKILL);
        self.sidecar.exit_code();
        self.sidecar = start_sidecar(&self.pod, self.scenario);
        if self.scenario.calls_again {
            self.call_hooks();
        } else {
            self.no_callers = true;
        }
    }
}

/// The answer to a held call; `None` if the connection was cut.
fn outcome(call: Call) -> Option<Value> {
    let text = String::from_utf8(call.bytes()).expect("an answer is text");
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some(serde_json::from_str(body).expect("an outcome is JSON"))
}

fn start_sidecar(pod: &SidecarEnv, scenario: &Scenario) -> Sidecar {
    let args = settings(scenario);
    pod.start(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The settings of each sidecar and of each `lameduck run`.
pub(crate) fn settings(scenario: &Scenario) -> Vec<String> {
    let millis = |duration: Duration| format!("{}ms", duration.as_millis());
    let flags = [
        ("--grace-period", BUDGET + EXIT_MARGIN),
        ("--exit-margin", EXIT_MARGIN),
        ("--lame-duck", LAME_DUCK),
        ("--quiet-period", QUIET_PERIOD),
        ("--exit-wait", EXIT_WAIT),
        ("--poll-interval", scenario.poll_interval()),
        ("--scrape-timeout", SCRAPE_TIMEOUT),
    ];
    flags.iter().flat_map(|(flag, time)| [(*flag).to_owned(), millis(*time)]).collect()
}
