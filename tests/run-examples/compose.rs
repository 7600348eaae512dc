//! The Compose project of the examples, with a real Docker engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lameduck_test_support::process::wait_until;

use crate::docker::Docker;
use crate::namespaces::{repository, run};
use crate::redeploy;

const HAPROXY_IMAGE: &str = "haproxy:2.8";
/// Settings of the test: containers share the network of the Docker engine, so each service has ports of its own.
const OVERRIDE: &str = "
services:
  engine-1: {network_mode: host, environment: {SETTINGS-1}}
  engine-2: {network_mode: host, environment: {SETTINGS-2}}
  haproxy: {network_mode: host}
";
/// New streams: all of them end within a lame duck period and a drain.
const LOAD: [&str; 8] = ["--arrivals", "20/s", "--duration", "2s..6s", "--rate", "400", "--chunk", "1s"];

/// Replaces both services with rolling-redeploy while clients open streams.
pub(crate) fn services_are_replaced_one_at_a_time() {
    let docker = Docker::start();
    let haproxy = Path::new("/usr/sbin/haproxy");
    let entry_point = ["--change", "ENTRYPOINT [\"haproxy\", \"-db\", \"-f\", \"/usr/local/etc/haproxy/haproxy.cfg\"]"];
    docker.import(HAPROXY_IMAGE, haproxy, "usr/bin/haproxy", &entry_point);
    let project = write_project(&docker);
    let compose = || {
        let mut command = Command::new("docker-compose");
        command.current_dir(&project).env("DOCKER_HOST", docker.host());
        command
    };
    run(compose().args(["up", "--detach"]));
    wait_until(|| redeploy::up(&docker.0) == 2);
    let old = containers(&docker);
    let client = docker.0.client(8000, &LOAD);
    wait_until(|| redeploy::sessions(&docker.0) > 20);
    let replace = "docker-compose up --detach --no-deps --force-recreate engine-{}";
    let mut script = docker.0.in_network(repository("run-examples/rolling-redeploy"));
    script
        .current_dir(&project)
        .env("DOCKER_HOST", docker.host())
        .args(redeploy::arguments(replace, "http://127.0.0.1:809{}/readyz"));
    run(script.args(["1", "2"]));
    let totals = redeploy::totals(client);
    println!("Compose: two services replaced; {totals}");
    assert!(totals["refused"] == 0 && totals["cut"] == 0, "{totals}");
    assert!(containers(&docker).iter().zip(&old).all(|(new, old)| new != old), "not all containers are new");
    // The drains of unused services end at once.
    run(compose().arg("down"));
}

/// The ids of the services' containers.
fn containers(docker: &Docker) -> [String; 2] {
    ["1", "2"].map(|service| docker.run(&["ps", "--quiet", "--filter", &format!("name=engine-{service}")]))
}

/// Copies the project, without published ports and with this test's addresses.
fn write_project(docker: &Docker) -> PathBuf {
    let dir = docker.0.dir.join("project");
    fs::create_dir(&dir).expect("a new directory");
    let read = |name: &str| fs::read_to_string(repository("run-examples/compose").join(name)).expect("the file");
    let services = read("compose.yaml");
    let services: Vec<&str> = services.lines().filter(|line| !line.trim_start().starts_with("ports:")).collect();
    fs::write(dir.join("docker-compose.yml"), services.join("\n")).expect("written");
    let settings = |service: &str| {
        format!(
            "ENGINE_SIM_ARGS: '--listen 127.0.0.1:808{service} --metrics 127.0.0.1:999{service}', \
             LAMEDUCK_METRICS_URL: 'http://127.0.0.1:999{service}/metrics', LAMEDUCK_LISTEN: '127.0.0.1:809{service}'"
        )
    };
    let added = OVERRIDE.replace("SETTINGS-1", &settings("1")).replace("SETTINGS-2", &settings("2"));
    fs::write(dir.join("docker-compose.override.yml"), added).expect("written");
    let mut config =
        read("haproxy.cfg").replace(" resolvers docker init-addr none", "").replace("check port 8089", "check");
    for service in ["1", "2"] {
        let address = format!("127.0.0.1:808{service} port 809{service}");
        config = config.replace(&format!("engine-{service}:8080"), &address);
    }
    fs::write(dir.join("haproxy.cfg"), config).expect("written");
    dir
}
