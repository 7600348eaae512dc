//! How a process ended, asked of its pidfd.
//!
//! The wait status of a process belongs to its parent. Since Linux 6.15 anybody who held a pidfd of it may ask too,
//! once it has been reaped: ioctl `PIDFD_GET_INFO` with `PIDFD_INFO_EXIT` (`include/uapi/linux/pidfd.h`). An ioctl
//! needs `unsafe`, so it stands alone here, and lameduck itself can forbid it.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::ioctl::{Updater, ioctl, opcode};

/// `struct pidfd_info` in its first form, which every later kernel still takes.
#[derive(Debug, Default)]
#[repr(C)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    status: i32,
}

const _: () = assert!(size_of::<Info>() == 64, "PIDFD_INFO_SIZE_VER0");

/// `PIDFD_INFO_EXIT`: asks for the status, and says in the answer that it is there.
const EXIT: u64 = 1 << 3;
/// `PIDFD_GET_INFO`.
const GET_INFO: rustix::ioctl::Opcode = opcode::read_write::<Info>(0xFF, 11);

/// The wait status of the process behind `pidfd`; `None` while it has not been reaped.
///
/// # Errors
/// `ENOTTY`, `EINVAL` or the like where the kernel is older than 6.15; `ESRCH` where it does not tell.
pub fn wait_status(pidfd: impl AsFd) -> Result<Option<i32>, Errno> {
    let mut info = Info { mask: EXIT, ..Info::default() };
    // SAFETY: the request's number encodes the size of `Info`, which is laid out as the kernel's struct, is written
    // within that size only, and holds nothing but integers, for which every bit pattern is valid.
    unsafe { ioctl(pidfd, Updater::<GET_INFO, Info>::new(&mut info)) }?;
    Ok((info.mask & EXIT != 0).then_some(info.status))
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::process::Command;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    fn status_of(script: &str) -> Option<i32> {
        let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let pidfd: OwnedFd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
        assert!(!matches!(wait_status(&pidfd), Ok(Some(_))), "it has not been reaped yet");
        child.wait().unwrap();
        wait_status(&pidfd).unwrap_or_else(|error| {
            assert!(matches!(error, Errno::NOTTY | Errno::INVAL | Errno::OPNOTSUPP | Errno::SRCH), "{error}");
            None
        })
    }

    #[test]
    fn a_reaped_process_tells_how_it_ended_where_the_kernel_does() {
        let Some(status) = status_of("exit 7") else {
            eprintln!("this kernel does not tell (it needs Linux 6.15)");
            return;
        };
        assert_eq!(status, 7 << 8);
        assert_eq!(status_of("kill -9 $$"), Some(9));
    }
}
