//! A state dir with files of other users, and one that cannot be written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lameduck::io::clock::Clock;
use lameduck::io::state::StateFile;
use lameduck_machine::drain_times::MAX_GRACE_PERIOD;
use lameduck_machine::saved_drain::{SavedDrain, SavedResult};
use serde_json::Value;

use crate::lifecycle::Fixture;
use crate::lifecycle::restart::state_path;
use crate::lifecycle::standalone::StandaloneHook;
use lameduck_test_support::page::PageServer;
use lameduck_test_support::process::{Program, binary, wait_until};
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::{NOBODY, QUICK_TIMES, Sidecar, SidecarEnv};
use lameduck_test_support::skip::{is_root_or_skip, skip};

/// The state file that a sidecar of this environment has written.
fn state_file(env: &SidecarEnv) -> StateFile {
    let saved: Value = serde_json::from_slice(&fs::read(state_path(env)).unwrap()).unwrap();
    StateFile::for_port(&env.dir, env.address.port(), saved["identity"]["target"].as_str().unwrap())
}

/// Lets only the owner of a file replace it, as in a pod's `/dev/shm`.
fn make_sticky(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o1777)).unwrap();
}

#[test]
fn state_from_the_future_is_quarantined_and_logged() {
    let fixture = Fixture::with_streams(0);
    let first = fixture.start_quick();
    first.call_hook().outcome();
    first.kill();
    let state = state_file(&fixture.env);
    let now = Clock::start().now();
    let good = state.load(now).unwrap().unwrap();
    let future = now + MAX_GRACE_PERIOD;
    let finished = good.finished.map(|finished| SavedResult { ended_at: future, ..finished });
    let beyond = future + MAX_GRACE_PERIOD;
    for saved in [
        SavedDrain { started_at: future, ..good },
        SavedDrain { deadline: beyond, ..good },
        SavedDrain { finished, ..good },
    ] {
        state.write(&saved).unwrap();
        let mut sidecar = fixture.start_quick();
        let line = sidecar.wait_for_log("set aside");
        assert_eq!(line["path"], state.path().to_str().unwrap());
        assert!(line["error"].as_str().unwrap().contains("timestamps are in the future"), "{line}");
        assert_eq!(sidecar.status()["drain"], Value::Null);
        sidecar.kill();
        assert!(!state_path(&fixture.env).exists(), "it must not be used once its times have come");
    }
    state.write(&good).unwrap();
    assert_eq!(fixture.env.start(&QUICK_TIMES).get("/readyz").body, "done\n");
}

