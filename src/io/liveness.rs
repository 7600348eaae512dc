//! Whether an incarnation of a process is still alive.

use std::{fs, io};

use crate::io::proc_file::{self, is_gone};
use lameduck_machine::target::Incarnation;
use lameduck_parsers::procfs::Stat;

/// Reads `/proc/pid/stat`; `None` if the process is gone or the file cannot be read.
#[must_use]
pub fn stat_of(pid: u32) -> Option<Stat> {
    read_stat(pid).ok()?
}

/// Whether this incarnation is alive.
///
/// # Errors
/// Fails if that is unknown, for example because there are no free file descriptors. The process may still be alive.
pub fn is_alive(incarnation: Incarnation) -> io::Result<bool> {
    Ok(live_stat(incarnation)?.is_some())
}

/// Whether this incarnation is alive and still has all of its files.
///
/// The kernel closes the files of an exiting process, and with them its sockets, some time before it reports the exit.
/// This may take long if a driver has much to release (Linux, `kernel/exit.c`: `exit_signals` of each thread, then
/// `exit_files` of the last one, then `exit_notify`).
///
/// # Errors
/// See [`is_alive`].
pub fn is_intact(incarnation: Incarnation) -> io::Result<bool> {
    let Some(stat) = live_stat(incarnation)? else { return Ok(false) };
    Ok(!stat.exiting || has_live_thread(incarnation.pid)?)
}

/// The stat of this incarnation, if it is alive.
fn live_stat(incarnation: Incarnation) -> io::Result<Option<Stat>> {
    let stat = read_stat(incarnation.pid)?;
    Ok(stat.filter(|stat| stat.started == incarnation.started && !stat.ended))
}

/// Whether a process has a thread that is not exiting: its first thread may have ended alone.
fn has_live_thread(pid: u32) -> io::Result<bool> {
    let threads = match fs::read_dir(format!("/proc/{pid}/task")) {
        Err(error) if is_gone(&error) => return Ok(false),
        threads => threads?,
    };
    for thread in threads {
        let stat = read_stat_at(&format!("/proc/{pid}/task/{}/stat", thread?.file_name().display()))?;
        if stat.is_some_and(|stat| !stat.exiting) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads `/proc/pid/stat`; `None` if the process is gone.
fn read_stat(pid: u32) -> io::Result<Option<Stat>> {
    read_stat_at(&format!("/proc/{pid}/stat"))
}

fn read_stat_at(path: &str) -> io::Result<Option<Stat>> {
    match proc_file::read(path) {
        // The process name in it may be any bytes.
        Ok(line) => Ok(Stat::parse(&String::from_utf8_lossy(&line))),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use lameduck_test_support::skip::skip;

    use super::*;

    fn incarnation(child: &Child) -> Incarnation {
        Incarnation { pid: child.id(), started: stat_of(child.id()).unwrap().started }
    }

    #[test]
    fn process_is_intact_until_it_ends() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let incarnation = incarnation(&child);
        let successor = Incarnation { started: incarnation.started + 1, ..incarnation };
        assert!(is_alive(incarnation).unwrap() && is_intact(incarnation).unwrap());
        assert!(!is_alive(successor).unwrap() && !is_intact(successor).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(incarnation).unwrap() && !is_intact(incarnation).unwrap());
    }

    #[test]
    fn zombie_is_not_alive() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let incarnation = incarnation(&child);
        child.kill().unwrap();
        while is_alive(incarnation).unwrap() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!is_intact(incarnation).unwrap());
        child.wait().unwrap();
    }

    /// A program whose first thread ends alone. In Rust this needs `unsafe`.
    const FIRST_THREAD_ENDS: &str = r#"
        my $exit = {"x86_64" => 60, "aarch64" => 93}->{(split /-/, $Config{archname})[0]};
        threads->create(sub { $| = 1; print "runs\n"; sleep 600 });
        syscall($exit, 0);
    "#;

    #[test]
    fn process_without_main_thread_is_intact() {
        let mut command = Command::new("perl");
        command.args(["-MConfig", "-Mthreads", "-e", FIRST_THREAD_ENDS]).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else { return skip("no perl") };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            child.wait().unwrap();
            return skip("no perl with threads");
        }
        while !stat_of(child.id()).unwrap().exiting {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(is_alive(incarnation(&child)).unwrap() && is_intact(incarnation(&child)).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
