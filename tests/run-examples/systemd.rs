//! A real systemd, and its units.

use std::fs;
use std::path::{Path, PathBuf};

use lameduck_test_support::process::{binary, example};

use crate::namespaces::{Directory, Namespaces, output, repository, run};

/// The directory of programs in the unit, and in the tests' systemd.
const PROGRAM_DIRS: [&str; 2] = ["/usr/local/bin/", "/opt/bin/"];

/// A running systemd.
pub(crate) struct Systemd(pub(crate) Namespaces);

/// The unit of the examples, with this tests' programs and ports.
pub(crate) fn example_unit() -> String {
    let unit = fs::read_to_string(repository("run-examples/systemd/engine@.service")).expect("the unit");
    unit.replace(PROGRAM_DIRS[0], PROGRAM_DIRS[1])
}

/// Where instance N listens: streams on port 8080+N, the page on port 9990+N.
const ENGINE_SETTINGS: &str = "Environment='ENGINE_SIM_ARGS=--listen 127.0.0.1:808%i --metrics 127.0.0.1:999%i'\nStandardError=append:/run/out/log-%i\n";

impl Systemd {
    /// Starts it with these units, as pairs of a name and a text, and these additional programs.
    pub(crate) fn start(units: &[(&str, String)], programs: &[&Path]) -> Self {
        let dir = Directory::new();
        for folder in ["units", "bin", "out"] {
            fs::create_dir(dir.join(folder)).expect("a new directory");
        }
        for (name, text) in units {
            let path = dir.join("units").join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a new directory");
            fs::write(path, text).expect("the unit can be written");
        }
        for program in programs {
            copy_program(program, &dir.join("bin").join(program.file_name().expect("a name")));
        }
        copy_program(Path::new(binary()), &dir.join("bin/lameduck"));
        copy_program(&example("engine_sim"), &dir.join("bin/impeller"));
        Self(Namespaces::start("systemd-engine", dir))
    }

    /// Starts it with the unit of the examples and these additional lines in its section.
    pub(crate) fn with_example(lines: &str) -> Self {
        Self::start(&[("engine@.service", example_unit()), ("engine@.service.d/test.conf", drop_in(lines))], &[])
    }

    /// Runs systemctl; returns what it printed.
    pub(crate) fn systemctl(&self, args: &[&str]) -> String {
        run(self.0.inside("systemctl").args(args))
    }

    /// A property of a unit.
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        self.systemctl(&["show", "--value", "--property", name, unit])
    }

    /// Starts a unit; shows its log if that fails.
    pub(crate) fn start_unit(&self, unit: &str) {
        let started = output(self.0.inside("systemctl").args(["start", unit]));
        let status = || output(self.0.inside("systemctl").args(["status", unit])).stdout;
        assert!(started.status.success(), "{}\n{}", String::from_utf8_lossy(&status()), self.log(1));
    }

    /// What instance N wrote to stderr.
    pub(crate) fn log(&self, instance: u8) -> String {
        fs::read_to_string(self.0.dir.join(format!("out/log-{instance}"))).unwrap_or_default()
    }
}

/// The settings of the engine, and these lines, for the section of a unit.
pub(crate) fn drop_in(lines: &str) -> String {
    format!("[Service]\n{ENGINE_SETTINGS}{lines}\n")
}

fn copy_program(from: &Path, to: &PathBuf) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}
