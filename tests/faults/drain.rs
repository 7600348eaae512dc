//! One drain, from the start of its pod to the end of its sidecar, and the record of what was seen of it.

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::incarnation::{End, Incarnation, Life};
use crate::jitter::now;
use crate::matrix::{
    BUDGET, EXIT_MARGIN, EXIT_WAIT, Fate, LAME_DUCK, PageFault, QUIET_PERIOD, SCRAPE_TIMEOUT, Scenario, Stage,
};
use lameduck_test_support::http::Call;
use lameduck_test_support::process::{free_address, wait_until};
use lameduck_test_support::sidecar::{Sidecar, SidecarEnv};

/// How long after a deadline the test gives up.
const GIVE_UP: Duration = Duration::from_secs(15);
/// How often the termination message is looked for, where nobody calls.
const LOOK: Duration = Duration::from_millis(10);

/// One caller that stayed, or the termination message in the place of one.
#[derive(Debug)]
pub(crate) struct Held {
    /// Just before the first of those who called together did so.
    pub(crate) since: Duration,
    /// When the sidecar answered a question that was asked after them, so that it had heard them.
    pub(crate) heard: Duration,
    /// When it had its answer.
    pub(crate) until: Duration,
    /// The outcome; `None` if it was cut off.
    pub(crate) outcome: Option<Value>,
}

/// What was seen of a drain.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) called: Duration,
    pub(crate) held: Vec<Held>,
    /// How many callers have no answer.
    pub(crate) unanswered: usize,
    pub(crate) lives: Vec<Life>,
    /// From when to when the page was faulty.
    pub(crate) faulty: Option<(Duration, Duration)>,
    /// Whether the fault was met by a reader.
    pub(crate) met: bool,
    pub(crate) replaced: bool,
    pub(crate) restarts: usize,
    pub(crate) message: Option<Value>,
    pub(crate) code: Option<i32>,
    /// What the last sidecar said.
    pub(crate) log: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Fault,
    Heal,
    Fate,
    Resume,
    Restart,
    Leave,
}

struct Scene<'a> {
    scenario: &'a Scenario,
    pod: SidecarEnv,
    ports: [SocketAddr; 2],
    sidecar: Sidecar,
    lives: Vec<Incarnation>,
    called: Duration,
    heard: Duration,
    leavers: Vec<Call>,
    answers: (Sender<Held>, Receiver<Held>),
    held: Vec<Held>,
    waiting: usize,
    /// Nobody calls any more, and the termination message is the only answer.
    nobody_calls: bool,
    faulty: Option<(Duration, Duration)>,
    met: bool,
    replaced: bool,
    restarts: usize,
}

/// Runs it.
pub(crate) fn run(scenario: &Scenario) -> Record {
    let mut scene = Scene::begin(scenario);
    if scenario.combination.stage == Stage::Serving {
        scene.fault_while_serving();
    }
    scene.call();
    scene.go_on();
    scene.end()
}

impl<'a> Scene<'a> {
    fn begin(scenario: &'a Scenario) -> Self {
        let ports = [free_address(), free_address()];
        let pod = SidecarEnv::new(&format!("http://{}/metrics", ports[1]));
        let mut engine = Incarnation::start(&pod.dir, &pod.target_name, ports[0], ports[1], scenario.deaf);
        engine.open_streams(scenario.streams.len());
        let sidecar = start(&pod, scenario);
        sidecar.wait_for_status("/target/pid", engine.pid());
        sidecar.wait_for_status("/streams", scenario.streams.len());
        if !scenario.deaf {
            sidecar.wait_for_ready();
        }
        Self {
            scenario,
            pod,
            ports,
            sidecar,
            lives: vec![engine],
            called: Duration::ZERO,
            heard: Duration::ZERO,
            leavers: Vec::new(),
            answers: channel(),
            held: Vec::new(),
            waiting: 0,
            nobody_calls: false,
            faulty: None,
            met: false,
            replaced: false,
            restarts: 0,
        }
    }

    fn engine(&mut self) -> &mut Incarnation {
        self.lives.last_mut().expect("there is always one")
    }

