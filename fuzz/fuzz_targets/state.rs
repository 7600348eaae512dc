//! The state file: `lameduck::io::state` on arbitrary content, and the controller that resumes the drain.
//!
//! The first byte chooses what the rest is: the file, the part of the file between a valid identity and a valid checksum,
//! or the fields of a saved drain.
#![no_main]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use lameduck::io::state::StateFile;
use lameduck_machine::controller::Controller;
use lameduck_machine::drain_id::DrainId;
use lameduck_machine::io::{Action, CallKind, CallerId, Input};
use lameduck_machine::result::{DrainResult, Outcome, Trigger};
use lameduck_machine::saved_drain::{SavedDrain, SavedResult};
use lameduck_machine::sent_signal::{AfterSignal, SentSignal};
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;
use lameduck_machine::warnings::{Warning, Warnings};
use lameduck_test_support::machine;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;

/// A directory in memory, its state file, and the start of a file with this identity.
static STATE: LazyLock<(PathBuf, StateFile, Vec<u8>)> = LazyLock::new(|| {
    let dir = PathBuf::from(format!("/dev/shm/lameduck-fuzz-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let file = StateFile::new(&dir, "fuzz", "target");
    file.write(&saved_drain(&[]).unwrap()).unwrap();
    let text = fs::read(file.path()).unwrap();
    let end = text.windows(6).position(|window| window == b"\"pid\":").unwrap();
    (dir, file, text[..end].to_vec())
});

/// Completes a file with its checksum, which is FNV-1a 64.
fn with_checksum(mut text: Vec<u8>) -> Vec<u8> {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let checksum = text.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    text.extend(format!(",\"checksum\":\"{checksum:016x}\"}}").into_bytes());
    text
}

/// The time at which the file is loaded.
const NOW: Duration = Duration::from_secs(1000);

fn now() -> Time {
    Time::since_boot(NOW)
}

/// A drain that lameduck could have saved.
fn saved_drain(choices: &[u8]) -> Option<SavedDrain> {
    let mut choices = choices.iter().copied();
    let mut next = || u64::from(choices.next().unwrap_or_default());
    let mut number = || next() << (8 * (next() % 8));
    let started_at = NOW.min(Duration::new(number() % 1001, 0) + Duration::from_nanos(number() % 1_000_000_000));
    let deadline = started_at + Duration::from_millis(number() % 3_600_000);
    let (pid, started) = (u32::try_from(number() % (1 << 31)).ok()?, number());
    let streams_at_start = Some(number()).filter(|streams| streams % 3 > 0);
    let flags = number();
    let id = DrainId(number());
    let warnings: Warnings =
        Warning::ALL.into_iter().enumerate().filter(|(bit, _)| flags >> (8 + bit) & 1 > 0).map(|(_, it)| it).collect();
    let streams = Some(number()).filter(|streams| streams % 3 > 0);
    let after = [AfterSignal::Unproven(streams), AfterSignal::ServedOn, AfterSignal::StreamsLost];
    let after = after[usize::try_from(flags % 3).ok()?];
    let signal = SentSignal { sent_at: Time::since_boot(NOW.min(deadline)), streams, after };
    let result = DrainResult {
        id,
        outcome: Outcome::ALL[usize::try_from(flags % 6).ok()?],
        streams_at_start,
        streams_at_signal: Some(signal.streams).filter(|_| flags & 8 > 0).flatten(),
        stragglers: Some(number()).filter(|stragglers| stragglers % 3 > 0),
        idle_streams: number(),
        duration: Duration::from_nanos(number()),
        signalled: flags & 8 > 0,
        warnings,
    };
    Some(SavedDrain {
        id,
        incarnation: Some(Incarnation { pid, started }).filter(|_| pid > 0),
        trigger: Trigger::ALL[usize::try_from(flags % 3).ok()?],
        started_at: Time::since_boot(started_at),
        deadline: Time::since_boot(deadline),
        streams_at_start,
        signal: Some(signal).filter(|_| flags & 16 > 0),
        hook_joined: flags & 128 > 0,
        warnings,
        finished: Some(SavedResult { ended_at: Time::since_boot(NOW.min(deadline)), result, reported: flags & 64 > 0 })
            .filter(|_| flags & 32 > 0),
    })
}

/// Returns whether a drain without a target has expired.
fn is_expired(drain: &SavedDrain) -> bool {
    drain.incarnation.is_none() && now() >= drain.deadline
}

/// Checks that a saved drain is loaded unchanged.
fn check_round_trip(file: &StateFile, drain: &SavedDrain) {
    file.write(drain).unwrap();
    let loaded = file.load(now()).unwrap();
    assert_eq!(loaded, Some(*drain).filter(|drain| !is_expired(drain)));
}

fn load(file: &StateFile, text: &[u8]) -> Option<SavedDrain> {
    let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file.path()).unwrap();
    open.write_all(text).unwrap();
    file.load(now()).ok().flatten()
}

/// Checks that a loaded drain is what any JSON parser sees in the file.
fn check_content(drain: &SavedDrain, text: &[u8]) {
    let json: Value = serde_json::from_slice(text).expect("an accepted file is JSON");
    let time = |value: &Value| {
        let (secs, nanos) = match value {
            Value::Array(parts) => (&parts[0], &parts[1]),
            other => (&other["secs"], &other["nanos"]),
        };
        Duration::from_secs(secs.as_u64().unwrap()).checked_add(Duration::from_nanos(nanos.as_u64().unwrap()))
    };
    assert_eq!(json["identity"]["target"], "target");
    assert_eq!(json["trigger"], drain.trigger.name());
    assert_eq!(json["id"].as_u64(), Some(drain.id.0));
    assert_eq!(json["signal"]["streams"].as_u64(), drain.signal.and_then(|signal| signal.streams));
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(drain.warnings.iter().count()));
    assert_eq!(time(&json["started_at"]), Some(drain.started_at.as_duration()));
    assert_eq!(time(&json["deadline"]), Some(drain.deadline.as_duration()));
    let pid = json["pid"].as_u64().zip(json["started"].as_u64());
    assert_eq!(pid, drain.incarnation.map(|incarnation| (incarnation.pid.into(), incarnation.started)));
    let outcome = drain.finished.map(|finished| finished.result.outcome.name());
    assert_eq!(json["result"]["outcome"].as_str(), outcome);
}

