//! Killed in the middle of a drain, at each step that can be seen from outside: what is left lets the next one do right.
//!
//! The kernel tells of each change in the state dir, and whoever made it is killed at once; so no step is missed, and no
//! time is waited for. How far it came beyond the step is the scheduler's to say, and another each time.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use serde_json::Value;

use crate::lifecycle::Fixture;
use crate::lifecycle::standalone::StandaloneHook;
use lameduck_test_support::http::Call;
use lameduck_test_support::sidecar::{Sidecar, SidecarEnv};

/// More changes than any drain makes, and fewer.
const MANY: usize = 100;
const FEW: usize = 10;
const TIMES: [&str; 8] =
    ["--grace-period", "10m", "--lame-duck", "20ms", "--quiet-period", "60ms", "--exit-wait", "0s"];
/// The file that says that no more changes will come.
const END: &str = "end";

/// The changes in a directory, from now on.
struct Changes(OwnedFd);

impl Changes {
    fn of(dir: &Path) -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC).unwrap();
        let flags = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::MOVE | WatchFlags::DELETE;
        inotify::add_watch(&inotify, dir, flags).unwrap();
        Self(inotify)
    }

    /// Kills a process at its nth change, if it makes so many.
    fn kill_at(self, nth: usize, pid: i32) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.0, &mut buffer);
        let mut seen = 0;
        while seen < MANY {
            let event = reader.next().unwrap();
            let name = event.file_name().unwrap().to_str().unwrap();
            if name == END {
                return false;
            }
            // What a hook prints is no state.
            seen += usize::from(!name.starts_with("stdout"));
            if seen > nth {
                println!("killed at change {nth}: {:?} of {name}", event.events());
                return kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok();
            }
        }
        panic!("the changes do not end");
    }
}

/// Kills this process at its nth change, while something is done that ends with it.
fn dies_at(nth: usize, changes: Changes, pid: i32, dir: &Path, wait: impl FnOnce()) -> bool {
    thread::scope(|scope| {
        let killer = scope.spawn(move || changes.kill_at(nth, pid));
        wait();
        fs::write(dir.join(END), "").unwrap();
        killer.join().unwrap()
    })
}

/// What the dead left noted; whole, if there is anything.
fn saved_state(env: &SidecarEnv) -> Option<Value> {
    let mut files = fs::read_dir(&env.dir).unwrap().map(|entry| entry.unwrap().path());
    let note = files.find(|path| path.extension().is_some_and(|extension| extension == "json"))?;
    Some(serde_json::from_slice(&fs::read(note).unwrap()).unwrap())
}

/// One signal, unless the dead had noted one and died before it went out.
fn assert_signalled_once(fixture: Fixture, left: Option<&Value>) {
    let noted = left.is_some_and(|note| note["signalled"] == true);
    let signals = fixture.target.into_signal_count();
    assert!(signals == 1 || (noted && signals == 0), "{signals} signals after {left:?}");
}

fn assert_nothing_is_left_over(env: &SidecarEnv) {
    let mut files = fs::read_dir(&env.dir).unwrap().map(|entry| entry.unwrap().path());
    assert!(files.all(|path| path.extension().is_none_or(|extension| extension == "json" || extension == "lock")));
}

#[test]
fn sidecar_crash_at_any_file_change_is_recovered() {
    let deaths = (0..MANY).take_while(|nth| a_sidecar_dies_at(*nth)).count();
    assert!(deaths > FEW, "{deaths}");
}

/// Whether it made so many changes; otherwise it dies when it has answered.
fn a_sidecar_dies_at(nth: usize) -> bool {
    let fixture = Fixture::with_streams(0);
    let mut first = fixture.start_ready(&TIMES);
    let (changes, address) = (Changes::of(&fixture.env.dir), fixture.env.address);
    let died = dies_at(nth, changes, first.pid(), &fixture.env.dir, || drop(Call::get(address, "/prestop").bytes()));
    if !died {
        first.signal(Signal::SIGKILL);
    }
    assert_eq!(first.exit_code(), None);

    let left = saved_state(&fixture.env);
    let second = fixture.env.start(&TIMES);
    if let Some(note) = &left {
        goes_on(&fixture.env, second, note);
    } else {
        second.wait_for_ready();
        assert_eq!(second.call_hook().outcome()["outcome"], "drained");
    }
    assert_nothing_is_left_over(&fixture.env);
    assert_signalled_once(fixture, left.as_ref());
    died
}

/// Without any caller it comes to the same outcome, which is told once: by the dead, if they noted that, or by this one.
fn goes_on(env: &SidecarEnv, mut sidecar: Sidecar, left: &Value) {
    sidecar.wait_for_log("going on with a drain");
    sidecar.wait_for_status("/outcome/outcome", "drained");
    let outcome = sidecar.call_hook().outcome();
    let now = saved_state(env).unwrap();
    for kept in ["started_at", "deadline", "trigger", "pid", "started", "streams_at_start"] {
        assert_eq!(now[kept], left[kept], "{kept}");
    }
    assert_eq!(now["over"]["told"], true);
    assert_eq!(env.termination_message(), Some(outcome));

    let told = left["over"]["told"] == true;
    if !left["over"].is_null() {
        assert_eq!((&now["over"]["at"], &now["over"]["took"]), (&left["over"]["at"], &left["over"]["took"]));
    }
    let counted = sidecar.metric("lameduck_drains_total{outcome=\"drained\"}").unwrap_or(0.0);
    assert_eq!(counted > 0.0, !told, "{left}");
    sidecar.signal(Signal::SIGKILL);
    let words = sidecar.log().iter().filter(|line| line["message"] == "drain over").count();
    assert!(words == 0 || !told, "{words} lines after {left}");
}

#[test]
fn hook_crash_at_any_file_change_is_recovered() {
    let deaths = (0..MANY).take_while(|nth| a_hook_dies_at(*nth)).count();
    assert!(deaths > FEW, "{deaths}");
}

fn a_hook_dies_at(nth: usize) -> bool {
    let fixture = Fixture::with_streams(0);
    let changes = Changes::of(&fixture.env.dir);
    let mut first = StandaloneHook::start(&fixture.env, &TIMES);
    let pid = first.process.pid();
    let died =
        dies_at(nth, changes, pid, &fixture.env.dir, || assert!(matches!(first.process.exit_code(), None | Some(0))));
    let left = saved_state(&fixture.env);
    let (code, outcome) = StandaloneHook::start(&fixture.env, &TIMES).finish();
    assert_eq!((code, outcome["outcome"].as_str()), (Some(0), Some("drained")));
    assert_eq!(fixture.env.termination_message().as_ref(), Some(&outcome));
    if !died {
        assert_eq!(first.finish(), (code, outcome));
    }
    assert_nothing_is_left_over(&fixture.env);
    assert_signalled_once(fixture, left.as_ref());
    died
}
