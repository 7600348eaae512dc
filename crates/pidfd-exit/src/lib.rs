//! Reads the exit status of a process from its pidfd.
//!
//! Normally only the parent of a process can read its wait status. Since Linux 6.15 any holder of a pidfd can read it too,
//! once the process has been reaped: ioctl `PIDFD_GET_INFO` with `PIDFD_INFO_EXIT` (`include/uapi/linux/pidfd.h`). An
//! ioctl needs `unsafe`, so this crate contains it and lameduck itself forbids `unsafe`.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::ioctl::{Updater, ioctl, opcode};

/// The first version of `struct pidfd_info`, which every later kernel still accepts.
#[derive(Debug, Default)]
#[repr(C)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    status: i32,
}

const _: () = assert!(size_of::<Info>() == 64, "PIDFD_INFO_SIZE_VER0");

/// `PIDFD_INFO_EXIT`: requests the status. The kernel sets it in the result if the status is available.
const EXIT: u64 = 1 << 3;
/// `PIDFD_GET_INFO`.
const GET_INFO: rustix::ioctl::Opcode = opcode::read_write::<Info>(0xFF, 11);

/// The wait status of the process of `pidfd`; `None` while it has not been reaped.
///
/// # Errors
/// `ENOTTY`, `EINVAL` or similar before Linux 6.15; `ESRCH` if the kernel does not provide the status.
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

    use lameduck_test_support::skip::skip;
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
    fn reaped_process_has_wait_status() {
        let Some(status) = status_of("exit 7") else { return skip("kernel older than Linux 6.15") };
        assert_eq!(status, 7 << 8);
        assert_eq!(status_of("kill -9 $$"), Some(9));
    }
}
