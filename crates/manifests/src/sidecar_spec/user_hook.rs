//! Hooks that users wrote and that wait for the sidecar.

use crate::pods::{Container, Pod};
use crate::select::{basename, repository};
use crate::yaml::Node;

use super::{PRESTOP_PATH, STANDALONE};

/// The name of the program and of its image.
const PROGRAM: &str = "lameduck";
/// Programs that call a URL and wait for its answer.
const HTTP_CLIENTS: [&str; 2] = ["curl", "wget"];
/// Hosts that mean the pod itself, inside the pod.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// How a command of a user waits for the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserHook<'a> {
    /// It runs `lameduck drain --hook`; the program, as it is written.
    Drain(&'a str),
    /// Its last command calls `/prestop` on this port.
    Call(u16),
}

impl<'a> UserHook<'a> {
    /// Recognizes the command of a hook.
    #[must_use]
    pub fn find(pod: &Pod<'a>, hook: &'a Node) -> Option<Self> {
        let words: Vec<&str> = command(pod, hook);
        let line = words.join(" ");
        if line.contains("lameduck drain") && line.contains("--hook") && !line.contains(STANDALONE) {
            let mut words = words.iter().flat_map(|word| word.split_whitespace());
            return words.find(|word| basename(word) == PROGRAM).map(Self::Drain);
        }
        last_call(&words).map(Self::Call)
    }
}

fn command<'a>(pod: &Pod<'a>, hook: &'a Node) -> Vec<&'a str> {
    let command = pod.document.get_path(hook, &["exec", "command"]).map_or(&[][..], Node::items);
    command.iter().filter_map(|word| pod.document.resolve(word).text()).collect()
}

/// The port on which the last command of a hook calls `/prestop`.
fn last_call(words: &[&str]) -> Option<u16> {
    let script = words.last().filter(|word| word.contains(char::is_whitespace));
    let line = script.map_or_else(|| words.join(" "), |script| (*script).to_owned());
    // A fallback that does nothing may follow.
    let without_fallback = |word| line.trim().strip_suffix(word)?.trim_end().strip_suffix("||");
    let line = ["true", ":"].into_iter().find_map(without_fallback).unwrap_or(&line);
    let last = line.trim().trim_end_matches(';').rsplit(['\n', ';', '&', '|']).next()?.trim();
    let mut words = last.split_whitespace().skip_while(|word| *word == "exec");
    HTTP_CLIENTS.contains(&basename(words.next()?)).then_some(())?;
    words.find_map(prestop_port)
}

/// The port of a URL of `/prestop` in this pod.
fn prestop_port(word: &str) -> Option<u16> {
    let url = word.trim_matches(['"', '\'']);
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.split_at(rest.find('/')?);
    let (host, port) = authority.rsplit_once(':')?;
    (LOOPBACK.contains(&host) && path == PRESTOP_PATH).then(|| port.parse().ok())?
}

/// Whether a container may not have the program of its hook: its image is not lameduck's, and no volume that an init
/// container fills is mounted where the program is.
#[must_use]
pub fn runs_missing_program(pod: &Pod, container: &Container, program: &str) -> bool {
    let image = pod.document.get(container.node, "image").and_then(Node::text).unwrap_or_default();
    let init = pod.containers("initContainers");
    let filled: Vec<_> = init.iter().flat_map(|init| mounts(pod, init)).map(|(name, _)| name).collect();
    let is_filled = |(name, path): (&str, &str)| {
        let rest = program.strip_prefix(path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.starts_with('/')) && filled.contains(&name)
    };
    basename(repository(image)) != PROGRAM && !mounts(pod, container).into_iter().any(is_filled)
}

/// The volumes that a container mounts: their names and paths.
fn mounts<'a>(pod: &Pod<'a>, container: &Container<'a>) -> Vec<(&'a str, &'a str)> {
    let text = |node, key| pod.document.get(node, key).and_then(Node::text);
    let items = pod.document.get(container.node, "volumeMounts").map_or(&[][..], Node::items);
    items.iter().filter_map(|mount| Some((text(mount, "name")?, text(mount, "mountPath")?))).collect()
}

#[cfg(test)]
mod tests {
    use super::last_call;

    #[test]
    fn only_a_call_that_is_waited_for_counts() {
        for (command, expected) in [
            (&["sh", "-c", "deregister; exec curl -sf http://127.0.0.1:8089/prestop"][..], Some(8089)),
            (&["sh", "-c", "a && wget -qO- 'http://localhost:9000/prestop' || true"], Some(9000)),
            (&["/usr/bin/curl", "http://[::1]:8089/prestop"], Some(8089)),
            (&["sh", "-c", "a\ncurl localhost:8089/prestop\n"], Some(8089)),
            (&["sh", "-c", "curl http://127.0.0.1:8089/prestop; sleep 5"], None),
            (&["sh", "-c", "curl http://127.0.0.1:8089/prestop &"], None),
            (&["sh", "-c", "curl http://127.0.0.1:8089/prestop | jq ."], None),
            (&["sh", "-c", "curl http://127.0.0.1:8089/other"], None),
            (&["sh", "-c", "curl http://gateway:8089/prestop"], None),
            (&["sh", "-c", "echo http://127.0.0.1:8089/prestop"], None),
            (&["curl", "http://127.0.0.1/prestop"], None),
            (&[], None),
        ] {
            assert_eq!(last_call(command), expected, "{command:?}");
        }
    }
}
