//! A state dir in which others lay things, and one that takes nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lameduck::io::clock::Clock;
use lameduck::io::state::StateFile;
use lameduck_machine::drain_times::MAX_GRACE_PERIOD;
use lameduck_machine::saved_drain::{SavedDrain, SavedResult};
use serde_json::Value;

use crate::lifecycle::Scene;
use crate::lifecycle::restart::note;
use crate::lifecycle::standalone::Hook;
use lameduck_test_support::page::Page;
use lameduck_test_support::shell::Shell;
use lameduck_test_support::sidecar::{NOBODY, Pod, QUICK, binary};
use lameduck_test_support::sim::{Program, wait_until};

/// The state file of the sidecar that has left its note here.
fn state_file(pod: &Pod) -> StateFile {
    let left: Value = serde_json::from_slice(&fs::read(note(pod)).unwrap()).unwrap();
    StateFile::for_port(&pod.dir, pod.address.port(), left["identity"]["target"].as_str().unwrap())
}

/// Makes what is made in a directory its maker's alone, as in a pod's `/dev/shm`.
fn make_sticky(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o1777)).unwrap();
}

#[test]
fn note_of_times_to_come_is_set_aside_and_its_path_is_said() {
    let scene = Scene::with_streams(0);
    let first = scene.serve_quick();
    first.hook().outcome();
    first.kill();
    let state = state_file(&scene.pod);
    let now = Clock::start().now();
    let good = state.load(now).unwrap().unwrap();
    let to_come = now + MAX_GRACE_PERIOD;
    let over = good.over.map(|over| SavedResult { at: to_come, ..over });
    let beyond = to_come + MAX_GRACE_PERIOD;
    for future in [
        SavedDrain { started_at: to_come, ..good },
        SavedDrain { deadline: beyond, ..good },
        SavedDrain { over, ..good },
    ] {
        state.write(&future).unwrap();
        let mut sidecar = scene.serve_quick();
        let said = sidecar.wait_for("set aside");
        assert_eq!(said["path"], state.path().to_str().unwrap());
        assert!(said["error"].as_str().unwrap().contains("timestamps are in the future"), "{said}");
        assert_eq!(sidecar.status()["drain"], Value::Null);
        sidecar.kill();
        assert!(!note(&scene.pod).exists(), "it is not believed when its time has come");
    }
    state.write(&good).unwrap();
    assert_eq!(scene.pod.start(&QUICK).get("/readyz").body, "done\n");
}

