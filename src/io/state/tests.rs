use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use lameduck_machine::drain_id::DrainId;
use lameduck_machine::result::{DrainResult, Outcome, Trigger};
use lameduck_machine::saved_drain::SavedResult;
use lameduck_machine::sent_signal::{AfterSignal, SentSignal};
use lameduck_machine::target::Incarnation;
use lameduck_machine::warnings::{Warning, Warnings};

use super::*;

fn at(seconds: u64) -> Time {
    Time::since_boot(Duration::from_secs(seconds))
}

/// When the drains below are loaded: some time after they finished.
const NOW: Time = Time::since_boot(Duration::from_secs(200));

fn drain(pid: Option<u32>) -> SavedDrain {
    let (id, warnings) = (DrainId(0xfeed), Warnings::from_iter([Warning::EndedWithSignal, Warning::NoHook]));
    let signal = SentSignal { sent_at: at(105), streams: Some(2), after: AfterSignal::StreamsLost };
    let result = DrainResult {
        id,
        outcome: Outcome::Expired,
        streams_at_start: Some(3),
        streams_at_signal: Some(2),
        stragglers: None,
        idle_streams: 0,
        duration: Duration::from_millis(7),
        signalled: true,
        warnings,
    };
    SavedDrain {
        id,
        incarnation: pid.map(|pid| Incarnation { pid, started: 5 }),
        trigger: Trigger::Hook,
        started_at: at(100),
        deadline: at(130),
        streams_at_start: Some(3),
        signal: Some(signal),
        hook_joined: true,
        warnings,
        finished: Some(SavedResult { ended_at: at(130), result, reported: false }),
    }
}

