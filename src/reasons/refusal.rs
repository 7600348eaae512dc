//! Why the kernel refuses a signal, and the fix.

use nix::errno::Errno;

/// A refused signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The name of the kernel's error, such as `EACCES`.
    pub error: String,
    /// The likely cause.
    pub cause: String,
    /// What to do about it.
    pub fix: &'static str,
}

impl Refusal {
    /// Explains an error of kill(2) or `pidfd_send_signal(2)`, for a target and a lameduck of these users.
    #[must_use]
    pub fn new(errno: i32, theirs: u32, ours: u32) -> Self {
        let errno = Errno::from_raw(errno);
        let (cause, fix) = if errno == Errno::EPERM && theirs != ours {
            (
                format!("the target runs as uid {theirs} and lameduck as uid {ours}"),
                "run both with the same runAsUser, or set --signal none",
            )
        } else if errno == Errno::EPERM {
            (
                format!("both run as uid {ours}, so a seccomp profile probably forbids it"),
                "let the container's seccomp profile allow kill and pidfd_send_signal, or set --signal none",
            )
        } else if errno == Errno::EACCES {
            // AppArmor and SELinux return this error (Linux, security/apparmor/ipc.c and security/selinux/avc.c).
            (
                format!("an AppArmor or SELinux profile forbids it (uid {theirs}; lameduck runs as uid {ours})"),
                "give both containers the same profile, or one that allows signals between them, or set --signal none",
            )
        } else {
            (
                format!("the cause is unknown (uid {theirs}; lameduck runs as uid {ours})"),
                "look for a seccomp, AppArmor or SELinux profile that forbids it, or set --signal none",
            )
        };
        Self { error: format!("{errno:?}"), cause, fix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(errno: Errno, theirs: u32, ours: u32) -> String {
        let Refusal { error, cause, fix } = Refusal::new(errno as i32, theirs, ours);
        format!("{error}: {cause}; {fix}")
    }

    #[test]
    fn cause_follows_from_error_and_users() {
        for (errno, theirs, ours, parts) in [
            (Errno::EPERM, 0, 1000, &["EPERM", "uid 0 ", "uid 1000", "runAsUser"][..]),
            (Errno::EPERM, 1000, 1000, &["EPERM", "both run as uid 1000", "seccomp"]),
            (Errno::EACCES, 1000, 1000, &["EACCES", "AppArmor", "uid 1000", "same profile"]),
            (Errno::EACCES, 0, 1000, &["EACCES", "AppArmor", "uid 0;", "same profile"]),
            (Errno::ENOSYS, 0, 0, &["ENOSYS", "unknown", "seccomp"]),
        ] {
            let text = text(errno, theirs, ours);
            for part in [parts, &["--signal none"]].concat() {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}