/// Checks that a hook that is called now is released within the budget and without a busy loop.
fn check_resume(drain: SavedDrain) {
    let policy = machine::policy();
    let (budget, poll) = (policy.times.budget(), policy.times.poll_interval);
    let mut controller = Controller::new(now(), policy, Some(drain));
    let mut time = now();
    controller.handle(time, Input::Call { caller: CallerId(0), kind: CallKind::Hook, at: time });
    for _ in 0..4 * budget.as_secs() / poll.as_secs() {
        while let Some(action) = controller.poll_action() {
            if matches!(action, Action::Reply(..)) {
                return;
            }
        }
        time = time.max(controller.poll_timeout());
        assert!(time <= now() + budget, "the hook is held beyond the budget: {drain:?}");
        controller.handle(time, Input::Tick);
    }
    panic!("the controller never releases the hook: {drain:?}");
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((choice, text)) = data.split_first() else { return Corpus::Reject };
    let (_, file, start) = &*STATE;
    let drain = match choice % 3 {
        0 => load(file, text).inspect(|drain| check_content(drain, text)),
        1 => {
            let text = with_checksum([start, text].concat());
            load(file, &text).inspect(|drain| check_content(drain, &text))
        }
        _ => saved_drain(text).inspect(|drain| check_round_trip(file, drain)),
    };
    if let Some(drain) = drain {
        if choice % 3 < 2 {
            check_round_trip(file, &drain);
        }
        check_resume(drain);
    }
    Corpus::Keep
});