#[test]
fn saved_budget_is_capped_by_current_budget() {
    let mut fixture = Fixture::with_streams(2);
    let first = fixture.start_quick();
    let _hook = first.call_hook();
    fixture.target.wait_for("INT");
    first.kill();
    let short = ["--grace-period", "2s", "--exit-margin", "1s", "--lame-duck", "0s", "--quiet-period", "100ms"];
    let mut second = fixture.env.start(&short);
    let remaining = second.wait_for_log("resuming the drain")["remaining_seconds"].as_f64();
    assert!(remaining <= Some(1.0), "{remaining:?}");
    second.wait_for_status("/outcome/outcome", "expired");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn foreign_state_file_is_ignored() {
    let fixture = Fixture::with_streams(0);
    let first = fixture.start_quick();
    first.call_hook().outcome();
    first.kill();
    if !is_root_or_skip() {
        return;
    }
    chown(state_path(&fixture.env), Some(NOBODY), None).unwrap();
    let mut second = fixture.start_quick();
    let line = second.wait_for_log("set aside");
    assert!(line["error"].as_str().unwrap().contains("belongs to user 65534"), "{line}");
    // Root may replace the file even in a sticky directory.
    assert_eq!(second.call_hook().outcome()["outcome"], "drained");
    assert_eq!(fs::metadata(state_path(&fixture.env)).unwrap().uid(), rustix::process::geteuid().as_raw());
}

#[test]
fn foreign_state_file_is_logged_and_does_not_stop_drain() {
    let page = PageServer::with_streams(0);
    let env = SidecarEnv::new(&page.url());
    let Some(mut command) = env.sidecar_command_as_nobody() else { return };
    let target = ShellTarget::start_as(&env.target_name, NOBODY);
    make_sticky(&env.dir);
    fs::write(state_path(&env), "root's").unwrap();
    command.args(QUICK_TIMES).stderr(Stdio::piped());
    let mut sidecar = env.start_command(command);
    sidecar.wait_for_log("set aside");
    assert_eq!(sidecar.wait_for_log("cannot be moved away")["path"], state_path(&env).to_str().unwrap());
    sidecar.wait_for_log("ready");
    assert_eq!(sidecar.call_hook().outcome()["outcome"], "drained");
    sidecar.wait_for_log("cannot save drain state");
    assert_eq!(fs::read_to_string(state_path(&env)).unwrap(), "root's");
    assert_eq!(target.into_signal_count(), 1);
}

#[test]
fn foreign_temporary_file_does_not_block_saving() {
    let page = PageServer::with_streams(0);
    let env = SidecarEnv::new(&page.url());
    let victim = env.dir.join("victim");
    for create in ["ln -s \"$1\" \"$0\"", "echo >\"$0\"", "mkdir \"$0\"", "mkfifo \"$0\""] {
        let Some(mut command) = env.sidecar_command_as_nobody() else { return };
        make_sticky(&env.dir);
        // The kernel may refuse to open another user's file there (fs.protected_regular).
        let _ = fs::remove_file(&victim);
        fs::write(&victim, "precious").unwrap();
        chown(&victim, Some(NOBODY), None).unwrap();
        let temporary = state_path(&env).with_extension("tmp");
        assert!(Command::new("sh").args(["-c", create]).args([&temporary, &victim]).status().unwrap().success());
        let target = ShellTarget::start_as(&env.target_name, NOBODY);
        command.args(QUICK_TIMES).stderr(Stdio::piped());
        let sidecar = env.start_command(command);
        sidecar.wait_for_ready();
        assert_eq!(sidecar.call_hook().outcome()["outcome"], "drained");
        sidecar.kill();
        assert_eq!(state_file(&env).path(), state_path(&env));
        assert_eq!(fs::metadata(state_path(&env)).unwrap().uid(), NOBODY);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(target.into_signal_count(), 1);
        assert!(Command::new("rm").arg("-r").args([&temporary, &state_path(&env)]).status().unwrap().success());
    }
}

#[test]
fn foreign_lock_does_not_block_hook() {
    let fixture = Fixture::with_streams(0);
    let first = StandaloneHook::start(&fixture.env, &QUICK_TIMES).finish();
    let mut files = fs::read_dir(&fixture.env.dir).unwrap().map(|entry| entry.unwrap().path());
    let lock = files.find(|path| path.extension().is_some_and(|extension| extension == "lock")).unwrap();
    if !is_root_or_skip() {
        return;
    }
    chown(&lock, Some(NOBODY), None).unwrap();
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    let mut hook = StandaloneHook::start(&fixture.env, &QUICK_TIMES);
    let line = hook.process.wait_for_log("cannot lock the drain");
    assert!(line["error"].as_str().unwrap().contains("belongs to user 65534"), "{line}");
    assert_eq!(hook.finish(), first, "it joins the saved drain nevertheless");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn file_size_limit_costs_only_a_warning() {
    let fixture = Fixture::with_streams(1);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"", binary()]);
    let mut command = fixture.env.with_env(limited, &["sidecar"]);
    command.args(QUICK_TIMES).stderr(Stdio::piped());
    let mut sidecar = fixture.env.start_command(command);
    assert_eq!(sidecar.wait_for_log("cannot save drain state")["path"], fixture.env.dir.to_str().unwrap());
    sidecar.wait_for_ready();
    let hook = sidecar.call_hook();
    sidecar.wait_for_log("signal sent");
    fixture.page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
    sidecar.wait_for_log("drain over");
    sidecar.kill();
    let left: Vec<PathBuf> = fs::read_dir(&fixture.env.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.ends_with("termination")), "{left:?}");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