    /// A new engine shows a sound page first, for one that never did has never served.
    fn fault_while_serving(&mut self) {
        let fate = self.scenario.combination.fate;
        if fate == Fate::Replaced {
            self.meet_fate(self.scenario.streams.len());
            let pid = self.engine().pid();
            self.sidecar.wait_for_status("/target/pid", pid);
            self.sidecar.wait_for_status("/streams", self.scenario.streams.len());
        }
        self.break_page();
        self.wait_until_met();
        if fate != Fate::Replaced {
            self.meet_fate(0);
        }
        if matches!(fate, Fate::Exits | Fate::Killed) {
            let gone = |status: &Value| status.pointer("/target/alive") != Some(&Value::from(true));
            wait_until(|| gone(&self.sidecar.status()));
        }
    }

    fn wait_until_met(&mut self) {
        let page = self.ports[1];
        let down = self.scenario.combination.page == PageFault::Down;
        wait_until(|| if down { TcpStream::connect(page).is_err() } else { self.engine().said("faulty") > 0 });
        self.sidecar.wait_for_readings(1);
        self.met = true;
    }

    fn call(&mut self) {
        self.called = now();
        let (called, streams) = (self.called, &self.scenario.streams);
        self.lives.last_mut().expect("there is always one").end_streams(called, streams);
        self.hold_callers();
        self.leavers = self.scenario.leavers.iter().map(|_| Call::get(self.pod.address, "/prestop")).collect();
    }

    fn hold_callers(&mut self) {
        let since = now();
        let calls: Vec<Call> = (0..self.scenario.stayers).map(|_| Call::get(self.pod.address, "/prestop")).collect();
        let lives = self.sidecar.get("/livez").status;
        assert_eq!(lives, 200, "its loop turns");
        self.heard = now();
        let heard = self.heard;
        self.waiting += calls.len();
        for call in calls {
            let answers = self.answers.0.clone();
            thread::spawn(move || {
                let outcome = outcome(call);
                answers.send(Held { since, heard, until: now(), outcome })
            });
        }
    }

    /// Lets things happen until the hook is released.
    fn go_on(&mut self) {
        let mut events = events(self.scenario);
        loop {
            let next = events.first().map(|(after, _)| self.called + *after);
            if let Some((_, event)) = next.filter(|at| now() >= *at).map(|_| events.remove(0)) {
                self.happen(event);
                continue;
            }
            if self.is_released(next) || now() > self.called + BUDGET * 2 + GIVE_UP {
                return;
            }
        }
    }

    /// Takes the next answer, if one comes soon enough, and says whether it was one.
    fn is_released(&mut self, next: Option<Duration>) -> bool {
        if self.nobody_calls {
            return self.is_message_there();
        }
        let limit = next.map_or(LOOK * 10, |next| next.saturating_sub(now()));
        match self.answers.1.recv_timeout(limit) {
            Ok(held) => self.take(held),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }

    fn is_message_there(&mut self) -> bool {
        thread::sleep(LOOK);
        let until = now();
        // It is read while it may be being written.
        let outcome = std::fs::read(self.pod.dir.join("termination")).ok();
        let outcome: Option<Value> = outcome.and_then(|text| serde_json::from_slice(&text).ok());
        let is_there = outcome.is_some();
        if is_there {
            self.held.push(Held { since: self.called, heard: self.heard, until, outcome });
        }
        is_there
    }

    fn take(&mut self, held: Held) -> bool {
        self.waiting -= 1;
        let is_outcome = held.outcome.is_some();
        self.held.push(held);
        is_outcome
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Fault => self.break_page(),
            Event::Heal => self.mend_page(),
            Event::Fate => self.meet_fate(1),
            Event::Resume => self.engine().signal(Signal::SIGCONT),
            Event::Restart => self.restart(),
            Event::Leave => drop(self.leavers.pop()),
        }
    }

    fn break_page(&mut self) {
        self.faulty = Some((now(), Duration::MAX));
        let word = self.scenario.combination.page.word();
        self.engine().tell(&format!("page {word}"));
    }

    fn mend_page(&mut self) {
        self.engine().tell("page ok");
        if let Some((_, until)) = &mut self.faulty {
            *until = now();
        }
    }