fn file(name: &str) -> StateFile {
    let dir = std::env::temp_dir().join(format!("lameduck-state-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    StateFile::new(&dir, "8089", "target")
}

#[test]
fn written_drain_is_loaded_unchanged() {
    let file = file("unchanged");
    assert_eq!(file.load(at(0)).unwrap(), None);
    file.write(&drain(Some(17))).unwrap();
    file.write(&drain(Some(18))).unwrap();
    assert_eq!(file.load(at(999)).unwrap(), Some(drain(Some(18))));
    file.erase().unwrap();
    file.erase().unwrap();
    assert_eq!(file.load(at(0)).unwrap(), None);
}

/// Why the file is rejected.
fn rejection(file: &StateFile) -> String {
    file.load(NOW).unwrap_err().to_string()
}

#[test]
fn other_boot_target_or_time_namespace_is_rejected() {
    let file = file("another");
    file.write(&drain(Some(17))).unwrap();
    let others: [fn(&mut Identity); 3] = [
        |identity| identity.target = "another".into(),
        |identity| identity.boot_id = "another".into(),
        |identity| identity.time_namespace = "another".into(),
    ];
    for change in others {
        let mut other = file.clone();
        change(&mut other.identity);
        assert!(rejection(&other).contains("another boot"));
    }
    assert_eq!(file.load(NOW).unwrap(), Some(drain(Some(17))));
}

#[test]
fn future_timestamps_are_rejected() {
    let file = file("future");
    let valid = drain(Some(17));
    let result = valid.finished.unwrap();
    let far = NOW + MAX_GRACE_PERIOD + Duration::from_secs(2);
    for future in [
        SavedDrain { started_at: at(202), ..valid },
        SavedDrain { deadline: far, ..valid },
        SavedDrain { finished: Some(SavedResult { ended_at: at(202), ..result }), ..valid },
    ] {
        file.write(&future).unwrap();
        assert!(rejection(&file).contains("timestamps are in the future"), "{future:?}");
        assert!(file.load(far).unwrap().is_some(), "no longer in the future");
    }
    for now in [
        SavedDrain { deadline: NOW + MAX_GRACE_PERIOD, ..valid },
        SavedDrain { started_at: NOW, finished: None, ..valid },
    ] {
        file.write(&now).unwrap();
        assert_eq!(file.load(NOW).unwrap(), Some(now));
    }
}

/// Replaces a part of the content, and gives the result a matching checksum.
fn edit(file: &StateFile, old: &str, new: &str) {
    let content = fs::read_to_string(file.path()).unwrap();
    let (body, _) = content.split_once(",\"checksum\"").unwrap();
    let edited = body.replacen(old, new, 1);
    assert_ne!(edited, body);
    fs::write(file.path(), record::with_checksum(edited.into_bytes())).unwrap();
}

#[test]
fn unknown_fields_and_values_are_rejected() {
    let file = file("newer");
    for (old, new, reason) in [
        ("\"pid\"", "\"phase\":2,\"pid\"", "unknown field"),
        ("\"ended_at\"", "\"by\":2,\"ended_at\"", "unknown field"),
        ("\"boot_id\"", "\"node\":\"n\",\"boot_id\"", "unknown field"),
        ("\"hook\"", "\"probe\"", "unknown trigger"),
        ("\"expired\"", "\"handed_over\"", "unknown trigger, outcome or warning"),
        ("\"no_hook\"", "\"no_cook\"", "unknown trigger, outcome or warning"),
        ("\"signalled\":true", "\"signalled\":\"twice\"", "invalid type"),
        ("\"nanos\":0", "\"nanos\":0.5", "invalid type"),
        ("\"secs\":130", "\"secs\":18446744073709551616", "invalid type"),
    ] {
        file.write(&drain(Some(17))).unwrap();
        edit(&file, old, new);
        assert!(rejection(&file).contains(reason), "{new}: {}", rejection(&file));
    }
}

#[test]
fn unknown_version_is_rejected() {
    let file = file("version");
    for (new, reason) in [
        ("\"version\":7", "unknown format version 7"),
        ("\"version\":0", "unknown format version 0"),
        ("\"version\":7,\"phase\":2", "unknown format version 7"),
        ("\"edition\":1", "missing field `version`"),
        ("\"version\":1", "unknown format version 1"),
        ("\"version\":\"2\"", "invalid type"),
    ] {
        file.write(&drain(Some(17))).unwrap();
        edit(&file, "\"version\":2", new);
        assert!(rejection(&file).contains(reason), "{new}: {}", rejection(&file));
    }
}

/// A file of an earlier build must be readable by a later one: what changes the content changes the version.
#[test]
fn content_and_name_are_the_same_in_every_build() {
    let identity = Identity { boot_id: "b".into(), time_namespace: "t".into(), target: "n".into() };
    let text = record::encode(&identity, &drain(Some(17))).unwrap();
    let expected = concat!(
        r#"{"version":2,"identity":{"boot_id":"b","time_namespace":"t","target":"n"},"id":65261,"pid":17,"started":5,"#,
        r#""trigger":"hook","started_at":{"secs":100,"nanos":0},"deadline":{"secs":130,"nanos":0},"#,
        r#""streams_at_start":3,"signal":{"sent_at":{"secs":105,"nanos":0},"streams":2,"served_on":false},"#,
        r#""hook_joined":true,"warnings":["ended_with_signal","no_hook"],"result":{"ended_at":{"secs":130,"nanos":0},"#,
        r#""outcome":"expired","streams_at_signal":2,"stragglers":null,"idle_streams":0,"#,
        r#""duration":{"secs":0,"nanos":7000000},"signalled":true,"warnings":["ended_with_signal","no_hook"],"#,
        r#""reported":false},"checksum":"25026ff21fe19032"}"#
    );
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    let path = StateFile::for_pid_namespace(Path::new("/dir"), "foobar").path;
    assert!(path.to_str().unwrap().ends_with("-85944171f73967e8.json"), "{}", path.display());
}

/// The changes turn every digit into every other one.
#[test]
fn changed_byte_never_yields_another_drain() {
    let file = file("flipped");
    for drain in [drain(Some(17)), SavedDrain { finished: None, signal: None, ..drain(None) }] {
        let original = record::encode(&file.identity, &drain).unwrap();
        assert_eq!(file.validate(&original, at(131)).unwrap(), drain);
        for index in 0..original.len() {
            let mut text = original.clone();
            for change in (1..16).chain([16, 32, 64, 128]) {
                text[index] = original[index] ^ change;
                let loaded = file.validate(&text, NOW).unwrap_or(drain);
                assert_eq!(loaded, drain, "{}", String::from_utf8_lossy(&text));
            }
        }
    }
}

#[test]
fn wrong_checksum_is_rejected() {
    let file = file("checksum");
    file.write(&drain(Some(17))).unwrap();
    let content = fs::read_to_string(file.path()).unwrap();
    fs::write(file.path(), content.replacen("\"pid\":17", "\"pid\":18", 1)).unwrap();
    assert_eq!(rejection(&file), "checksum mismatch");
}

#[test]
fn file_accessible_to_others_is_rejected() {
    let file = file("others");
    let elsewhere = file.path().with_extension("elsewhere");
    let place = || {
        let _ = fs::remove_file(&elsewhere);
        file.write(&drain(Some(17))).unwrap();
        assert!(file.load(NOW).unwrap().is_some());
    };
    for mode in [0o620, 0o602, 0o644, 0o666, 0o777] {
        place();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(rejection(&file).contains(&format!("{mode:o}")), "{}", rejection(&file));
    }
    place();
    fs::rename(file.path(), &elsewhere).unwrap();
    symlink(&elsewhere, file.path()).unwrap();
    assert!(rejection(&file).contains("symbolic link"));
    place();
    fs::hard_link(file.path(), &elsewhere).unwrap();
    assert!(rejection(&file).contains("hard link"));
    place();
    if chown(file.path(), Some(65534), None).is_ok() {
        assert!(rejection(&file).contains("belongs to user 65534"));
    }
    place();
    fs::remove_file(file.path()).unwrap();
    fs::create_dir(file.path()).unwrap();
    assert!(rejection(&file).contains("not a regular file"));
    fs::remove_dir(file.path()).unwrap();
}

#[test]
fn quarantine_frees_path_for_any_file_type() {
    let file = file("invalid");
    let quarantined = file.path().with_extension("invalid");
    let obstacles: [fn(&Path); 4] = [
        |path| fs::write(path, "garbage").unwrap(),
        |path| symlink("/no/where", path).unwrap(),
        |path| fs::create_dir(path).unwrap(),
        |path| fs::write(path, "garbage, with the quarantine path taken by a directory").unwrap(),
    ];
    for place in obstacles {
        place(file.path());
        assert!(file.load(NOW).is_err());
        file.quarantine().unwrap();
        assert_eq!(file.load(NOW).unwrap(), None);
        file.write(&drain(Some(17))).unwrap();
        file.erase().unwrap();
        if quarantined.is_symlink() {
            // rename(2) replaces a file with a file and a directory with a directory, nothing else.
            fs::remove_file(&quarantined).unwrap();
        }
    }
    assert!(quarantined.is_dir());
}

#[test]
fn obstructing_file_neither_blocks_write_nor_is_changed() {
    let file = file("obstacles");
    let (temporary, victim) = (file.path().with_extension("tmp"), file.path().with_extension("victim"));
    fs::write(&victim, "precious").unwrap();
    let obstacles: [&dyn Fn(); 4] = [
        &|| fs::write(&temporary, "left by a crashed process").unwrap(),
        &|| symlink(&victim, &temporary).unwrap(),
        &|| fs::hard_link(&victim, &temporary).unwrap(),
        // Cannot be unlinked, like another user's file in a directory with the sticky bit.
        &|| fs::create_dir(&temporary).unwrap(),
    ];
    for place in obstacles {
        place();
        file.probe().unwrap();
        file.write(&drain(Some(17))).unwrap();
        assert_eq!(file.load(NOW).unwrap(), Some(drain(Some(17))));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
    let left = fs::read_dir(file.path().parent().unwrap()).unwrap().count();
    assert_eq!(left, 3, "the state file, the victim and the last obstacle");
}

#[test]
fn overwrite_replaces_content_of_own_file_only() {
    let file = file("overwritten");
    file.write(&drain(Some(4_000_000))).unwrap();
    let text = record::encode(&file.identity, &drain(Some(17))).unwrap();
    file.overwrite(&text).unwrap();
    assert_eq!(file.load(NOW).unwrap(), Some(drain(Some(17))));
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(file.overwrite(&text).is_err(), "others may write to it");
}

#[test]
fn concurrent_reader_sees_old_or_new_drain() {
    let file = file("atomic");
    let drains = [drain(Some(17)), SavedDrain { finished: None, ..drain(Some(4_000_000)) }];
    file.write(&drains[0]).unwrap();
    let (before, mut opened) = (fs::read(file.path()).unwrap(), File::open(file.path()).unwrap());
    file.write(&drains[1]).unwrap();
    let mut read = Vec::new();
    opened.read_to_end(&mut read).unwrap();
    assert_eq!(read, before, "an open file changed under its reader");

    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..2000 {
                file.write(&drains[round % 2]).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let read = file.load(NOW).unwrap().unwrap();
            assert!(drains.contains(&read), "{read:?}");
        }
    });
}

#[test]
fn truncated_file_is_rejected() {
    let file = file("truncated");
    file.write(&drain(Some(17))).unwrap();
    let content = fs::read(file.path()).unwrap();
    for length in 0..content.len() {
        fs::write(file.path(), &content[..length]).unwrap();
        assert!(file.load(at(0)).is_err(), "{length} bytes were accepted");
    }
}

#[test]
fn fifo_is_rejected_without_blocking() {
    let file = file("pipe");
    let _ = fs::remove_file(file.path());
    assert!(std::process::Command::new("mkfifo").arg(file.path()).status().unwrap().success());
    assert!(file.load(NOW).is_err());
    file.write(&drain(Some(17))).unwrap();
    assert_eq!(file.load(NOW).unwrap(), Some(drain(Some(17))));
}

#[test]
fn saved_drain_without_target_expires_at_deadline() {
    let file = file("no-target");
    file.write(&drain(None)).unwrap();
    assert_eq!(file.load(at(129)).unwrap(), Some(drain(None)));
    assert_eq!(file.load(at(130)).unwrap(), None);
}
