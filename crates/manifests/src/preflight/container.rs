//! The containers of a pod, and what lameduck does in them.

use super::hook::Hook;
use super::invocation::{Environment, Word, words};
use super::view::View;
use crate::select::{basename, repository};

/// The program, and the last component of its image.
const PROGRAM: &str = "lameduck";
/// The flag that only the sidecar requires.
const GRACE_PERIOD_FLAG: &str = "--grace-period";
/// Programs that run a script.
const SHELLS: [&str; 5] = ["sh", "ash", "bash", "dash", "busybox"];

/// A list of the pod spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Init,
    Ordinary,
}

/// What lameduck does in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It does not run there.
    Other,
    /// It runs as the sidecar.
    Sidecar(Command),
    /// It copies itself into a volume.
    Installer,
}

/// The command line of the sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `sidecar` and these words.
    Sidecar(Vec<Word>),
    /// A script, or a word whose value is known only in the cluster.
    Unknown,
    /// Another subcommand or none.
    Invalid(Option<String>),
}

/// A container.
#[derive(Debug)]
pub(super) struct Container<'a> {
    pub(super) name: &'a str,
    pub(super) list: List,
    pub(super) view: View<'a>,
    pub(super) environment: Environment,
    pub(super) role: Role,
    pub(super) hook: Option<Hook<'a>>,
}

impl<'a> Container<'a> {
    /// The containers of a pod, without entries that are not maps.
    pub(super) fn all(spec: View<'a>) -> Vec<Self> {
        let lists = [("initContainers", List::Init), ("containers", List::Ordinary)];
        let items = lists.into_iter().flat_map(|(key, list)| spec.list(key).into_iter().map(move |item| (list, item)));
        items.filter(|(_, item)| item.is_map()).map(|(list, item)| Self::new(list, item)).collect()
    }

    pub(super) fn new(list: List, view: View<'a>) -> Self {
        let environment = Environment::of(view);
        let name = view.text_of("name").unwrap_or("(no name)");
        let role = role(name, view, &environment);
        let hook = view.at(&["lifecycle", "preStop"]).map(Hook::new);
        Self { name, list, view, environment, role, hook }
    }

    pub(super) fn is_sidecar(&self) -> bool {
        matches!(self.role, Role::Sidecar(_))
    }

    /// Whether it restarts on its own, like a native sidecar.
    pub(super) fn restarts_always(&self) -> bool {
        self.view.text_of("restartPolicy") == Some("Always")
    }

    /// Whether it runs this program, or an image of this name.
    pub(super) fn runs(&self, program: Option<&str>, image: Option<&str>) -> bool {
        let command = words(self.view, "command", &self.environment);
        let first_argument = words(self.view, "args", &self.environment).into_iter().take(1);
        let runs_program = command.into_iter().chain(first_argument).any(|word| {
            let name = word.known().map(basename);
            name.is_some() && name == program
        });
        runs_program || image.is_some() && self.image_name() == image
    }

    /// The last component of its image, without tag and digest.
    fn image_name(&self) -> Option<&'a str> {
        image_name(self.view)
    }

    /// An id from its security context, or else from the pod's.
    pub(super) fn user_id(&self, spec: View<'a>, key: &str) -> Option<View<'a>> {
        let of = |view: View<'a>| view.at(&["securityContext", key]);
        of(self.view).or_else(|| of(spec))
    }

    /// The number of its port with this name.
    pub(super) fn named_port(&self, name: &str) -> Option<u16> {
        let port = self.view.list("ports").into_iter().find(|port| port.text_of("name") == Some(name));
        port.and_then(|port| port.get("containerPort")).and_then(View::port)
    }

    /// The ports that it declares.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.view.list("ports").into_iter().filter_map(|port| port.get("containerPort")?.port())
    }
}

fn image_name(view: View<'_>) -> Option<&str> {
    view.text_of("image").map(|image| basename(repository(image)))
}

/// Whether lameduck runs in a container, and as what.
fn role(name: &str, view: View, environment: &Environment) -> Role {
    let command = words(view, "command", environment);
    let arguments = words(view, "args", environment);
    if let Some(script) = script(&command, &arguments) {
        return role_of_script(&script);
    }
    if let Some(words) = words_of_program(&command, &arguments) {
        return role_of_words(&words);
    }
    if !command.is_empty() {
        return role_behind_wrapper(&command, &arguments);
    }
    let first = arguments.first().and_then(Word::known);
    let has_grace_period =
        arguments.iter().any(|word| word.known().is_some_and(|it| it.starts_with(GRACE_PERIOD_FLAG)));
    let is_likely = name == PROGRAM || !environment.of_lameduck().is_empty() || has_grace_period;
    if image_name(view) == Some(PROGRAM) || is_likely && matches!(first, Some("sidecar" | "install")) {
        return role_of_words(&arguments);
    }
    Role::Other
}

/// The words after lameduck in a container whose command begins with it.
fn words_of_program(command: &[Word], arguments: &[Word]) -> Option<Vec<Word>> {
    let (program, rest) = command.split_first()?;
    (program.known().map(basename) == Some(PROGRAM)).then(|| [rest, arguments].concat())
}

/// The role of a container whose command is another program that may start lameduck, such as an init process.
fn role_behind_wrapper(command: &[Word], arguments: &[Word]) -> Role {
    let words = [command, arguments].concat();
    let is_program = |word: &Word| word.known().is_some_and(|it| !it.starts_with('-') && basename(it) == PROGRAM);
    let program = words.iter().take(command.len() + 1).position(is_program);
    match program.map(|at| role_of_words(&words[at + 1..])) {
        // The word may be an argument of another program.
        Some(Role::Sidecar(Command::Invalid(_) | Command::Unknown)) | None => Role::Other,
        Some(role) => role,
    }
}

fn role_of_words(words: &[Word]) -> Role {
    match words {
        [Word::Known(first), rest @ ..] if first == "sidecar" => Role::Sidecar(Command::Sidecar(rest.to_vec())),
        [Word::Known(first), ..] if first == "install" => Role::Installer,
        // These do not stand for a mistyped `sidecar`.
        [Word::Known(first), ..]
            if ["check", "drain", "inject", "run", "status", "--help", "--version"].contains(&first.as_str()) =>
        {
            Role::Other
        }
        [Word::Known(first), ..] => Role::Sidecar(Command::Invalid(Some(first.clone()))),
        [Word::Unknown { .. }, ..] => Role::Sidecar(Command::Unknown),
        [] => Role::Sidecar(Command::Invalid(None)),
    }
}

/// The script of a container that runs a shell.
fn script(command: &[Word], arguments: &[Word]) -> Option<String> {
    let mut words = command.iter().chain(arguments).filter_map(Word::known);
    let shell = words.next().map(basename)?;
    SHELLS.contains(&shell).then(|| words.collect::<Vec<_>>().join(" "))
}

fn role_of_script(script: &str) -> Role {
    if script.contains("lameduck sidecar") {
        Role::Sidecar(Command::Unknown)
    } else if script.contains("lameduck install") {
        Role::Installer
    } else {
        Role::Other
    }
}