    /// What becomes of the engine; a new one has so many streams.
    fn meet_fate(&mut self, streams: usize) {
        let code = self.scenario.code;
        match self.scenario.combination.fate {
            Fate::Alive if self.scenario.lingers => self.engine().tell("ignore"),
            Fate::Alive => {}
            Fate::Exits => self.engine().end(End::Exits(code)),
            Fate::Killed => self.engine().end(End::Killed),
            Fate::Replaced => self.replace(streams),
            Fate::Ignores => self.engine().tell("ignore"),
            Fate::Stopped => self.engine().signal(Signal::SIGSTOP),
        }
    }

    fn replace(&mut self, streams: usize) {
        self.replaced = true;
        if !self.scenario.overlaps {
            self.engine().end(End::Killed);
        }
        let mut new = Incarnation::start(&self.pod.dir, &self.pod.target_name, self.ports[0], self.ports[1], false);
        if self.scenario.overlaps {
            thread::sleep(self.scenario.poll_interval());
            self.engine().end(End::Killed);
        }
        new.open_streams(streams);
        self.lives.push(new);
        if self.faulty.is_some_and(|(_, until)| until == Duration::MAX) {
            self.break_page();
        }
    }

    fn restart(&mut self) {
        self.restarts += 1;
        self.sidecar.signal(Signal::SIGKILL);
        self.sidecar.exit_code();
        self.sidecar = start(&self.pod, self.scenario);
        if self.scenario.calls_again {
            self.hold_callers();
        } else {
            self.nobody_calls = true;
        }
    }

    /// Ends what is left as a kubelet would, and sums up.
    fn end(mut self) -> Record {
        let by = if self.replaced { End::Cleared } else { End::Kubelet };
        if !self.replaced {
            self.engine().end(by);
        }
        let limit = now() + BUDGET + GIVE_UP;
        while self.waiting > 0 && now() < limit {
            if let Ok(held) = self.answers.1.recv_timeout(LOOK * 10) {
                self.take(held);
            }
        }
        self.met |= self.is_fault_met();
        let message = self.pod.termination_message();
        self.engine().end(by);
        let lives = self.lives.into_iter().map(Incarnation::life).collect();
        self.sidecar.signal(Signal::SIGTERM);
        let code = self.sidecar.exit_code();
        Record {
            called: self.called,
            held: self.held,
            unanswered: self.waiting,
            lives,
            faulty: self.faulty,
            met: self.met,
            replaced: self.replaced,
            restarts: self.restarts,
            message,
            code,
            log: self.sidecar.log().iter().map(Value::to_string).collect(),
        }
    }

    /// A page that is down is met by nobody who could tell.
    fn is_fault_met(&self) -> bool {
        let unreadable =
            || self.sidecar.metric("lameduck_source_readings_total{source=\"metrics\",result=\"unknown\"}");
        match self.scenario.combination.page {
            PageFault::Down => self.faulty.is_some() && unreadable() > Some(0.0),
            PageFault::Hanging
            | PageFault::Trickling
            | PageFault::Garbage
            | PageFault::Frozen
            | PageFault::Long
            | PageFault::Redirecting
            | PageFault::Gzip => self.lives.iter().any(|life| life.said("faulty") > 0),
        }
    }
}

/// What a held call is answered with; `None` if it is cut off.
fn outcome(call: Call) -> Option<Value> {
    let text = String::from_utf8(call.bytes()).expect("an answer is text");
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some(serde_json::from_str(body).expect("an outcome is JSON"))
}

fn start(pod: &SidecarEnv, scenario: &Scenario) -> Sidecar {
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
    let args: Vec<String> = flags.iter().flat_map(|(flag, time)| [(*flag).to_owned(), millis(*time)]).collect();
    pod.start(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What happens after the call, in the order of time.
fn events(scenario: &Scenario) -> Vec<(Duration, Event)> {
    let is_to_come = scenario.combination.stage != Stage::Serving;
    let stops = scenario.combination.fate == Fate::Stopped;
    let mut events: Vec<_> = scenario.leavers.iter().map(|at| (*at, Event::Leave)).collect();
    events.extend(is_to_come.then_some((scenario.fault_at, Event::Fault)));
    events.extend(is_to_come.then_some((scenario.fate_at, Event::Fate)));
    events.extend(scenario.healed_at.map(|at| (at, Event::Heal)));
    events.extend(scenario.resumed_at.filter(|_| stops).map(|at| (at, Event::Resume)));
    events.extend(scenario.restart_at.map(|at| (at, Event::Restart)));
    events.sort_unstable();
    events
}
