//! Preflight: the rules of `lameduck check -f` on arbitrary texts. Settings are read as the command reads them.
#![no_main]

use lameduck::commands::check::manifests::check_text;
use lameduck_manifests::preflight::{Evaluation, Finding, Options, Rule};
use lameduck_test_support::manifests::libyaml;
use libfuzzer_sys::{Corpus, fuzz_target};

/// Whether a finding says what it must.
fn check(finding: &Finding) {
    assert!(!finding.detail.is_empty(), "{finding:?}");
    match &finding.evaluation {
        Evaluation::Pass | Evaluation::Skip => {}
        Evaluation::Warn { fix } | Evaluation::Fail { fix } => assert!(!fix.is_empty(), "{finding:?}"),
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = String::from_utf8(data.to_vec()) else { return Corpus::Reject };
    let options = Options { container: None, also_hook: vec!["b".to_owned()] };
    match check_text(&text, &options) {
        Ok(preflight) => {
            for object in &preflight.objects {
                assert!(object.document > 0 && object.line > 0, "{object:?}");
                object.findings.iter().for_each(check);
                // Lameduck occurs in every object that is checked, so the first rule has a result.
                assert_eq!(object.findings.first().map(|finding| finding.rule), Some(Rule::Sidecar), "{object:?}");
            }
        }
        Err(error) => assert!(error.line > 0 && !error.message.is_empty(), "{error}"),
    }
    // A comment and a document marker change nothing but the places.
    if libyaml::parse(&text).is_some() && !text.starts_with(['%', '\u{feff}']) {
        let moved = check_text(&format!("# moved\n---\n{text}"), &options);
        let same = check_text(&text, &options);
        let objects = |result: &Result<lameduck_manifests::preflight::Preflight, _>| {
            result.as_ref().ok().map(|preflight| preflight.objects.len())
        };
        assert_eq!(objects(&moved), objects(&same), "{text}");
    }
    Corpus::Keep
});
