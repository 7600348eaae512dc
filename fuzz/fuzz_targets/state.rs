//! The state dir's note: `lameduck::io::state` over whatever the file holds, and the machine that goes on from it.
//!
//! The first byte says how the rest is meant: as the file, as the file behind a scope that fits, or as a note.
#![no_main]
#![allow(dead_code)]

#[path = "../../tests/support/given.rs"]
mod given;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use lameduck::io::state::StateFile;
use lameduck_machine::io::{Action, Input};
use lameduck_machine::controller::Controller;
use lameduck_machine::saved_drain::{SavedDrain, SavedResult};
use lameduck_machine::result::{Outcome, Trigger, DrainResult};
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;

/// A directory in memory, and the start of a note of this boot and subject.
static PLACE: LazyLock<(PathBuf, StateFile, Vec<u8>)> = LazyLock::new(|| {
    let dir = PathBuf::from(format!("/dev/shm/lameduck-fuzz-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let file = StateFile::new(&dir, "fuzz", "subject");
    file.write(&note(&[]).unwrap()).unwrap();
    let whole = fs::read(file.path()).unwrap();
    let end = whole.windows(6).position(|window| window == b"\"pid\":").unwrap();
    (dir, file, whole[..end].to_vec())
});

/// When the file is read.
const NOW: Duration = Duration::from_secs(1000);

fn now() -> Time {
    Time::since_boot(NOW)
}

/// A note as lameduck could have written it.
fn note(choices: &[u8]) -> Option<SavedDrain> {
    let mut choices = choices.iter().copied();
    let mut next = || u64::from(choices.next().unwrap_or_default());
    let mut number = || next() << (8 * (next() % 8));
    let started_at = NOW.min(Duration::new(number() % 1001, 0) + Duration::from_nanos(number() % 1_000_000_000));
    let deadline = started_at + Duration::from_millis(number() % 3_600_000);
    let (pid, started) = (u32::try_from(number() % (1 << 31)).ok()?, number());
    let streams_at_start = Some(number()).filter(|streams| streams % 3 > 0);
    let how = number();
    let result = DrainResult {
        outcome: Outcome::ALL[usize::try_from(how % 5).ok()?],
        streams_at_start,
        stragglers: Some(number()).filter(|stragglers| stragglers % 3 > 0),
        idle_streams: number(),
        took: Duration::from_nanos(number()),
        signalled: how & 8 > 0,
    };
    Some(SavedDrain {
        incarnation: Some(Incarnation { pid, started }).filter(|_| pid > 0),
        trigger: Trigger::ALL[usize::try_from(how % 3).ok()?],
        started_at: Time::since_boot(started_at),
        deadline: Time::since_boot(deadline),
        streams_at_start,
        signalled: how & 16 > 0,
        over: Some(SavedResult { at: Time::since_boot(NOW.min(deadline)), result, told: how & 64 > 0 })
            .filter(|_| how & 32 > 0),
    })
}

/// Whether a drain of nobody in particular is over with its deadline.
fn is_stale(note: &SavedDrain) -> bool {
    note.incarnation.is_none() && now() >= note.deadline
}

fn comes_back(file: &StateFile, note: &SavedDrain) {
    file.write(note).unwrap();
    let back = file.load(now()).unwrap();
    assert_eq!(back, Some(*note).filter(|note| !is_stale(note)));
}

fn load(file: &StateFile, bytes: &[&[u8]]) -> Option<SavedDrain> {
    let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file.path()).unwrap();
    open.write_all(&bytes.concat()).unwrap();
    file.load(now()).ok().flatten()
}

/// What is believed is what stands in the file, as any reader of JSON sees it.
fn is_said(note: &SavedDrain, text: &[u8]) {
    let json: Value = serde_json::from_slice(text).expect("what is believed is JSON");
    let time = |value: &Value| {
        let (secs, nanos) = match value {
            Value::Array(parts) => (&parts[0], &parts[1]),
            other => (&other["secs"], &other["nanos"]),
        };
        Duration::from_secs(secs.as_u64().unwrap()).checked_add(Duration::from_nanos(nanos.as_u64().unwrap()))
    };
    assert_eq!(json["identity"]["target"], "subject");
    assert_eq!(json["trigger"], note.trigger.name());
    assert_eq!(json["signalled"].as_bool(), Some(note.signalled));
    assert_eq!(time(&json["started_at"]), Some(note.started_at.as_duration()));
    assert_eq!(time(&json["deadline"]), Some(note.deadline.as_duration()));
    let pid = json["pid"].as_u64().zip(json["started"].as_u64());
    assert_eq!(pid, note.incarnation.map(|incarnation| (incarnation.pid.into(), incarnation.started)));
    let outcome = note.over.map(|over| over.result.outcome.name());
    assert_eq!(json["result"]["outcome"].as_str(), outcome);
}

/// Whatever the note says, a hook that is called now is answered within the budget, and never by a busy loop.
fn goes_on(note: SavedDrain) {
    let policy = given::policy();
    let (budget, poll) = (policy.plan.budget(), policy.plan.poll_interval);
    let mut keeper = Controller::new(now(), policy, Some(note));
    let mut time = now();
    keeper.handle(time, Input::Call(Trigger::Hook));
    for _ in 0..4 * budget.as_secs() / poll.as_secs() {
        while let Some(action) = keeper.poll_action() {
            if matches!(action, Action::Release(_)) {
                return;
            }
        }
        time = time.max(keeper.poll_timeout());
        assert!(time <= now() + budget, "the hook is held beyond its budget: {note:?}");
        keeper.handle(time, Input::Tick);
    }
    panic!("it turns without end: {note:?}");
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((how, text)) = data.split_first() else { return Corpus::Reject };
    let (_, file, scope) = &*PLACE;
    let note = match how % 3 {
        0 => load(file, &[text]).inspect(|note| is_said(note, text)),
        1 => load(file, &[scope, text]).inspect(|note| is_said(note, &[scope, text].concat())),
        _ => note(text).inspect(|note| comes_back(file, note)),
    };
    if let Some(note) = note {
        if how % 3 < 2 {
            comes_back(file, &note);
        }
        goes_on(note);
    }
    Corpus::Keep
});