#[test]
fn note_of_a_longer_budget_holds_nobody_beyond_ours() {
    let mut scene = Scene::with_streams(2);
    let first = scene.serve_quick();
    let _hook = first.hook();
    scene.target.wait_for("INT");
    first.kill();
    let short = ["--grace-period", "2s", "--exit-margin", "1s", "--lame-duck", "0s", "--quiet-period", "100ms"];
    let mut second = scene.pod.start(&short);
    let remaining = second.wait_for("going on with a drain")["remaining_seconds"].as_f64();
    assert!(remaining <= Some(1.0), "{remaining:?}");
    second.wait_for_status("/outcome/outcome", "expired");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn note_of_another_user_is_not_believed() {
    let scene = Scene::with_streams(0);
    let first = scene.serve_quick();
    first.hook().outcome();
    first.kill();
    if chown(note(&scene.pod), Some(NOBODY), None).is_err() {
        println!("only root can give files away");
        return;
    }
    let mut second = scene.serve_quick();
    let said = second.wait_for("set aside");
    assert!(said["error"].as_str().unwrap().contains("belongs to user 65534"), "{said}");
    // Root may move it away even here.
    assert_eq!(second.hook().outcome()["outcome"], "drained");
    assert_eq!(fs::metadata(note(&scene.pod)).unwrap().uid(), rustix::process::geteuid().as_raw());
}

#[test]
fn what_another_user_put_in_the_place_of_the_note_is_told_at_start_and_the_drain_goes_on_without() {
    let page = Page::counting(0);
    let pod = Pod::new(&page.url());
    let Some(mut command) = pod.command_of_nobody() else { return };
    let target = Shell::of_user(&pod.target, NOBODY);
    make_sticky(&pod.dir);
    fs::write(note(&pod), "root's").unwrap();
    command.args(QUICK).stderr(Stdio::piped());
    let mut sidecar = pod.spawn(command);
    sidecar.wait_for("set aside");
    assert_eq!(sidecar.wait_for("cannot be moved away")["path"], note(&pod).to_str().unwrap());
    sidecar.wait_for("ready");
    assert_eq!(sidecar.hook().outcome()["outcome"], "drained");
    sidecar.wait_for("cannot note the drain");
    assert_eq!(fs::read_to_string(note(&pod)).unwrap(), "root's");
    assert_eq!(target.signals(), 1);
}

#[test]
fn what_another_user_put_beside_the_note_does_not_keep_it_from_being_written() {
    let page = Page::counting(0);
    let pod = Pod::new(&page.url());
    let victim = pod.dir.join("victim");
    for lay in ["ln -s \"$1\" \"$0\"", "echo >\"$0\"", "mkdir \"$0\"", "mkfifo \"$0\""] {
        let Some(mut command) = pod.command_of_nobody() else { return };
        make_sticky(&pod.dir);
        fs::write(&victim, "precious").unwrap();
        chown(&victim, Some(NOBODY), None).unwrap();
        let temporary = note(&pod).with_extension("tmp");
        assert!(Command::new("sh").args(["-c", lay]).args([&temporary, &victim]).status().unwrap().success());
        let target = Shell::of_user(&pod.target, NOBODY);
        command.args(QUICK).stderr(Stdio::piped());
        let sidecar = pod.spawn(command);
        sidecar.wait_for_ready();
        assert_eq!(sidecar.hook().outcome()["outcome"], "drained");
        sidecar.kill();
        assert_eq!(state_file(&pod).path(), note(&pod));
        assert_eq!(fs::metadata(note(&pod)).unwrap().uid(), NOBODY);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(target.signals(), 1);
        assert!(Command::new("rm").arg("-r").args([&temporary, &note(&pod)]).status().unwrap().success());
    }
}

#[test]
fn lock_of_another_user_does_not_keep_a_hook_waiting() {
    let scene = Scene::with_streams(0);
    let first = Hook::start(&scene.pod, &QUICK).end();
    let mut files = fs::read_dir(&scene.pod.dir).unwrap().map(|entry| entry.unwrap().path());
    let lock = files.find(|path| path.extension().is_some_and(|extension| extension == "lock")).unwrap();
    if chown(&lock, Some(NOBODY), None).is_err() {
        println!("only root can give files away");
        return;
    }
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    let mut hook = Hook::start(&scene.pod, &QUICK);
    let said = hook.process.wait_for("cannot take turns");
    assert!(said["error"].as_str().unwrap().contains("belongs to user 65534"), "{said}");
    assert_eq!(hook.end(), first, "its note is joined all the same");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn disk_that_takes_nothing_costs_a_warning_and_not_the_drain() {
    let scene = Scene::with_streams(1);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"", binary()]);
    let mut command = scene.pod.command_of(limited, &["sidecar"]);
    command.args(QUICK).stderr(Stdio::piped());
    let mut sidecar = scene.pod.spawn(command);
    assert_eq!(sidecar.wait_for("no drain can be noted")["path"], scene.pod.dir.to_str().unwrap());
    sidecar.wait_for_ready();
    let hook = sidecar.hook();
    sidecar.wait_for("signal sent");
    scene.page.count(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
    sidecar.wait_for("drain over");
    sidecar.kill();
    let left: Vec<PathBuf> = fs::read_dir(&scene.pod.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.ends_with("termination")), "{left:?}");
    assert_eq!(scene.target.signals(), 1);
}

