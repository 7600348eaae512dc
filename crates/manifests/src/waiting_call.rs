//! Commands of hooks that end in a call which waits for the sidecar.

use crate::select::basename;
use crate::shell_script::{Command, Operator, Script};

/// The path that a hook calls.
pub(crate) const PRESTOP_PATH: &str = "/prestop";

/// The call at the end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WaitingCall {
    /// The program, as it is written.
    pub(crate) program: String,
    /// Whether that is lameduck itself, and not a client of HTTP.
    pub(crate) is_lameduck: bool,
    /// Why it may not wait until the drain is over; `None` if it does.
    pub(crate) doubt: Option<String>,
}

/// The options of a program that do not change how long it waits.
struct Options {
    /// Single letters.
    flags: &'static str,
    /// Single letters that take a value.
    with_value: &'static str,
    /// Words.
    long_flags: &'static [&'static str],
    /// Words that take a value.
    long_with_value: &'static [&'static str],
}

/// curl has no time limit of its own (curl(1)).
const CURL: Options = Options {
    flags: "46LNSfgkqsv",
    with_value: "AHo",
    long_flags: &[
        "fail",
        "fail-with-body",
        "ipv4",
        "ipv6",
        "location",
        "no-buffer",
        "no-progress-meter",
        "retry-connrefused",
        "show-error",
        "silent",
        "verbose",
    ],
    long_with_value: &["connect-timeout", "header", "output", "retry", "retry-delay"],
};
const WGET: Options = Options {
    flags: "q",
    with_value: "O",
    long_flags: &["quiet", "no-verbose"],
    long_with_value: &["header", "output-document"],
};
const DRAIN: Options = Options {
    flags: "",
    with_value: "",
    long_flags: &["hook"],
    long_with_value: &["listen", "log-format", "log-level"],
};

/// Hosts that mean the pod itself, inside the pod.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
const SHELLS: [&str; 4] = ["ash", "bash", "dash", "sh"];
/// Commands after which the rest of a script may not run, or after which the target may have been stopped.
const ENDS: [&str; 9] = [".", "eval", "exec", "exit", "kill", "killall", "pkill", "return", "source"];

impl WaitingCall {
    /// The call of the sidecar on this port with which a command ends; `None` if it does not end in one.
    pub(crate) fn find(command: &[&str], port: u16) -> Option<Self> {
        match command {
            [shell, flags, script, ..] if SHELLS.contains(&basename(shell)) && runs_script(flags) => {
                in_script(script, flags.contains('e'), port)
            }
            words => direct(words, port),
        }
    }
}

/// Whether these flags of a shell make it run the next argument. `-n` would only check it.
fn runs_script(flags: &str) -> bool {
    flags.strip_prefix('-').is_some_and(|flags| flags.contains('c') && flags.chars().all(|flag| "celux".contains(flag)))
}

fn in_script(text: &str, stops_at_failure: bool, port: u16) -> Option<WaitingCall> {
    let Script { mut commands, is_simple } = Script::parse(text)?;
    if let [.., before, fallback] = &mut commands[..]
        && before.followed_by == Operator::Or
        && matches!(fallback.words[..], [ref word] if word == "true" || word == ":")
    {
        before.followed_by = Operator::Sequence;
        commands.pop();
    }
    let (last, before) = commands.split_last()?;
    if last.followed_by != Operator::Sequence {
        return None;
    }
    let words: Vec<&str> = last.words.iter().map(String::as_str).skip_while(|word| *word == "exec").collect();
    let call = direct(&words, port)?;
    let doubt = doubt_before(before, stops_at_failure);
    let doubt = if is_simple { doubt } else { Some("its script is not only a list of commands".to_owned()) };
    Some(WaitingCall { doubt: doubt.or(call.doubt), ..call })
}

