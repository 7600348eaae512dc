//! A real Docker engine, and its containers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lameduck_test_support::process::{Program, binary, example, wait_until};
use serde_json::Value;

use crate::namespaces::{Directory, Namespaces, output, repository, run};

/// The image with the engine, in place of the vendor's.
const ENGINE_IMAGE: &str = "engine:1";
/// The image with lameduck alone.
const LAMEDUCK_IMAGE: &str = "lameduck:1";
/// What the Dockerfile of the examples makes of both.
pub(crate) const IMAGE: &str = "engine-with-lameduck:1";

/// A running Docker engine with the images.
pub(crate) struct Docker(pub(crate) Namespaces);

/// A container with a simulated engine, on ports of its own in the network of the Docker engine.
pub(crate) struct Container<'a> {
    docker: &'a Docker,
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl Docker {
    /// Starts it, and builds the images with the Dockerfile of the examples.
    pub(crate) fn start() -> Self {
        let dir = Directory::new();
        let docker = Self(Namespaces::start("docker-engine", dir));
        docker.import(LAMEDUCK_IMAGE, Path::new(binary()), "lameduck", &[]);
        let entry_point = ["--change", "ENTRYPOINT [\"impeller\"]"];
        docker.import(ENGINE_IMAGE, &example("engine_sim"), "usr/bin/impeller", &entry_point);
        let dockerfile = repository("run-examples/docker");
        let arguments = [format!("ENGINE={ENGINE_IMAGE}"), format!("LAMEDUCK={LAMEDUCK_IMAGE}")];
        let arguments = arguments.iter().flat_map(|argument| ["--build-arg", argument]);
        run(docker.command().arg("build").args(arguments).args(["--tag", IMAGE]).arg(dockerfile));
        docker
    }

    /// The client.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("docker");
        // Without BuildKit, which Debian does not have.
        command.env("DOCKER_HOST", self.host()).env("DOCKER_BUILDKIT", "0");
        command
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.0.dir.join("docker.sock").display())
    }

    pub(crate) fn run(&self, args: &[&str]) -> String {
        run(self.command().args(args))
    }

    /// Builds an image of this program, with this path in the image, and of the libraries that it and lameduck need:
    /// the binary of the real image is static.
    pub(crate) fn import(&self, image: &str, program: &Path, to: &str, options: &[&str]) {
        let root = self.0.dir.join(image.replace(':', "-"));
        copy(program, &root.join(to));
        for library in libraries(Path::new(binary())).union(&libraries(program)) {
            copy(library, &root.join(library.strip_prefix("/").expect("an absolute path")));
        }
        let mut archive =
            Command::new("tar").arg("-cC").arg(&root).arg(".").stdout(Stdio::piped()).spawn().expect("tar");
        let mut import = self.command();
        import.args(["import", "--change", "ENV PATH=/usr/bin"]).args(options).args(["-", image]);
        import.stdin(archive.stdout.take().expect("stdout is piped")).stdout(Stdio::null());
        assert!(import.status().expect("docker").success() && archive.wait().expect("tar").success(), "{image}");
    }

    /// Builds an image with a Dockerfile that copies no files.
    pub(crate) fn build(&self, image: &str, dockerfile: &str) {
        let path = self.0.dir.join("Dockerfile");
        fs::write(&path, dockerfile).expect("the Dockerfile can be written");
        run(self.command().args(["build", "--tag", image, "-f"]).arg(&path).arg(self.0.dir.join("exec")));
    }

    /// Starts a container of an image; `number` makes its ports unique.
    pub(crate) fn container(&self, name: &str, number: u16, image: &str, options: &[&str]) -> Container<'_> {
        let port = 10_000 + number;
        let settings = [
            format!("ENGINE_SIM_ARGS=--listen 127.0.0.1:{port} --metrics 127.0.0.1:{}", 11_000 + number),
            format!("LAMEDUCK_METRICS_URL=http://127.0.0.1:{}/metrics", 11_000 + number),
            format!("LAMEDUCK_LISTEN=127.0.0.1:{}", 12_000 + number),
        ];
        let settings = settings.iter().flat_map(|setting| ["--env", setting]);
        let mut command = self.command();
        command.args(["run", "--detach", "--network", "host", "--name", name]).args(settings).args(options).arg(image);
        run(&mut command);
        Container { docker: self, name: name.to_owned(), port }
    }
}

impl Container<'_> {
    /// Waits until the engine serves and, with lameduck, until that is ready; then opens streams.
    pub(crate) fn open_streams(&self, count: &str, duration: &str, has_lameduck: bool) -> Program {
        let page = format!("http://127.0.0.1:{}/metrics", self.port + 1000);
        wait_until(|| self.docker.0.get(&page).is_some());
        if has_lameduck {
            wait_until(|| {
                output(self.docker.command().args(["exec", &self.name, "lameduck", "status", "--ready"]))
                    .status
                    .success()
            });
        }
        let client = self.docker.0.client(self.port, &["--streams", count, "--durations", duration]);
        let gauge = format!("engine_active_requests{{kind=\"stream\"}} {count}\n");
        wait_until(|| self.docker.0.get(&page).is_some_and(|page| page.contains(&gauge)));
        client
    }

    /// A value of `docker inspect`.
    pub(crate) fn inspect(&self, path: &str) -> Value {
        let text = self.docker.run(&["inspect", &self.name]);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        value.pointer(&format!("/0{path}")).cloned().unwrap_or_default()
    }

    pub(crate) fn exit_code(&self) -> i64 {
        self.inspect("/State/ExitCode").as_i64().expect("an exit code")
    }

    pub(crate) fn is_running(&self) -> bool {
        self.inspect("/State/Running") == true
    }

    /// What its processes have written.
    pub(crate) fn logs(&self) -> String {
        let output = output(self.docker.command().args(["logs", &self.name]));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// The response of a lameduck command in the container.
    pub(crate) fn lameduck(&self, args: &[&str]) -> String {
        self.docker.run(&[&["exec", &self.name, "lameduck"], args].concat())
    }
}

/// The shared libraries of a program, and its loader.
fn libraries(program: &Path) -> BTreeSet<PathBuf> {
    let listed = run(Command::new("ldd").arg(program));
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a directory")).expect("the directory can be created");
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}