/// A mount namespace with a small disk in it, which ends with its handle.
struct Disk {
    keeper: Program,
    dir: PathBuf,
}

impl Disk {
    const SCRIPT: &str = "mount -t tmpfs -o size=32k,mode=1777 tmpfs \"$0\" && echo mounted && exec cat";

    /// `None` where this user may not mount.
    fn mount(pod: &Pod) -> Option<Self> {
        let dir = pod.dir.join("state");
        fs::create_dir(&dir).unwrap();
        let unshare = || {
            let mut unshare = Command::new("unshare");
            unshare.args(["-Urm", "sh", "-c", Self::SCRIPT]).arg(&dir);
            unshare
        };
        let probe = unshare().stdin(Stdio::null()).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            println!("nothing can be mounted here");
            return None;
        }
        let mut command = unshare();
        command.stdin(Stdio::piped());
        let mut keeper = Program::start(command);
        keeper.wait_for("mounted");
        Some(Self { keeper, dir })
    }

    fn enter(&self, words: &[&str]) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--preserve-credentials", "-U", "-m", "-t", &self.keeper.pid().to_string()]).args(words);
        nsenter
    }

    /// A file on the disk, as it is seen from outside.
    fn outside(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.keeper.pid(), self.dir.join(name).display()))
    }

    fn serve(&self, pod: &Pod, args: &[&str]) -> lameduck_test_support::sidecar::Sidecar {
        let mut command = pod.command_of(self.enter(&[]), &[binary(), "sidecar"]);
        command.args(args).args(["--state-dir", self.dir.to_str().unwrap()]).stderr(Stdio::piped());
        pod.spawn(command)
    }

    fn fill(&self) {
        assert!(fs::write(self.outside("filler"), vec![0; 1 << 20]).is_err(), "it is full");
    }
}

#[test]
fn disk_that_fills_up_in_a_drain_does_not_bring_a_second_signal() {
    let mut scene = Scene::with_streams(1);
    let Some(disk) = Disk::mount(&scene.pod) else { return };
    let times = ["--grace-period", "10m", "--lame-duck", "2s", "--quiet-period", "100ms", "--exit-wait", "0s"];
    let first = disk.serve(&scene.pod, &times);
    first.wait_for_ready();
    let _hook = first.hook();
    let noted = disk.outside(note(&scene.pod).file_name().unwrap().to_str().unwrap());
    wait_until(|| noted.exists());
    disk.fill();
    scene.target.wait_for("INT");
    first.wait_for_status("/drain/signalled", true);
    first.kill();

    let mut second = disk.serve(&scene.pod, &times);
    assert_eq!(second.wait_for("going on with a drain")["signalled"], true);
    scene.page.count(0);
    assert_eq!(second.hook().outcome()["outcome"], "drained");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn full_disk_is_told_at_start_and_costs_no_drain() {
    let scene = Scene::with_streams(0);
    let Some(disk) = Disk::mount(&scene.pod) else { return };
    disk.fill();
    let mut sidecar = disk.serve(&scene.pod, &QUICK);
    sidecar.wait_for("no drain can be noted");
    sidecar.wait_for_ready();
    assert_eq!(sidecar.hook().outcome()["outcome"], "drained");
    sidecar.wait_for("cannot note the drain");
    sidecar.kill();
    assert_eq!(fs::read_dir(disk.outside("")).unwrap().count(), 1, "nothing but the filler");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn disk_that_becomes_read_only_costs_no_drain() {
    let scene = Scene::with_streams(0);
    let Some(disk) = Disk::mount(&scene.pod) else { return };
    let mut sidecar = disk.serve(&scene.pod, &QUICK);
    sidecar.wait_for_ready();
    assert!(disk.enter(&["mount", "-o", "remount,ro", disk.dir.to_str().unwrap()]).status().unwrap().success());
    assert_eq!(sidecar.hook().outcome()["outcome"], "drained");
    sidecar.wait_for("cannot note the drain");
    assert_eq!(scene.target.signals(), 1);
}
