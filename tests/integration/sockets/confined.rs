//! The table as a sidecar sees it that may do nothing: the tests' program starts itself again, confined.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lameduck::io::sockets::SocketReader;
use lameduck_machine::socket_table::SocketTable;

use crate::sockets::{Server, wait_until};

/// A user without any rights.
const NOBODY: &str = "65532";
/// Tells the confined process that it is one, and which port others use outside.
const WITHIN: &str = "LAMEDUCK_TEST_WITHIN";

#[test]
fn a_process_without_any_right_sees_the_sockets_of_its_own_network() {
    if let Ok(port) = env::var(WITHIN) {
        return look_from_within(port.parse().unwrap());
    }
    let mut server = Server::new("127.0.0.1:0");
    let _client = server.client();
    let dir = env::temp_dir().join(format!("lameduck-sockets-confined-{}", std::process::id()));
    let Some(mut confined) = confined(&dir) else { return };
    let own_name = "sockets::confined::a_process_without_any_right_sees_the_sockets_of_its_own_network";
    confined.args(["--exact", own_name, "--nocapture"]).env(WITHIN, server.address().port().to_string());
    let ended = confined.status().unwrap();
    fs::remove_dir_all(dir).unwrap();
    assert!(ended.success(), "the confined process has failed");
}

/// What a sidecar is confined to: a user of no name, no capability, none to be had, and a network of its own.
fn look_from_within(port_of_others: u16) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(&line(capabilities), 16), Ok(0), "{capabilities}");
    }
    assert_eq!(line("NoNewPrivs:"), "1");
    let ports = [port_of_others];
    let mut table = SocketReader::default();
    assert_eq!(table.read(&ports, true, &[]), Ok(SocketTable::default()));
    let mut server = Server::new(&format!("127.0.0.1:{port_of_others}"));
    let clients = [(); 5].map(|()| server.client());
    (&clients[0]).write_all(&[7; 99]).unwrap();
    wait_until(|| server.connection_of(&clients[0]).unwrap().received == Some(99));
    assert_eq!(server.connections().len(), 5);
    let address = server.address();
    drop((server, clients));
    wait_until(|| table.read(&ports, true, &[]) == Ok(SocketTable::default()));
    println!("confined as user {} to a network of its own: {address} was seen", line("Uid:"));
}

/// This program, from a copy in `dir`, as a confined process; `None`, with a word, where the machine does not let us
/// make one.
fn confined(dir: &Path) -> Option<Command> {
    let is_root = rustix::process::geteuid().is_root();
    let namespace: &[&str] = if is_root { &["-n"] } else { &["-Urn"] };
    let up = Command::new("unshare").args(namespace).args(["ip", "link", "set", "lo", "up"]).output();
    if !up.as_ref().is_ok_and(|up| up.status.success()) {
        lameduck_test_support::skip::skip("no network namespaces");
        return None;
    }
    // Without root there is but one user in a namespace of users, and one is that already.
    let user: &[&str] = if is_root { &["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"] } else { &[] };
    let mut command = Command::new("unshare");
    command.args(namespace).args(["sh", "-c", "ip link set lo up && exec setpriv \"$@\"", "sh"]).args(user);
    command.args(["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]).arg(copy_to(dir));
    Some(command)
}

/// Copies this program to where everybody may run it.
fn copy_to(dir: &Path) -> PathBuf {
    let copy = dir.join("sockets");
    fs::create_dir_all(dir).unwrap();
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    for path in [dir, &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    copy
}