/// Why the commands before the call may prevent it.
fn doubt_before(commands: &[Command], stops_at_failure: bool) -> Option<String> {
    let program = |command: &'_ Command| basename(&command.words[0]).to_owned();
    let sets_e =
        |command: &Command| command.words[0] == "set" && command.words[1..].iter().any(|word| word.contains('e'));
    if let Some(end) = commands.iter().map(program).find(|program| ENDS.contains(&program.as_str())) {
        return Some(format!("it runs `{end}` before the call"));
    }
    if !commands.is_empty() && (stops_at_failure || commands.iter().any(sets_e)) {
        return Some("a command before the call that fails ends it (-e)".to_owned());
    }
    match commands.last()?.followed_by {
        Operator::And => Some("it makes the call only if the command before it succeeds (&&)".to_owned()),
        Operator::Or => Some("it makes the call only if the command before it fails (||)".to_owned()),
        Operator::Sequence | Operator::Background | Operator::Pipe => None,
    }
}

/// A call that is a command by itself.
fn direct(words: &[&str], port: u16) -> Option<WaitingCall> {
    let (program, args) = words.split_first()?;
    let calls_sidecar = args.iter().any(|word| prestop_port(word) == Some(port));
    let is_lameduck = basename(program) == "lameduck";
    let doubt = match basename(program) {
        "curl" if calls_sidecar => doubtful_option(args, &CURL),
        "wget" if calls_sidecar => {
            let (unlimited, rest): (Vec<&str>, Vec<&str>) = args.iter().partition(|word| is_unlimited(word));
            let limit = || "wget stops waiting after 900 s, unless it has --timeout=0".to_owned();
            doubtful_option(&rest, &WGET).or_else(|| unlimited.is_empty().then(limit))
        }
        "lameduck" => {
            let args = args.strip_prefix(&["drain"]).filter(|args| args.contains(&"--hook"))?;
            if args.contains(&"--standalone") {
                return None;
            }
            doubtful_option(args, &DRAIN).or_else(|| other_listen(args, port))
        }
        _ => return None,
    };
    Some(WaitingCall { program: (*program).to_owned(), is_lameduck, doubt })
}

fn is_unlimited(word: &str) -> bool {
    ["--timeout=0", "-T0"].contains(&word)
}

/// The first argument that may change how long a program waits, or what it calls.
fn doubtful_option(args: &[&str], options: &Options) -> Option<String> {
    let mut args = args.iter().copied();
    while let Some(word) = args.next() {
        let is_known = if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let takes_value = options.long_with_value.contains(&name);
            if takes_value && value.is_none() {
                args.next();
            }
            takes_value || options.long_flags.contains(&name)
        } else if let Some(letters) = word.strip_prefix('-') {
            let other = letters.trim_start_matches(|letter| options.flags.contains(letter));
            let takes_value = other.chars().next().is_some_and(|letter| options.with_value.contains(letter));
            if takes_value && other.len() == 1 {
                args.next();
            }
            takes_value || other.is_empty()
        } else {
            if word.ends_with('>') {
                args.next();
            }
            word.contains('>') || prestop_port(word).is_some()
        };
        if !is_known {
            return Some(format!("its argument {word} may end the wait early"));
        }
    }
    None
}

/// Why `lameduck drain` calls another port than the sidecar's.
fn other_listen(args: &[&str], port: u16) -> Option<String> {
    let at = args.iter().position(|word| word.starts_with("--listen"))?;
    let address = args[at].split_once('=').map(|(_, address)| address).or_else(|| args.get(at + 1).copied())?;
    let is_same = address.rsplit_once(':').is_some_and(|(_, other)| other.parse() == Ok(port));
    (!is_same).then(|| format!("it calls {address}, and lameduck listens on port {port}"))
}

/// The port of a URL of `/prestop` in this pod.
fn prestop_port(word: &str) -> Option<u16> {
    let rest = word.strip_prefix("http://").unwrap_or(word);
    let (authority, path) = rest.split_at(rest.find('/')?);
    let (host, port) = authority.rsplit_once(':')?;
    (LOOPBACK.contains(&host) && path == PRESTOP_PATH).then(|| port.parse().ok())?
}

#[cfg(test)]
mod tests;
