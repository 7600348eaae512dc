//! One life of a process: whether it goes on.

use std::path::Path;
use std::{fs, io};

use nix::errno::Errno;

use lameduck_machine::target::Incarnation;
use lameduck_parsers::procfs::Stat;

/// What `/proc` says of one process now; `None` if it is gone, or cannot be read.
#[must_use]
pub fn stat_of(pid: u32) -> Option<Stat> {
    read_stat(pid).ok()?
}

/// Whether this life of a process goes on.
///
/// # Errors
/// Fails where that cannot be known, for want of descriptors say; that is no word of its end.
pub fn is_alive(incarnation: Incarnation) -> io::Result<bool> {
    Ok(living(incarnation)?.is_some())
}

/// Whether this life of a process goes on, and none of what it has is taken from it yet.
///
/// The kernel takes a dying process's files, and so closes its sockets, some time before it says that it has ended;
/// that takes long where a driver has much to let go (Linux, `kernel/exit.c`: `exit_signals` of each thread, then
/// `exit_files` of the last one, then `exit_notify`).
///
/// # Errors
/// See [`is_alive`].
pub fn is_intact(incarnation: Incarnation) -> io::Result<bool> {
    let Some(stat) = living(incarnation)? else { return Ok(false) };
    Ok(!stat.exiting || has_thread_that_stays(incarnation.pid)?)
}

/// What `/proc` says of this life, while it goes on.
fn living(incarnation: Incarnation) -> io::Result<Option<Stat>> {
    let stat = read_stat(incarnation.pid)?;
    Ok(stat.filter(|stat| stat.started == incarnation.started && !stat.ended))
}

/// Whether a process lives on in other threads than its first, which may have ended alone.
fn has_thread_that_stays(pid: u32) -> io::Result<bool> {
    let threads = match fs::read_dir(format!("/proc/{pid}/task")) {
        Err(error) if is_not_found(&error) => return Ok(false),
        threads => threads?,
    };
    for thread in threads {
        let stat = read_stat_at(&thread?.path().join("stat"))?;
        if stat.is_some_and(|stat| !stat.exiting) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_not_found(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ESRCH as i32)
}

/// Reads `/proc/pid/stat`; `None` if the process is gone.
fn read_stat(pid: u32) -> io::Result<Option<Stat>> {
    read_stat_at(Path::new(&format!("/proc/{pid}/stat")))
}

fn read_stat_at(path: &Path) -> io::Result<Option<Stat>> {
    match fs::read(path) {
        // The name in it may be any bytes.
        Ok(line) => Ok(Stat::parse(&String::from_utf8_lossy(&line))),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use super::*;

    fn life(child: &Child) -> Incarnation {
        Incarnation { pid: child.id(), started: stat_of(child.id()).unwrap().started }
    }

    #[test]
    fn a_process_is_whole_until_it_dies_and_another_of_its_number_is_not_it() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let life = life(&child);
        let successor = Incarnation { started: life.started + 1, ..life };
        assert!(is_alive(life).unwrap() && is_intact(life).unwrap());
        assert!(!is_alive(successor).unwrap() && !is_intact(successor).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(life).unwrap() && !is_intact(life).unwrap());
    }

    #[test]
    fn a_process_that_nobody_reaps_has_ended() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let life = life(&child);
        child.kill().unwrap();
        while is_alive(life).unwrap() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!is_intact(life).unwrap());
        child.wait().unwrap();
    }

    /// A program whose first thread ends alone, which Rust cannot write without `unsafe`.
    const FIRST_THREAD_ENDS: &str = r#"
        my $exit = {"x86_64" => 60, "aarch64" => 93}->{(split /-/, $Config{archname})[0]};
        threads->create(sub { $| = 1; print "runs\n"; sleep 600 });
        syscall($exit, 0);
    "#;

    #[test]
    fn a_process_whose_first_thread_has_ended_is_whole_in_the_others() {
        let mut command = Command::new("perl");
        command.args(["-MConfig", "-Mthreads", "-e", FIRST_THREAD_ENDS]).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else { return eprintln!("skipped: no perl here") };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            child.wait().unwrap();
            return eprintln!("skipped: no perl with threads here");
        }
        while !stat_of(child.id()).unwrap().exiting {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(is_alive(life(&child)).unwrap() && is_intact(life(&child)).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
