//! The flags and variables that a manifest gives.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::slice::Iter;

use clap::{Arg, Args, Command};

use crate::settings::args::SidecarArgs;
use crate::settings::drain::unsupported_standalone;
use crate::settings::values;
use lameduck_manifests::preflight::{Invocation, Problem, Word};

/// The flags of `lameduck drain` without a value that a standalone hook may have.
const STANDALONE_FLAGS: [&str; 2] = ["standalone", "hook"];

/// The value of a switch that is given alone.
const SWITCHED_ON: &str = "true";

/// The flags of the sidecar.
pub(super) struct Flags {
    /// A parser for them, which reads no variables.
    pub(super) command: Command,
    /// Each flag and its variable.
    variables: Vec<(String, String)>,
    standalone: bool,
}

/// What a manifest gives.
pub(super) struct Given {
    /// The valid values.
    values: Vec<Value>,
    /// The flags whose values are known only in the cluster.
    unknown: BTreeSet<String>,
    /// The flags with invalid values.
    invalid: BTreeSet<String>,
    /// What is wrong with words and values.
    pub(super) problems: Vec<Problem>,
    /// Whether there may be further flags.
    may_have_flags: bool,
    /// Whether there may be further variables.
    may_have_variables: bool,
}

/// A valid value of a flag.
struct Value {
    flag: String,
    text: String,
    is_from_variable: bool,
}

