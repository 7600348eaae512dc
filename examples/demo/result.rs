//! The end: whether everything went as promised, and what it means.

use std::process::ExitStatus;
use std::time::Instant;

use crate::record::{Kind, Record};
use crate::screen::Screen;

/// One promise.
struct Check {
    kept: bool,
    promise: &'static str,
    /// What was there to be seen, in few words.
    seen: String,
}

/// Tells the verdict; true if everything went as promised.
pub(crate) fn tell(record: &Record, screen: &mut Screen) -> bool {
    screen.heading("What was promised");
    let during = [unready(record), accepting(record), refusing(record), signal(record), streams(record)];
    let after = [hook(record), outcome(record), message(record), codes(record)];
    let mut all_kept = true;
    for Check { kept, promise, seen } in during.into_iter().chain(after) {
        all_kept &= kept;
        screen.check(kept, &if kept { promise.to_owned() } else { format!("{promise}; but: {seen}") });
    }
    if all_kept {
        explain(record, screen);
    } else {
        screen.line("\nThis drain did not go as promised.");
    }
    all_kept
}

fn unready(record: &Record) -> Check {
    let seen = record.readiness.as_ref().map(|answer| format!("{}: {}", answer.status, answer.body));
    Check {
        kept: seen.as_deref() == Some("503 Service Unavailable: lame duck"),
        promise: "the pod was unready at once",
        seen: seen.unwrap_or_else(|| "it did not say".to_owned()),
    }
}

fn accepting(record: &Record) -> Check {
    let promise = "a caller who came before the signal was accepted, and served to the end";
    let seventh = record.ending(7);
    Check { kept: seventh == Some(Kind::Clean), promise, seen: words(seventh) }
}

fn refusing(record: &Record) -> Check {
    let promise = "a caller who came after the signal was refused by the closed listener";
    let eighth = record.ending(8);
    Check { kept: eighth == Some(Kind::Refused), promise, seen: words(eighth) }
}

fn words(ending: Option<Kind>) -> String {
    let words = match ending {
        Some(Kind::Clean) => "the stream ended cleanly",
        Some(Kind::Cut) => "the stream was cut",
        Some(Kind::Refused) => "the stream was refused",
        None => "nothing is known of the stream's end",
    };
    words.to_owned()
}

fn signal(record: &Record) -> Check {
    Check {
        kept: matches!(&record.signals[..], [one] if one.starts_with("SIGINT ")),
        promise: "the engine received one signal, SIGINT",
        seen: format!("it received {}: {}", record.signals.len(), record.signals.join("; ")),
    }
}

fn streams(record: &Record) -> Check {
    let [clean, cut, refused] = [Kind::Clean, Kind::Cut, Kind::Refused].map(|kind| record.count(kind));
    Check {
        kept: (clean, cut, refused) == (7, 0, 1),
        promise: "all 7 streams ended cleanly, each with its last result; 0 were cut",
        seen: format!("{clean} clean, {cut} cut, {refused} refused"),
    }
}

fn hook(record: &Record) -> Check {
    let last = record.endings.iter().filter(|ending| ending.kind != Kind::Refused).map(|ending| ending.at).max();
    let answer = record.answer.as_ref();
    let after =
        |at: Option<Instant>| at.map_or_else(|| "never".to_owned(), |at| format!("at {:.1} s", since(record, at)));
    Check {
        kept: answer.zip(last).is_some_and(|(answer, last)| answer.status == "200 OK" && answer.began > last),
        promise: "the hook was held, without a byte, until the last stream had ended",
        seen: format!(
            "it was answered {}, and the last stream ended {}",
            after(answer.map(|answer| answer.began)),
            after(last)
        ),
    }
}

fn outcome(record: &Record) -> Check {
    let kept = record.outcome().is_some_and(|outcome| {
        let whole = matches!(outcome.outcome.as_str(), "drained" | "exited");
        let counts = (outcome.streams_at_start, outcome.stragglers);
        whole && counts == (Some(6), Some(0)) && outcome.signal.as_deref() == Some("SIGINT")
    });
    let seen = record.answer.as_ref().map_or_else(|| "no answer".to_owned(), |answer| answer.body.clone());
    Check { kept, promise: "the hook's answer says so: 6 streams at the start, 0 stragglers", seen }
}

fn message(record: &Record) -> Check {
    let answer = record.answer.as_ref().map(|answer| answer.body.as_str());
    let message = record.termination_message.as_deref().map(str::trim_end);
    let promise = "the termination message, which `kubectl describe pod` shows, says the same";
    Check { kept: message.is_some() && message == answer, promise, seen: message.unwrap_or("there is none").to_owned() }
}

fn codes(record: &Record) -> Check {
    let code = |status: &Option<ExitStatus>| {
        status.and_then(|status| status.code()).map_or_else(|| "none".to_owned(), |code| code.to_string())
    };
    let clients: Vec<String> = record.clients.iter().map(code).collect();
    let seen =
        format!("engine {}, lameduck {}, clients {}", code(&record.engine), code(&record.sidecar), clients.join(", "));
    let promise = "exit codes: engine 0, lameduck 0 (known that nothing was cut), clients 0, 0 and 1 (refused)";
    Check { kept: seen == "engine 0, lameduck 0, clients 0, 0, 1", promise, seen }
}

fn explain(record: &Record, screen: &mut Screen) {
    screen.heading("In plain words");
    let held = record.answer.as_ref().map_or(0.0, |answer| since(record, answer.began));
    for line in [
        "  Six people were speaking when the pod was deleted, a seventh came before everybody knew, and all",
        "  seven could finish: nobody was cut off.",
        &format!("  The kubelet's hook was held for {held:.1} s; only then would it have gone on to SIGTERM."),
        "  The outcome is `drained` if lameduck has seen that zero holds, and `exited` if the engine ends before",
        "  that; either is good with 0 stragglers. A stream that outlives the deadline makes it `expired`.",
    ] {
        screen.line(line);
    }
}

/// Seconds since the hook was called.
fn since(record: &Record, at: Instant) -> f64 {
    at.saturating_duration_since(record.called).as_secs_f64()
}
