//! `/accepting` with real load balancers in the example configurations.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::json;

use crate::lifecycle::start_engine;
use lameduck_test_support::process::{KillOnDrop, free_address, wait_until};
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar, SidecarEnv};
use lameduck_test_support::sim::{EngineSim, start_client};
use lameduck_test_support::skip::skip;

/// The value of --accept-below.
const LIMIT: &str = "2";

/// Two engines with sidecars, and a load balancer in front of them.
struct BalancedPods {
    engines: [EngineSim; 2],
    sidecars: [Sidecar; 2],
    _pods: [SidecarEnv; 2],
    front: String,
    _balancer: Balancer,
}

/// A load balancer, in a process group of its own. Apache's workers outlive a killed parent.
struct Balancer(KillOnDrop);

impl Drop for Balancer {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.0.0.id().try_into().expect("a pid"));
        let _ = killpg(group, Signal::SIGKILL);
    }
}

/// How a configuration writes a server.
type Server = fn(&EngineSim, &SidecarEnv) -> String;

/// The path of an installed program; reports the skip if it is not installed.
fn installed(name: &str) -> Option<PathBuf> {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"].map(|dir| Path::new(dir).join(name));
    let found = found.into_iter().find(|path| path.exists());
    if found.is_none() {
        skip(&format!("no {name}"));
    }
    found
}

impl BalancedPods {
    /// Runs the program with the example configuration, in which the addresses are replaced.
    fn start(program: &Path, config: &str, server: Server, run: impl Fn(&mut Command, &Path)) -> Self {
        let pods = [(); 2].map(|()| start_engine(&[]));
        let sidecars =
            [&pods[0], &pods[1]].map(|(_, env)| env.start(&[&QUICK_TIMES[..], &["--accept-below", LIMIT]].concat()));
        let front = free_address();
        let listens = ["bind :8000", "listen 8000", "Listen 8000", "VirtualHost *:8000"];
        let mut config = listens.iter().fold(config.to_owned(), |config, listen| {
            let directive = listen.split(' ').next().unwrap();
            config.replace(listen, &format!("{directive} {front}"))
        });
        for (number, (engine, env)) in (1..).zip(&pods) {
            let host = format!("10.0.0.1{number}");
            config = config
                .replace(&format!("{host}:8080"), &server(engine, env))
                .replace(&format!("{host}:8089"), &env.address.to_string())
                .replace(&format!("127.0.0.1:800{number}"), &free_address().to_string());
        }
        let path = pods[0].1.dir.join("balancer.conf");
        fs::write(&path, config).unwrap();
        let mut command = Command::new(program);
        run(&mut command, &path);
        let balancer = Balancer(KillOnDrop(command.process_group(0).stdin(Stdio::null()).spawn().unwrap()));
        wait_until(|| TcpStream::connect(front).is_ok());
        let [(one, first), (other, second)] = pods;
        sidecars.iter().for_each(Sidecar::wait_for_ready);
        Self { engines: [one, other], sidecars, _pods: [first, second], front: front.to_string(), _balancer: balancer }
    }

    fn streams(&self) -> [serde_json::Value; 2] {
        [0, 1].map(|at| self.sidecars[at].status()["streams"].clone())
    }

    /// Opens a stream on the first pod through the balancer, then fills that pod: later streams go to the other.
    fn assert_full_pod_gets_no_streams(mut self, wait_until_noticed: impl Fn(&Self)) {
        let through = |durations| start_client(&self.front, "/v1/listen", &["--durations", durations]);
        let mut early = Vec::new();
        while self.streams()[0] == json!(0) {
            early.push(through("1h"));
            wait_until(|| {
                self.streams().iter().filter_map(serde_json::Value::as_u64).sum::<u64>() == early.len() as u64
            });
        }
        let mut filling = Vec::new();
        while self.sidecars[0].get("/accepting").status == 200 {
            let before = self.streams()[0].clone();
            filling.push(self.engines[0].client("/v1/listen", &["--durations", "1h"]));
            wait_until(|| self.streams()[0] != before);
        }
        let full = self.streams()[0].clone();
        wait_until_noticed(&self);
        let other = self.streams()[1].as_u64().unwrap();
        let mut late = through("1h");
        wait_until(|| self.streams()[1] == json!(other + 1));
        assert_eq!(self.streams()[0], full);
        assert!(late.is_running());
        // No stream was cut by that.
        for mut client in early {
            client.signal(Signal::SIGTERM);
            client.wait_for("1 streams: 1 clean, 0 cut, 0 refused");
        }
        self.engines[0].wait_for(" closed after");
    }
}