impl Flags {
    pub(super) fn new(standalone: bool) -> Self {
        let command = SidecarArgs::augment_args(Command::new("lameduck").no_binary_name(true));
        let variable = |arg: &Arg| Some((arg.get_long()?.to_owned(), arg.get_env()?.to_str()?.to_owned()));
        let variables = command.get_arguments().filter_map(variable).collect();
        // These paths are inside the pod and cannot be checked here.
        let command = command
            .mut_arg("state_dir", |arg| arg.value_parser(values::path_or_none))
            .mut_arg("termination_log", |arg| arg.value_parser(clap::value_parser!(PathBuf)))
            .mut_args(|arg| arg.env(None::<&'static str>))
            .disable_help_flag(true);
        Self { command, variables, standalone }
    }

    fn has(&self, flag: &str) -> bool {
        self.variables.iter().any(|(name, _)| name == flag)
    }

    /// Whether the next word is never the value of this flag: it is given alone, or as `--flag=value`.
    fn is_switch(&self, flag: &str) -> bool {
        self.command.get_arguments().any(|arg| arg.get_long() == Some(flag) && arg.is_require_equals_set())
    }

    fn check(&self, word: &str) -> Result<(), Problem> {
        let parsed = self.command.clone().try_get_matches_from([word]);
        parsed.map(drop).map_err(|error| clap_problem(&error))
    }
}

impl Given {
    pub(super) fn new(invocation: &Invocation, flags: &Flags) -> Self {
        let mut given = Self {
            values: Vec::new(),
            unknown: BTreeSet::new(),
            invalid: BTreeSet::new(),
            problems: Vec::new(),
            may_have_flags: invocation.args.is_none(),
            may_have_variables: invocation.has_env_from,
        };
        let mut words = invocation.args.as_deref().unwrap_or_default().iter();
        while let Some(word) = words.next() {
            given.add_word(word, &mut words, flags);
        }
        given.add_variables(invocation, flags);
        given
    }

    /// The valid values as words for the parser.
    pub(super) fn words(&self) -> Vec<String> {
        self.values.iter().map(|Value { flag, text, .. }| format!("--{flag}={text}")).collect()
    }

    /// Whether the manifest says what a flag is: its value, or that it has its default. A flag wins over its variable.
    pub(super) fn is_known(&self, flag: &str) -> bool {
        if let Some(value) = self.values.iter().find(|value| value.flag == flag) {
            return !(value.is_from_variable && self.may_have_flags);
        }
        let may_be_set = self.may_have_flags || self.may_have_variables;
        !may_be_set && !self.unknown.contains(flag) && !self.invalid.contains(flag)
    }

    /// What is known only in the cluster.
    pub(super) fn unknown(&self) -> Vec<String> {
        let flags = self.unknown.iter().map(|flag| format!("--{flag}"));
        let more_flags = self.may_have_flags.then(|| "some or all arguments".to_owned());
        let more_variables = self.may_have_variables.then(|| "the variables of envFrom".to_owned());
        flags.chain(more_flags).chain(more_variables).collect()
    }

    /// Adds a word, and the next one if that is its value.
    fn add_word(&mut self, word: &Word, rest: &mut Iter<Word>, flags: &Flags) {
        let (text, is_known) = match word {
            Word::Known(text) => (text, true),
            Word::Unknown { prefix } => (prefix, false),
        };
        let (flag, value) = match text.strip_prefix("--").map(|flag| (flag, flag.split_once('='))) {
            Some((_, Some((flag, value)))) => (flag, Some(value)),
            Some((flag, None)) => (flag, None),
            None => ("", None),
        };
        match (flags.standalone.then(|| unsupported_standalone(flag)).flatten(), value) {
            (Some(error), _) => self.problems.push(Problem { cause: error.problem(), fix: error.fix }),
            (None, None) if flags.standalone && STANDALONE_FLAGS.contains(&flag) => {}
            (None, Some(value)) if flags.has(flag) => self.add_value(flag, is_known.then_some(value), "", flags),
            (None, None) if is_known && flags.is_switch(flag) => self.add_value(flag, Some(SWITCHED_ON), "", flags),
            (None, None) if flags.has(flag) && is_known => match rest.next() {
                Some(value) => self.add_value(flag, value.known(), "", flags),
                None => self.problems.extend(flags.check(text).err()),
            },
            _ if is_known => self.problems.extend(flags.check(text).err()),
            _ => self.may_have_flags = true,
        }
    }

    fn add_variables(&mut self, invocation: &Invocation, flags: &Flags) {
        for variable in &invocation.environment {
            let flag = flags.variables.iter().find(|(_, name)| *name == variable.name).map(|(flag, _)| flag);
            let Some(flag) = flag else { continue };
            // A flag wins over its variable. A standalone drain does not read the variables that it does not support.
            let is_given = self.values.iter().any(|value| value.flag == *flag)
                || self.unknown.contains(flag)
                || self.invalid.contains(flag);
            let is_ignored = flags.standalone && unsupported_standalone(flag).is_some();
            if !is_given && !is_ignored {
                self.add_value(flag, variable.value.known(), &variable.name, flags);
            }
        }
    }

    /// Adds a value, or the problem with it. `None` is known only in the cluster.
    fn add_value(&mut self, flag: &str, value: Option<&str>, variable: &str, flags: &Flags) {
        let Some(value) = value else {
            self.unknown.insert(flag.to_owned());
            return;
        };
        match flags.check(&format!("--{flag}={value}")) {
            Ok(()) => self.values.push(Value {
                flag: flag.to_owned(),
                text: value.to_owned(),
                is_from_variable: !variable.is_empty(),
            }),
            Err(problem) => {
                let cause = if variable.is_empty() { problem.cause } else { format!("{variable}: {}", problem.cause) };
                self.problems.push(Problem { cause, fix: problem.fix });
                self.invalid.insert(flag.to_owned());
            }
        }
    }
}

/// The cause and the fix of an error of the parser, without its usage text.
pub(super) fn clap_problem(error: &clap::Error) -> Problem {
    let text = error.to_string();
    let line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n");
    let cause = line(paragraphs.next().unwrap_or_default().trim_start_matches("error: "));
    let tip = paragraphs.find_map(|paragraph| paragraph.trim().strip_prefix("tip: ").map(line));
    let (cause, fix) = match (tip, cause.split_once("; ")) {
        (Some(tip), _) => (cause, tip),
        (None, Some((cause, fix))) => (cause.to_owned(), fix.to_owned()),
        (None, None) => (cause, "correct it; lameduck sidecar --help lists all settings".to_owned()),
    };
    Problem { cause, fix }
}
