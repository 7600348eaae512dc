//! What to do if several processes match.

use crate::io::process::{Matcher, Process};

/// What to do about it, if the matches have this parent in common.
#[must_use]
pub fn fix(matcher: &Matcher, parent: Option<&Process>) -> String {
    let fix = match matcher {
        Matcher::Port(_) => "let only one process listen there, or name the target with --target",
        Matcher::Name(_) => {
            "set --target to a name that only one of them has, or name a port on which only one listens with \
             --target-port"
        }
    };
    match parent {
        Some(parent) => {
            format!("{fix}; or, if their parent {parent} drains them, name it: --target {:.64}", parent.name)
        }
        None => fix.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_not_what_the_user_has_done_already() {
        let by_port = fix(&Matcher::Port(8080), None);
        assert!(by_port.contains("--target") && !by_port.contains("--target-port"), "{by_port}");
        let by_name = fix(&Matcher::Name("python3".into()), None);
        assert!(by_name.contains("--target-port"), "{by_name}");
    }

    #[test]
    fn common_parent_is_named() {
        let parent = Process { pid: 5, name: "gunicorn".into() };
        for matcher in [Matcher::Port(8080), Matcher::Name("worker".into())] {
            let fix = fix(&matcher, Some(&parent));
            assert!(fix.ends_with("if their parent gunicorn (5) drains them, name it: --target gunicorn"), "{fix}");
        }
    }
}
