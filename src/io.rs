//! All input and output.
//!
//! Each module does one kind of I/O. The modules exchange plain types of `lameduck_machine` with the rest of the program.
//! They do not depend on each other, except for the helpers listed last.
//!
//! | module | talks to | purpose |
//! |---|---|---|
//! | [`hook`] | HTTP clients: the kubelet, load balancers, Prometheus, users | serves `/prestop`, the probes, `/status` and `/metrics` |
//! | [`page`] | the target's metrics page, over HTTP | reads stream counts from Prometheus text |
//! | [`api_status`] | the status page of Deepgram's API, over HTTP | reads stream counts from JSON |
//! | [`sockets`] | the kernel: netlink `sock_diag`, or `/proc/net/tcp` | reads the connections to watched ports |
//! | [`process`] | `/proc/*` | finds the target process |
//! | [`liveness`] | `/proc/PID/stat` | checks whether an incarnation of a process is alive |
//! | [`watch`] | the kernel: pidfds | notices the target's exit, and signals the target |
//! | [`signals`] | the kernel: signal handlers | receives signals to this process |
//! | [`child`] | the kernel: `fork`, `waitid` | starts the child of `lameduck run`, signals and reaps it |
//! | [`sd_notify`] | the service manager: `NOTIFY_SOCKET` | sends messages to it |
//! | [`state`] | a file in `--state-dir` | saves a drain, so that a restarted process resumes it |
//! | [`drain_lock`] | a lock file in `--state-dir` | lets one of several standalone drains run at a time |
//! | [`termination`] | the container's termination log | leaves the outcome for the kubelet |
//! | [`log`] | stderr | writes the log from a thread of its own |
//! | [`clock`] | the kernel's clocks | provides the time; nothing else reads a clock |
//! | [`descriptors`] | the kernel: `RLIMIT_NOFILE` | raises the limit of file descriptors |
//! | [`metrics`] | – | counts events, and renders lameduck's own metrics page |
//! | [`report`] | – | the JSON of `/status` and of the outcome |
//!
//! Helpers: [`http`] (the client of [`page`] and [`api_status`]), [`private_file`] (files that only this user can access),
//! [`nonblocking`] (opening files of any type), [`rounding`] (durations in output),
//! [`target_signal`] (signals by name).

pub mod api_status;
pub mod child;
pub mod clock;
pub mod descriptors;
pub mod drain_lock;
pub mod hook;
pub mod http;
pub mod liveness;
pub mod log;
pub mod metrics;
pub mod nonblocking;
pub mod page;
pub mod private_file;
pub mod proc_file;
pub mod process;
pub mod report;
pub mod rounding;
pub mod sd_notify;
pub mod signals;
pub mod sockets;
pub mod state;
pub mod target_signal;
pub mod termination;
pub mod watch;
