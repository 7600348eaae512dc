//! Why no process matches: what was looked for, what is visible instead, and the fix.

use std::cmp::Reverse;

use crate::io::process::visible::{Listener, Visible};
use crate::io::process::{Matcher, Process};
use crate::suggest::similarity::{is_similar, percent};
use crate::suggest::{MAX_LISTED, list};

/// A target that was not found.
#[derive(Debug)]
pub struct MissingTarget<'a> {
    matcher: &'a Matcher,
    visible: &'a Visible,
    /// The visible processes, the most similar name first.
    candidates: Vec<&'a Process>,
}

impl<'a> MissingTarget<'a> {
    /// Compares the wanted name with the visible ones.
    #[must_use]
    pub fn new(matcher: &'a Matcher, visible: &'a Visible) -> Self {
        let mut candidates: Vec<&Process> = visible.processes.iter().collect();
        if let Matcher::Name(name) = matcher {
            candidates.sort_by_key(|process| Reverse(percent(name, &process.name)));
        }
        Self { matcher, visible, candidates }
    }

    /// Whether a process listens on the port, but the kernel does not show which process it is.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.hidden_listener().is_some() && !self.visible.is_alone
    }

    /// The listener on the port. The network is shared in a pod, so the process may be in a container that is not
    /// visible.
    fn hidden_listener(&self) -> Option<Listener> {
        match self.matcher {
            Matcher::Port(port) => self.visible.listeners.iter().find(|listener| listener.port == *port).copied(),
            Matcher::Name(_) => None,
        }
    }

    /// The visible names that a message lists.
    #[must_use]
    pub fn names(&self) -> Vec<&'a str> {
        self.candidates.iter().take(MAX_LISTED).map(|process| process.name.as_str()).collect()
    }

    /// What was looked for, and what is visible instead.
    #[must_use]
    pub fn detail(&self) -> String {
        let uid = self.visible.uid;
        match (self.matcher, self.hidden_listener(), &self.candidates[..]) {
            (Matcher::Port(port), Some(_), _) if self.visible.is_alone => {
                format!("a process in another container listens on port {port}, but is not visible")
            }
            (Matcher::Port(port), Some(listener), others) => {
                format!("{}; {}", hidden_detail(*port, listener.uid, uid), visible_to(uid, others))
            }
            (Matcher::Port(port), None, _) if self.visible.listeners.is_empty() => {
                format!("no process listens on port {port}, or on any other port")
            }
            (Matcher::Port(port), None, _) => {
                format!("no process listens on port {port}; listening ports: {}", list(&self.visible.ports()))
            }
            (Matcher::Name(name), _, []) => {
                format!("no process is named {name}, and no other candidate is visible to uid {uid}")
            }
            (Matcher::Name(name), _, others) => {
                format!("no process is named {name}; {}", visible_to(uid, others))
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(&self) -> String {
        match (self.matcher, &self.candidates[..]) {
            (Matcher::Name(name), [first, ..]) if is_similar(name, &first.name) => {
                format!("{0:.64} was probably intended: --target {0:.64}", first.name)
            }
            (Matcher::Port(_), _) if self.hidden_listener().is_none() => {
                "wait until the target listens, or correct --target-port".into()
            }
            (Matcher::Port(_) | Matcher::Name(_), _) if self.visible.is_alone => {
                "set shareProcessNamespace: true in the pod's spec: process 1 is lameduck itself, so no process of \
                 another container is visible"
                    .into()
            }
            (Matcher::Port(_), others) => self.hidden_fix(others),
            (Matcher::Name(_), []) if self.visible.is_shared => "wait until the target's container has started".into(),
            (Matcher::Name(_), []) => {
                "wait until the target's container has started, and check that the pod sets shareProcessNamespace: true"
                    .into()
            }
            (Matcher::Name(_), _) => "wait until the target has started, or name one of these with --target".into(),
        }
    }

    /// What to do if the kernel does not show which process listens. Its name needs no permission.
    fn hidden_fix(&self, others: &[&Process]) -> String {
        let by_name = match others {
            [only] => format!("name the target instead: --target {:.64}", only.name),
            _ => "name the target with --target instead".to_owned(),
        };
        match self.hidden_listener() {
            Some(Listener { uid, .. }) if uid != self.visible.uid => {
                format!("run the sidecar as uid {uid} (securityContext.runAsUser), or {by_name}")
            }
            Some(_) | None => by_name,
        }
    }
}

/// A process of the uid `theirs` listens, but lameduck, which runs as `ours`, does not see which.
fn hidden_detail(port: u16, theirs: u32, ours: u32) -> String {
    if theirs == ours {
        format!(
            "a process of uid {ours} listens on port {port}, but the kernel does not show which, although lameduck runs as \
             the same uid: probably the process has capabilities that lameduck does not have"
        )
    } else {
        format!("a process of uid {theirs} listens on port {port}, but the kernel does not show to uid {ours} which")
    }
}

fn visible_to(uid: u32, processes: &[&Process]) -> String {
    let names = if processes.is_empty() { "no other candidate".to_owned() } else { list(processes) };
    format!("visible to uid {uid}: {names}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visible(names: &[&str]) -> Visible {
        let process = |(pid, name): (u32, &&str)| Process { pid, name: (*name).to_owned() };
        Visible {
            processes: (7..).zip(names).map(process).collect(),
            listeners: [8080, 9991].map(|port| Listener { port, uid: 0 }).to_vec(),
            uid: 1000,
            ..Visible::default()
        }
    }

    fn message(matcher: &Matcher, visible: &Visible) -> String {
        let missing = MissingTarget::new(matcher, visible);
        format!("{}; {}", missing.detail(), missing.fix())
    }

    #[test]
    fn missing_name_lists_visible_processes_most_similar_first() {
        let text = message(&Matcher::Name("impeller".into()), &visible(&["nginx", "impeler"]));
        assert_eq!(
            text,
            "no process is named impeller; visible to uid 1000: impeler (8), nginx (7); impeler was probably intended: --target impeler"
        );
        let text = message(&Matcher::Name("impeller".into()), &visible(&["nginx"]));
        assert!(text.contains("nginx (7)") && text.ends_with("name one of these with --target"), "{text}");
    }

    #[test]
    fn nothing_visible_names_the_shared_process_namespace() {
        let name = Matcher::Name("impeller".into());
        for is_alone in [false, true] {
            let text = message(&name, &Visible { is_alone, ..visible(&[]) });
            assert!(text.contains("shareProcessNamespace: true") && text.contains("uid 1000"), "{text}");
            assert_eq!(text.contains("lameduck itself"), is_alone, "{text}");
        }
        let text = message(&name, &Visible { is_shared: true, ..visible(&[]) });
        assert!(text.ends_with("wait until the target's container has started"), "it is shared already: {text}");
    }

    #[test]
    fn missing_port_lists_the_open_ones() {
        let text = message(&Matcher::Port(8081), &visible(&[]));
        assert!(text.starts_with("no process listens on port 8081; listening ports: 8080, 9991;"), "{text}");
        let text = message(&Matcher::Port(8081), &Visible { listeners: Vec::new(), ..visible(&[]) });
        assert!(text.contains("or on any other port"), "{text}");
    }

    #[test]
    fn hidden_listener_names_the_user() {
        let text = message(&Matcher::Port(8080), &visible(&["nginx"]));
        for part in [
            "a process of uid 0 listens on port 8080",
            "does not show to uid 1000 which",
            "as uid 0 (securityContext.runAsUser), or name the target instead: --target nginx",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn hidden_listener_of_the_same_user_is_named_by_its_process_instead() {
        let text = message(&Matcher::Port(8080), &Visible { uid: 0, ..visible(&["nginx", "impeller"]) });
        for part in [
            "uid 0 listens on port 8080",
            "capabilities",
            "visible to uid 0: nginx (7), impeller (8); name the target with --target instead",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("runAsUser"), "the users are equal already: {text}");
    }

    #[test]
    fn listener_in_an_unshared_process_namespace_is_not_a_matter_of_users() {
        let alone = Visible { is_alone: true, ..visible(&[]) };
        let text = message(&Matcher::Port(8080), &alone);
        for part in ["in another container listens on port 8080", "shareProcessNamespace: true"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("runAsUser"), "{text}");
        assert!(!MissingTarget::new(&Matcher::Port(8080), &alone).is_hidden());
    }
}