/// A mount namespace with a small tmpfs in it, which ends on drop.
struct Disk {
    holder: Program,
    dir: PathBuf,
}

impl Disk {
    const SCRIPT: &str = "mount -t tmpfs -o size=32k,mode=1777 tmpfs \"$0\" && echo mounted && exec cat";

    /// `None`, and the skip is reported, where this user may not mount.
    fn mount(env: &SidecarEnv) -> Option<Self> {
        let dir = env.dir.join("state");
        fs::create_dir(&dir).unwrap();
        let unshare = || {
            let mut unshare = Command::new("unshare");
            unshare.args(["-Urm", "sh", "-c", Self::SCRIPT]).arg(&dir);
            unshare
        };
        let probe = unshare().stdin(Stdio::null()).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            skip("no mount namespaces");
            return None;
        }
        let mut command = unshare();
        command.stdin(Stdio::piped());
        let mut holder = Program::start(command);
        holder.wait_for("mounted");
        Some(Self { holder, dir })
    }

    fn enter(&self, args: &[&str]) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--preserve-credentials", "-U", "-m", "-t", &self.holder.pid().to_string()]).args(args);
        nsenter
    }

    /// The path of a file on the disk, as seen from outside the namespace.
    fn outside_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.pid(), self.dir.join(name).display()))
    }

    fn start_ready(&self, env: &SidecarEnv, args: &[&str]) -> Sidecar {
        let mut command = env.with_env(self.enter(&[]), &[binary(), "sidecar"]);
        command.args(args).args(["--state-dir", self.dir.to_str().unwrap()]).stderr(Stdio::piped());
        env.start_command(command)
    }

    fn fill(&self) {
        assert!(fs::write(self.outside_path("filler"), vec![0; 1 << 20]).is_err(), "it is full");
    }
}

#[test]
fn disk_filling_up_during_drain_causes_no_second_signal() {
    let mut fixture = Fixture::with_streams(1);
    let Some(disk) = Disk::mount(&fixture.env) else { return };
    let times = ["--grace-period", "10m", "--lame-duck", "2s", "--quiet-period", "100ms", "--exit-wait", "0s"];
    let first = disk.start_ready(&fixture.env, &times);
    first.wait_for_ready();
    let _hook = first.call_hook();
    let saved = disk.outside_path(state_path(&fixture.env).file_name().unwrap().to_str().unwrap());
    wait_until(|| saved.exists());
    disk.fill();
    fixture.target.wait_for("INT");
    first.wait_for_status("/drain/signalled", true);
    first.kill();

    let mut second = disk.start_ready(&fixture.env, &times);
    assert_eq!(second.wait_for_log("resuming the drain")["signalled"], true);
    fixture.page.set_streams(0);
    assert_eq!(second.call_hook().outcome()["outcome"], "drained");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn full_disk_is_logged_at_start_and_does_not_stop_drain() {
    let fixture = Fixture::with_streams(0);
    let Some(disk) = Disk::mount(&fixture.env) else { return };
    disk.fill();
    let mut sidecar = disk.start_ready(&fixture.env, &QUICK_TIMES);
    sidecar.wait_for_log("cannot save drain state");
    sidecar.wait_for_ready();
    assert_eq!(sidecar.call_hook().outcome()["outcome"], "drained");
    sidecar.wait_for_log("cannot save drain state");
    sidecar.kill();
    assert_eq!(fs::read_dir(disk.outside_path("")).unwrap().count(), 1, "nothing but the filler");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn disk_turning_read_only_does_not_stop_drain() {
    let fixture = Fixture::with_streams(0);
    let Some(disk) = Disk::mount(&fixture.env) else { return };
    let mut sidecar = disk.start_ready(&fixture.env, &QUICK_TIMES);
    sidecar.wait_for_ready();
    assert!(disk.enter(&["mount", "-o", "remount,bind,ro", disk.dir.to_str().unwrap()]).status().unwrap().success());
    assert_eq!(sidecar.call_hook().outcome()["outcome"], "drained");
    sidecar.wait_for_log("cannot save drain state");
    assert_eq!(fixture.target.into_signal_count(), 1);
}