#[test]
fn haproxy_sends_new_streams_only_to_accepting_pods() {
    let Some(haproxy) = installed("haproxy") else { return };
    let config = include_str!("../../../k8s-examples/load-balancers/haproxy.cfg");
    let stats = std::env::temp_dir().join(format!("lameduck-haproxy-{}.sock", std::process::id()));
    let config = config
        .replace("check port 8089", "check")
        .replace("global\n", &format!("global\n    stats socket {} mode 600\n", stats.display()));
    let server: Server = |engine, env| format!("{} addr {} port {}", engine.ws, env.address.ip(), env.address.port());
    let pods = BalancedPods::start(&haproxy, &config, server, |command, path| {
        command.arg("-db").arg("-f").arg(path);
    });
    pods.assert_full_pod_gets_no_streams(|_| {
        wait_until(|| {
            use std::io::{Read, Write};
            let Ok(mut socket) = std::os::unix::net::UnixStream::connect(&stats) else { return false };
            let mut text = String::new();
            socket.write_all(b"show stat\n").unwrap();
            socket.read_to_string(&mut text).unwrap();
            text.lines().any(|line| line.starts_with("engines,engine-1,") && line.contains(",DOWN,"))
        });
    });
    let _ = fs::remove_file(&stats);
}

#[test]
fn nginx_skips_pod_that_does_not_accept() {
    let Some(nginx) = installed("nginx") else { return };
    let config = include_str!("../../../k8s-examples/load-balancers/nginx.conf");
    let logs = std::env::temp_dir().join(format!("lameduck-nginx-{}", std::process::id()));
    fs::create_dir_all(&logs).unwrap();
    let config = format!("daemon off; master_process off; pid {0}/pid; error_log {0}/error;\n{config}", logs.display())
        .replace("http {\n", &format!("http {{\n    access_log off;\n    client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n", logs.display()));
    let pods = BalancedPods::start(
        &nginx,
        &config,
        |engine, _| engine.ws.clone(),
        |command, path| {
            command.arg("-c").arg(path).arg("-p").arg(&logs);
        },
    );
    pods.assert_full_pod_gets_no_streams(|_| {});
    let _ = fs::remove_dir_all(&logs);
}

/// What Debian's own configuration does: modules, user and files. `User` has no effect unless root starts it.
fn apache_preamble(dir: &Path) -> String {
    const MODULES: &str = "/usr/lib/apache2/modules";
    let names = [
        "mpm_event",
        "authz_core",
        "proxy",
        "proxy_http",
        "proxy_balancer",
        "proxy_hcheck",
        "slotmem_shm",
        "lbmethod_bybusyness",
    ];
    let modules = names.map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n")).concat();
    let dir = dir.display();
    format!(
        "ServerRoot {dir}\nServerName balancer\nDefaultRuntimeDir {dir}\nPidFile {dir}/pid\nErrorLog {dir}/error\nUser www-data\nGroup www-data\nLogLevel proxy_hcheck:info\n{modules}"
    )
}

#[test]
fn apache_sends_new_streams_only_to_accepting_pods() {
    let Some(apache) = installed("apache2") else { return };
    let logs = std::env::temp_dir().join(format!("lameduck-apache-{}", std::process::id()));
    fs::create_dir_all(&logs).unwrap();
    let config = include_str!("../../../k8s-examples/load-balancers/apache.conf");
    let pods = BalancedPods::start(
        &apache,
        &format!("{}{config}", apache_preamble(&logs)),
        |engine, _| engine.ws.clone(),
        |command, path| {
            command.arg("-D").arg("FOREGROUND").arg("-f").arg(path);
        },
    );
    let errors = logs.join("error");
    pods.assert_full_pod_gets_no_streams(|_| {
        wait_until(|| fs::read_to_string(&errors).unwrap().contains("Health check DISABLING"));
    });
    let _ = fs::remove_dir_all(&logs);
}
