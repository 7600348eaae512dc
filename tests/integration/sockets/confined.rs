//! The socket reader in a sidecar without any privileges: the test program starts itself again, confined.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lameduck::io::sockets::SocketReader;
use lameduck_machine::socket_table::SocketTable;

use crate::sockets::{Server, wait_until};

/// A user without privileges.
const UNPRIVILEGED_USER: &str = "65532";
/// Set in the confined process, to the port of a server outside.
const CONFINED: &str = "LAMEDUCK_TEST_CONFINED";

#[test]
fn process_without_capabilities_sees_its_sockets() {
    if let Ok(port) = env::var(CONFINED) {
        return check_confined(port.parse().unwrap());
    }
    let mut server = Server::new("127.0.0.1:0");
    let _client = server.client();
    let dir = env::temp_dir().join(format!("lameduck-sockets-confined-{}", std::process::id()));
    let Some(mut confined) = confined(&dir) else { return };
    let own_name = "sockets::confined::process_without_capabilities_sees_its_sockets";
    confined.args(["--exact", own_name, "--nocapture"]).env(CONFINED, server.address().port().to_string());
    let ended = confined.status().unwrap();
    fs::remove_dir_all(dir).unwrap();
    assert!(ended.success(), "the confined process failed");
}

/// Runs as an unprivileged user, without capabilities or a way to gain them, in a network namespace of its own.
fn check_confined(outside_port: u16) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(&line(capabilities), 16), Ok(0), "{capabilities}");
    }
    assert_eq!(line("NoNewPrivs:"), "1");
    let ports = [outside_port];
    let mut reader = SocketReader::default();
    assert_eq!(reader.read(&ports, true, &[]), Ok(SocketTable::default()));
    let mut server = Server::new(&format!("127.0.0.1:{outside_port}"));
    let clients = [(); 5].map(|()| server.client());
    (&clients[0]).write_all(&[7; 99]).unwrap();
    wait_until(|| server.bytes_of(&clients[0]).received == 99);
    assert_eq!(server.connections().len(), 5);
    let address = server.address();
    drop((server, clients));
    wait_until(|| reader.read(&ports, true, &[]) == Ok(SocketTable::default()));
    println!("confined as user {} to a network namespace: {address} was read", line("Uid:"));
}

/// The command for a confined process of this program, copied to `dir`; `None`, and the skip is reported, where the
/// machine does not allow it.
fn confined(dir: &Path) -> Option<Command> {
    let is_root = rustix::process::geteuid().is_root();
    let namespace: &[&str] = if is_root { &["-n"] } else { &["-Urn"] };
    let up = Command::new("unshare").args(namespace).args(["ip", "link", "set", "lo", "up"]).output();
    if !up.as_ref().is_ok_and(|up| up.status.success()) {
        lameduck_test_support::skip::skip("no network namespaces");
        return None;
    }
    // Without root, a user namespace has only one user, and this process already runs as that user.
    let user: &[&str] =
        if is_root { &["--reuid", UNPRIVILEGED_USER, "--regid", UNPRIVILEGED_USER, "--clear-groups"] } else { &[] };
    let mut command = Command::new("unshare");
    command.args(namespace).args(["sh", "-c", "ip link set lo up && exec setpriv \"$@\"", "sh"]).args(user);
    command.args(["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]).arg(copy_to(dir));
    Some(command)
}

/// Copies this program to a place where every user may run it.
fn copy_to(dir: &Path) -> PathBuf {
    let copy = dir.join("sockets");
    fs::create_dir_all(dir).unwrap();
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    for path in [dir, &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    copy
}
