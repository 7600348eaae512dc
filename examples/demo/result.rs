//! The end: checks what happened, and explains it.

use std::process::ExitStatus;
use std::time::Instant;

use crate::record::{Kind, Record};
use crate::screen::Screen;

/// One check.
struct Check {
    passed: bool,
    expected: &'static str,
    /// What was observed, if it is not as expected.
    observed: String,
}

/// Prints the checks; true if all of them passed.
pub(crate) fn print(record: &Record, screen: &mut Screen) -> bool {
    screen.heading("Checks");
    let during = [unready(record), accepting(record), refusing(record), signal(record), streams(record)];
    let after = [hook(record), outcome(record), message(record), codes(record)];
    let mut all_passed = true;
    for Check { passed, expected, observed } in during.into_iter().chain(after) {
        all_passed &= passed;
        screen.check(passed, &if passed { expected.to_owned() } else { format!("{expected}; but {observed}") });
    }
    if all_passed {
        explain(record, screen);
    } else {
        screen.line("\nThis drain did not go as expected.");
    }
    all_passed
}

fn unready(record: &Record) -> Check {
    let observed = record.readiness.as_ref().map(|answer| format!("{}: {}", answer.status, answer.body));
    Check {
        passed: observed.as_deref() == Some("503 Service Unavailable: lame duck"),
        expected: "the pod was unready at once",
        observed: observed.unwrap_or_else(|| "there was no answer".to_owned()),
    }
}

fn accepting(record: &Record) -> Check {
    let expected = "a client that connected before the signal was accepted and served to the end";
    let seventh = record.ending(7);
    Check { passed: seventh == Some(Kind::Clean), expected, observed: describe(seventh) }
}

fn refusing(record: &Record) -> Check {
    let expected = "a client that connected after the signal was refused: the listener is closed";
    let eighth = record.ending(8);
    Check { passed: eighth == Some(Kind::Refused), expected, observed: describe(eighth) }
}

fn describe(ending: Option<Kind>) -> String {
    let text = match ending {
        Some(Kind::Clean) => "the stream ended cleanly",
        Some(Kind::Cut) => "the stream was cut",
        Some(Kind::Refused) => "the stream was refused",
        None => "the end of the stream is unknown",
    };
    text.to_owned()
}

fn signal(record: &Record) -> Check {
    Check {
        passed: matches!(&record.signals[..], [one] if one.starts_with("SIGINT ")),
        expected: "the engine received one signal, SIGINT",
        observed: format!("it received {}: {}", record.signals.len(), record.signals.join("; ")),
    }
}

fn streams(record: &Record) -> Check {
    let [clean, cut, refused] = [Kind::Clean, Kind::Cut, Kind::Refused].map(|kind| record.count(kind));
    Check {
        passed: (clean, cut, refused) == (7, 0, 1),
        expected: "all 7 streams ended cleanly, each with its last result; none was cut",
        observed: format!("{clean} clean, {cut} cut, {refused} refused"),
    }
}

fn hook(record: &Record) -> Check {
    let last = record.endings.iter().filter(|ending| ending.kind != Kind::Refused).map(|ending| ending.at).max();
    let answer = record.answer.as_ref();
    let after =
        |at: Option<Instant>| at.map_or_else(|| "never".to_owned(), |at| format!("at {:.1} s", since(record, at)));
    Check {
        passed: answer.zip(last).is_some_and(|(answer, last)| answer.status == "200 OK" && answer.began > last),
        expected: "the hook call got no answer until the last stream had ended",
        observed: format!(
            "it was answered {}, and the last stream ended {}",
            after(answer.map(|answer| answer.began)),
            after(last)
        ),
    }
}

fn outcome(record: &Record) -> Check {
    let passed = record.outcome().is_some_and(|outcome| {
        let complete = matches!(outcome.outcome.as_str(), "drained" | "exited");
        let counts = (outcome.streams_at_start, outcome.stragglers);
        complete && counts == (Some(6), Some(0)) && outcome.signal.as_deref() == Some("SIGINT")
    });
    let observed = record.answer.as_ref().map_or_else(|| "no answer".to_owned(), |answer| answer.body.clone());
    Check { passed, expected: "the hook's answer reports 6 streams at the start and 0 stragglers", observed }
}

fn message(record: &Record) -> Check {
    let answer = record.answer.as_ref().map(|answer| answer.body.as_str());
    let message = record.termination_message.as_deref().map(str::trim_end);
    let expected = "the termination message, which `kubectl describe pod` shows, is the same";
    let observed = message.unwrap_or("there is none").to_owned();
    Check { passed: message.is_some() && message == answer, expected, observed }
}

fn codes(record: &Record) -> Check {
    let code = |status: &Option<ExitStatus>| {
        status.and_then(|status| status.code()).map_or_else(|| "none".to_owned(), |code| code.to_string())
    };
    let clients: Vec<String> = record.clients.iter().map(code).collect();
    let observed =
        format!("engine {}, lameduck {}, clients {}", code(&record.engine), code(&record.sidecar), clients.join(", "));
    let expected = "exit codes: engine 0, lameduck 0 (no stream was cut), clients 0, 0 and 1 (refused)";
    Check { passed: observed == "engine 0, lameduck 0, clients 0, 0, 1", expected, observed }
}

fn explain(record: &Record, screen: &mut Screen) {
    screen.heading("Summary");
    let held = record.answer.as_ref().map_or(0.0, |answer| since(record, answer.began));
    for line in [
        "  Six streams were open when the pod was deleted, and a seventh was opened during the lame",
        "  duck period. All seven could finish: no stream was cut off.",
        &format!("  The kubelet's hook call was held for {held:.1} s; only after that does the kubelet send SIGTERM."),
        "  The outcome is `drained` if lameduck saw the count stay at zero, and `exited` if the engine exited",
        "  before that; with 0 stragglers both are good. If a stream outlives the deadline, it is `expired`.",
    ] {
        screen.line(line);
    }
}

/// Seconds since the hook was called.
fn since(record: &Record, at: Instant) -> f64 {
    at.saturating_duration_since(record.called).as_secs_f64()
}
