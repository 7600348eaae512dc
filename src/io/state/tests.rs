use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn at(seconds: u64) -> Time {
    Time::since_boot(Duration::from_secs(seconds))
}

/// When the note below is read: the drain has been over for a while.
const NOW: Time = Time::since_boot(Duration::from_secs(200));

fn note(pid: Option<u32>) -> SavedDrain {
    let result = DrainResult {
        outcome: Outcome::Expired,
        streams_at_start: Some(3),
        stragglers: None,
        idle_streams: 0,
        took: Duration::from_millis(7),
        signalled: true,
    };
    SavedDrain {
        incarnation: pid.map(|pid| Incarnation { pid, started: 5 }),
        trigger: Trigger::Hook,
        started_at: at(100),
        deadline: at(130),
        streams_at_start: Some(3),
        signalled: true,
        over: Some(SavedResult { at: at(130), result, told: false }),
    }
}

fn file(name: &str) -> StateFile {
    let dir = std::env::temp_dir().join(format!("lameduck-state-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    StateFile::new(&dir, "8089", "subject")
}

#[test]
fn a_note_comes_back_as_it_was_written() {
    let file = file("back");
    assert_eq!(file.load(at(0)).unwrap(), None);
    file.write(&note(Some(17))).unwrap();
    file.write(&note(Some(18))).unwrap();
    assert_eq!(file.load(at(999)).unwrap(), Some(note(Some(18))));
    file.erase().unwrap();
    file.erase().unwrap();
    assert_eq!(file.load(at(0)).unwrap(), None);
}

/// Why the file is not believed.
fn refusal(file: &StateFile) -> String {
    file.load(NOW).unwrap_err().to_string()
}

#[test]
fn a_note_about_another_subject_boot_or_clock_is_not_believed() {
    let file = file("another");
    file.write(&note(Some(17))).unwrap();
    let others: [fn(&mut Scope); 3] = [
        |scope| scope.subject = "another".into(),
        |scope| scope.boot = "another".into(),
        |scope| scope.time_namespace = "another".into(),
    ];
    for change in others {
        let mut other = file.clone();
        change(&mut other.scope);
        assert!(refusal(&other).contains("another boot"));
    }
    assert_eq!(file.load(NOW).unwrap(), Some(note(Some(17))));
}

#[test]
fn a_note_of_times_to_come_is_not_believed() {
    let file = file("future");
    let plain = note(Some(17));
    let over = plain.over.unwrap();
    let far = NOW + MAX_GRACE_PERIOD + Duration::from_secs(2);
    for future in [
        SavedDrain { started_at: at(202), ..plain },
        SavedDrain { deadline: far, ..plain },
        SavedDrain { over: Some(SavedResult { at: at(202), ..over }), ..plain },
    ] {
        file.write(&future).unwrap();
        assert!(refusal(&file).contains("still to come"), "{future:?}");
        assert!(file.load(far).unwrap().is_some(), "its time has come");
    }
    for now in
        [SavedDrain { deadline: NOW + MAX_GRACE_PERIOD, ..plain }, SavedDrain { started_at: NOW, over: None, ..plain }]
    {
        file.write(&now).unwrap();
        assert_eq!(file.load(NOW).unwrap(), Some(now));
    }
}

#[test]
fn a_note_that_says_more_or_other_than_this_version_knows_is_not_believed() {
    let file = file("newer");
    file.write(&note(Some(17))).unwrap();
    let whole = fs::read_to_string(file.path()).unwrap();
    for (old, new, why) in [
        ("\"pid\"", "\"phase\":2,\"pid\"", "unknown field"),
        ("\"at\"", "\"by\":2,\"at\"", "unknown field"),
        ("\"boot\"", "\"node\":\"n\",\"boot\"", "unknown field"),
        ("\"hook\"", "\"probe\"", "unknown trigger"),
        ("\"expired\"", "\"handed_over\"", "unknown trigger or outcome"),
        ("\"signalled\":true", "\"signalled\":\"twice\"", "invalid type"),
        ("\"nanos\":0", "\"nanos\":0.5", "invalid type"),
        ("\"secs\":130", "\"secs\":18446744073709551616", "invalid type"),
    ] {
        let text = whole.replacen(old, new, 1);
        assert_ne!(text, whole);
        fs::write(file.path(), text).unwrap();
        assert!(refusal(&file).contains(why), "{new}: {}", refusal(&file));
    }
}

/// Among the changes are all from digit to digit: what is believed is what was written.
#[test]
fn a_note_with_one_byte_changed_is_not_believed_as_another() {
    let file = file("flipped");
    for note in [note(Some(17)), SavedDrain { over: None, signalled: false, ..note(None) }] {
        let whole = serde_json::to_vec(&Record::new(file.scope.clone(), &note).seal()).unwrap();
        assert_eq!(file.believe(&whole, at(131)).unwrap(), note);
        for place in 0..whole.len() {
            let mut text = whole.clone();
            for change in (1..16).chain([16, 32, 64, 128]) {
                text[place] = whole[place] ^ change;
                let believed = file.believe(&text, NOW).unwrap_or(note);
                assert_eq!(believed, note, "{}", String::from_utf8_lossy(&text));
            }
        }
    }
}

#[test]
fn what_others_may_have_a_hand_in_is_not_believed() {
    let file = file("others");
    let elsewhere = file.path().with_extension("elsewhere");
    let lay = || {
        let _ = fs::remove_file(&elsewhere);
        file.write(&note(Some(17))).unwrap();
        assert!(file.load(NOW).unwrap().is_some());
    };
    for mode in [0o620, 0o602, 0o644, 0o666, 0o777] {
        lay();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(refusal(&file).contains(&format!("{mode:o}")), "{}", refusal(&file));
    }
    lay();
    fs::rename(file.path(), &elsewhere).unwrap();
    symlink(&elsewhere, file.path()).unwrap();
    assert!(refusal(&file).contains("symbolic link"));
    lay();
    fs::hard_link(file.path(), &elsewhere).unwrap();
    assert!(refusal(&file).contains("hard link"));
    lay();
    if chown(file.path(), Some(65534), None).is_ok() {
        assert!(refusal(&file).contains("belongs to user 65534"));
    }
    lay();
    fs::remove_file(file.path()).unwrap();
    fs::create_dir(file.path()).unwrap();
    assert!(refusal(&file).contains("no regular file"));
    fs::remove_dir(file.path()).unwrap();
}

#[test]
fn what_is_set_aside_makes_room_whatever_it_is() {
    let file = file("aside");
    let aside = file.path().with_extension("aside");
    let lays: [fn(&Path); 4] = [
        |path| fs::write(path, "garbage").unwrap(),
        |path| symlink("/no/where", path).unwrap(),
        |path| fs::create_dir(path).unwrap(),
        |path| fs::write(path, "garbage, and no room for it").unwrap(),
    ];
    for lay in lays {
        lay(file.path());
        assert!(file.load(NOW).is_err());
        file.quarantine().unwrap();
        assert_eq!(file.load(NOW).unwrap(), None);
        file.write(&note(Some(17))).unwrap();
        file.erase().unwrap();
        if aside.is_symlink() {
            // A directory moves only where nothing is, and nothing but a directory to where one is.
            fs::remove_file(&aside).unwrap();
        }
    }
    assert!(aside.is_dir());
}

#[test]
fn what_lies_in_the_way_of_a_write_neither_stops_it_nor_is_written_to() {
    let file = file("way");
    let (temporary, victim) = (file.path().with_extension("tmp"), file.path().with_extension("victim"));
    fs::write(&victim, "precious").unwrap();
    let lays: [&dyn Fn(); 4] = [
        &|| fs::write(&temporary, "left by one who died").unwrap(),
        &|| symlink(&victim, &temporary).unwrap(),
        &|| fs::hard_link(&victim, &temporary).unwrap(),
        // That cannot be removed, like another's file in a directory with the sticky bit.
        &|| fs::create_dir(&temporary).unwrap(),
    ];
    for lay in lays {
        lay();
        file.probe().unwrap();
        file.write(&note(Some(17))).unwrap();
        assert_eq!(file.load(NOW).unwrap(), Some(note(Some(17))));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
    let left = fs::read_dir(file.path().parent().unwrap()).unwrap().count();
    assert_eq!(left, 3, "the note, the victim and what lay in the way");
}

#[test]
fn a_note_that_cannot_be_replaced_is_overwritten() {
    let file = file("overwritten");
    file.write(&note(Some(4_000_000))).unwrap();
    let text = serde_json::to_vec(&Record::new(file.scope.clone(), &note(Some(17))).seal()).unwrap();
    file.overwrite(&text).unwrap();
    assert_eq!(file.load(NOW).unwrap(), Some(note(Some(17))));
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(file.overwrite(&text).is_err(), "it may be somebody else's");
}

#[test]
fn who_reads_while_another_writes_has_one_note_or_the_other() {
    let file = file("atomic");
    let notes = [note(Some(17)), SavedDrain { over: None, ..note(Some(4_000_000)) }];
    file.write(&notes[0]).unwrap();
    let (whole, mut opened) = (fs::read(file.path()).unwrap(), File::open(file.path()).unwrap());
    file.write(&notes[1]).unwrap();
    let mut read = Vec::new();
    opened.read_to_end(&mut read).unwrap();
    assert_eq!(read, whole, "what was opened before is changed under the reader");

    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..2000 {
                file.write(&notes[turn % 2]).unwrap();
            }
            ends.store(true, Ordering::Relaxed);
        });
        while !ends.load(Ordering::Relaxed) {
            let read = file.load(NOW).unwrap().unwrap();
            assert!(notes.contains(&read), "{read:?}");
        }
    });
}

#[test]
fn a_torn_note_is_an_error_and_not_a_panic() {
    let file = file("torn");
    file.write(&note(Some(17))).unwrap();
    let whole = fs::read(file.path()).unwrap();
    for length in 0..whole.len() {
        fs::write(file.path(), &whole[..length]).unwrap();
        assert!(file.load(at(0)).is_err(), "{length} bytes were believed");
    }
}

#[test]
fn a_pipe_in_the_place_of_a_note_is_an_error_and_not_waited_for() {
    let file = file("pipe");
    let _ = fs::remove_file(file.path());
    assert!(std::process::Command::new("mkfifo").arg(file.path()).status().unwrap().success());
    assert!(file.load(NOW).is_err());
    file.write(&note(Some(17))).unwrap();
    assert_eq!(file.load(NOW).unwrap(), Some(note(Some(17))));
}

#[test]
fn a_drain_of_nobody_in_particular_is_over_with_its_deadline() {
    let file = file("nobody");
    file.write(&note(None)).unwrap();
    assert_eq!(file.load(at(129)).unwrap(), Some(note(None)));
    assert_eq!(file.load(at(130)).unwrap(), None);
}
