//! Why no process matches: what was looked for, what is visible instead, and the fix.

use std::cmp::Reverse;

use crate::io::process::visible::Visible;
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

    /// The port, if a process listens on it that the kernel does not show to this user.
    #[must_use]
    pub fn hidden_listener(&self) -> Option<u16> {
        match self.matcher {
            Matcher::Port(port) => Some(*port).filter(|port| self.visible.ports.contains(port)),
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
            (Matcher::Port(_), Some(port), _) => {
                format!("a process listens on port {port}, but the kernel does not show to uid {uid} which")
            }
            (Matcher::Port(port), None, _) if self.visible.ports.is_empty() => {
                format!("no process listens on port {port}, or on any other port")
            }
            (Matcher::Port(port), None, _) => {
                format!("no process listens on port {port}; listening ports: {}", list(&self.visible.ports))
            }
            (Matcher::Name(name), _, []) => {
                format!("no process is named {name}, and no other candidate is visible to uid {uid}")
            }
            (Matcher::Name(name), _, others) => {
                format!("no process is named {name}; visible to uid {uid}: {}", list(others))
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(&self) -> String {
        match (self.matcher, &self.candidates[..]) {
            (Matcher::Port(_), _) if self.hidden_listener().is_some() => {
                "run the sidecar as the target's user (securityContext.runAsUser), or name the target with --target"
                    .into()
            }
            (Matcher::Port(_), _) => "wait until the target listens, or correct --target-port".into(),
            (Matcher::Name(name), [first, ..]) if is_similar(name, &first.name) => {
                format!("{0:.64} was probably intended: --target {0:.64}", first.name)
            }
            (Matcher::Name(_), _) if self.visible.is_alone => {
                "set shareProcessNamespace: true in the pod's spec: process 1 is lameduck itself, so no process of \
                 another container is visible"
                    .into()
            }
            (Matcher::Name(_), []) => {
                "wait until the target's container has started, and check that the pod sets shareProcessNamespace: true"
                    .into()
            }
            (Matcher::Name(_), _) => "wait until the target has started, or name one of these with --target".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visible(names: &[&str]) -> Visible {
        let process = |(pid, name): (u32, &&str)| Process { pid, name: (*name).to_owned() };
        Visible {
            processes: (7..).zip(names).map(process).collect(),
            ports: vec![8080, 9991],
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
    }

    #[test]
    fn missing_port_lists_the_open_ones() {
        let text = message(&Matcher::Port(8081), &visible(&[]));
        assert!(text.starts_with("no process listens on port 8081; listening ports: 8080, 9991;"), "{text}");
        let text = message(&Matcher::Port(8081), &Visible { ports: Vec::new(), ..visible(&[]) });
        assert!(text.contains("or on any other port"), "{text}");
    }

    #[test]
    fn hidden_listener_names_the_user() {
        let text = message(&Matcher::Port(8080), &visible(&[]));
        for part in ["listens on port 8080", "does not show to uid 1000 which", "runAsUser", "--target"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
