//! A process is killed at every file change of its drain: the next process must resume correctly from what is left.
//!
//! inotify reports each change in the state dir, and the process that made it is killed immediately, so that no step is
//! missed and no test sleeps. How far the process gets after the change is up to the scheduler.

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

/// More file changes than any drain makes, and fewer.
const MAX_CHANGES: usize = 100;
const MIN_CHANGES: usize = 10;
const TIMES: [&str; 8] =
    ["--grace-period", "10m", "--lame-duck", "20ms", "--quiet-period", "60ms", "--exit-wait", "0s"];
/// A file that marks the end of the changes.
const END: &str = "end";

/// The changes in a directory from now on.
struct Changes(OwnedFd);

impl Changes {
    fn of(dir: &Path) -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC).unwrap();
        let flags = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::MOVE | WatchFlags::DELETE;
        inotify::add_watch(&inotify, dir, flags).unwrap();
        Self(inotify)
    }

    /// Kills a process at its nth change; false if it makes fewer.
    fn kill_at(self, nth: usize, pid: i32) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.0, &mut buffer);
        let mut seen = 0;
        while seen < MAX_CHANGES {
            let event = reader.next().unwrap();
            let name = event.file_name().unwrap().to_str().unwrap();
            if name == END {
                return false;
            }
            // The hook's stdout is also in the directory.
            seen += usize::from(!name.starts_with("stdout"));
            if seen > nth {
                println!("killed at change {nth}: {:?} of {name}", event.events());
                return kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok();
            }
        }
        panic!("the changes do not end");
    }
}

/// Kills this process at its nth change during `wait`, which returns when the process is dead or done.
fn killed_at(nth: usize, changes: Changes, pid: i32, dir: &Path, wait: impl FnOnce()) -> bool {
    thread::scope(|scope| {
        let killer = scope.spawn(move || changes.kill_at(nth, pid));
        wait();
        fs::write(dir.join(END), "").unwrap();
        killer.join().unwrap()
    })
}

/// The drain that the killed process saved, if any; a file must be complete.
fn saved_state(env: &SidecarEnv) -> Option<Value> {
    let mut files = fs::read_dir(&env.dir).unwrap().map(|entry| entry.unwrap().path());
    let path = files.find(|path| path.extension().is_some_and(|extension| extension == "json"))?;
    Some(serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
}

/// Asserts one signal; none is possible if the process was killed after saving that it signals and before signalling.
fn assert_signalled_once(fixture: Fixture, left: Option<&Value>) {
    let saved = left.is_some_and(|saved| !saved["signal"].is_null());
    let signals = fixture.target.into_signal_count();
    assert!(signals == 1 || (saved && signals == 0), "{signals} signals after {left:?}");
}

fn assert_no_temporary_files(env: &SidecarEnv) {
    let mut files = fs::read_dir(&env.dir).unwrap().map(|entry| entry.unwrap().path());
    assert!(files.all(|path| path.extension().is_none_or(|extension| extension == "json" || extension == "lock")));
}

#[test]
fn sidecar_crash_at_any_file_change_is_recovered() {
    let crashes = (0..MAX_CHANGES).take_while(|nth| sidecar_crashes_at(*nth)).count();
    assert!(crashes > MIN_CHANGES, "{crashes}");
}

/// Whether it made that many changes; if not, it is killed after its answer.
fn sidecar_crashes_at(nth: usize) -> bool {
    let fixture = Fixture::with_streams(0);
    let mut first = fixture.start_ready(&TIMES);
    let (changes, address) = (Changes::of(&fixture.env.dir), fixture.env.address);
    let crashed =
        killed_at(nth, changes, first.pid(), &fixture.env.dir, || drop(Call::get(address, "/prestop").bytes()));
    if !crashed {
        first.signal(Signal::SIGKILL);
    }
    assert_eq!(first.exit_code(), None);

    let left = saved_state(&fixture.env);
    let second = fixture.env.start(&TIMES);
    if let Some(saved) = &left {
        assert_resumes(&fixture.env, second, saved);
    } else {
        second.wait_for_ready();
        assert_eq!(second.call_hook().outcome()["outcome"], "drained");
    }
    assert_no_temporary_files(&fixture.env);
    assert_signalled_once(fixture, left.as_ref());
    crashed
}

/// Asserts that it reaches the same outcome without any caller and reports it once: only if the killed process had not
/// saved that it had reported it.
fn assert_resumes(env: &SidecarEnv, mut sidecar: Sidecar, left: &Value) {
    sidecar.wait_for_log("resuming the drain");
    sidecar.wait_for_status("/outcome/outcome", "drained");
    let outcome = sidecar.call_hook().outcome();
    let now = saved_state(env).unwrap();
    for kept in ["started_at", "deadline", "trigger", "pid", "started", "streams_at_start"] {
        assert_eq!(now[kept], left[kept], "{kept}");
    }
    assert_eq!(now["result"]["reported"], true);
    assert_eq!(env.termination_message(), Some(outcome));

    let was_reported = left["result"]["reported"] == true;
    if !left["result"].is_null() {
        assert_eq!(
            (&now["result"]["ended_at"], &now["result"]["duration"]),
            (&left["result"]["ended_at"], &left["result"]["duration"])
        );
    }
    let counted = sidecar.metric("lameduck_drains_total{outcome=\"drained\"}").unwrap_or(0.0);
    assert_eq!(counted > 0.0, !was_reported, "{left}");
    sidecar.signal(Signal::SIGKILL);
    let lines = sidecar.log().iter().filter(|line| line["message"] == "drain over").count();
    assert!(lines == 0 || !was_reported, "{lines} lines after {left}");
}

#[test]
fn hook_crash_at_any_file_change_is_recovered() {
    let crashes = (0..MAX_CHANGES).take_while(|nth| hook_crashes_at(*nth)).count();
    assert!(crashes > MIN_CHANGES, "{crashes}");
}

fn hook_crashes_at(nth: usize) -> bool {
    let fixture = Fixture::with_streams(0);
    let changes = Changes::of(&fixture.env.dir);
    let mut first = StandaloneHook::start(&fixture.env, &TIMES);
    let pid = first.process.pid();
    let crashed =
        killed_at(nth, changes, pid, &fixture.env.dir, || assert!(matches!(first.process.exit_code(), None | Some(0))));
    let left = saved_state(&fixture.env);
    let (code, outcome) = StandaloneHook::start(&fixture.env, &TIMES).finish();
    assert_eq!((code, outcome["outcome"].as_str()), (Some(0), Some("drained")));
    assert_eq!(fixture.env.termination_message().as_ref(), Some(&outcome));
    if !crashed {
        assert_eq!(first.finish(), (code, outcome));
    }
    assert_no_temporary_files(&fixture.env);
    assert_signalled_once(fixture, left.as_ref());
    crashed
}
