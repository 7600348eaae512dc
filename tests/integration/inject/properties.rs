//! What holds for manifests in whatever style: every byte that is not ours stays, and readers see ours and theirs.
//!
//! `LAMEDUCK_MANIFESTS` sets how many are tried.

use std::env;

use lameduck_manifests::remove::remove;
use lameduck_manifests::select::ContainerSelector;
use lameduck_manifests::sidecar_spec::Mode;
use lameduck_manifests::{Request, inject};
use proptest::prelude::*;

use crate::inject::support::{other, request};
use lameduck_test_support::manifests::view::{container, pod_spec, view, without_ours};
use lameduck_test_support::manifests::{Tape, stream};

/// How many are tried.
pub(crate) fn config() -> ProptestConfig {
    let manifests = env::var("LAMEDUCK_MANIFESTS").ok().and_then(|count| count.parse().ok());
    let cases = manifests.unwrap_or(300);
    ProptestConfig { cases, max_shrink_iters: 5000, max_global_rejects: cases * 10, ..ProptestConfig::default() }
}

fn manifests() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<u8>(), 0..500).prop_map(|bytes| stream(&mut Tape::new(bytes)))
}

fn shape() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Native, Mode::Classic, Mode::Standalone])
}

fn with(text: &str, request: &Request) -> Result<String, String> {
    inject(text, request, &|_| Ok(())).map(|done| done.text)
}

/// Whether the second text is the first with some stretches put in.
fn is_widened(narrow: &str, wide: &str) -> bool {
    let mut wide = wide.bytes();
    narrow.bytes().all(|byte| wide.any(|other| other == byte))
}

/// Whether the shape fits: no ordinary container can be put into a Job, nor behind a block scalar without an end.
fn fits(text: &str, shape: Mode) -> bool {
    let refused = with(text, &request(shape)).err();
    !refused.is_some_and(|error| error.contains("never complete") || error.contains("block scalar"))
}

/// A null that has been filled cannot be told from what was filled.
fn without_nulls(text: &str) -> bool {
    let spec = pod_spec(text);
    let containers = spec["containers"].as_sequence().unwrap();
    let is_null = |value: &serde_norway::Value, key: &str| value.get(key).is_some_and(serde_norway::Value::is_null);
    let lists = ["initContainers", "volumes"].iter().any(|key| is_null(&spec, key));
    let lifecycle = |container: &serde_norway::Value| {
        is_null(container, "lifecycle")
            || container.get("lifecycle").is_some_and(|lifecycle| is_null(lifecycle, "preStop"))
    };
    !lists && !containers.iter().any(lifecycle)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_but_ours_is_added_and_readers_see_the_rest_as_before(text in manifests(), shape in shape()) {
        prop_assume!(fits(&text, shape));
        let out = with(&text, &request(shape)).unwrap();
        prop_assert!(without_nulls(&text) <= is_widened(&text, &out), "{out}");
        prop_assert!(view(&out).is_some(), "{out}");
        prop_assert_eq!(without_ours(&text), without_ours(&out), "{}", out);
    }

    #[test]
    fn readers_see_the_sidecar_and_the_hook(text in manifests(), shape in shape()) {
        prop_assume!(fits(&text, shape));
        let out = with(&text, &request(shape)).unwrap();
        let spec = pod_spec(&out);
        let (list, key) = match shape {
            Mode::Native => ("initContainers", "httpGet"),
            Mode::Classic => ("containers", "httpGet"),
            Mode::Standalone => ("initContainers", "exec"),
        };
        let ours = container(&spec, list, "lameduck");
        prop_assert_eq!(&ours["image"], "registry.example.com/lameduck:0.1.0");
        prop_assert!(container(&spec, "containers", "engine")["lifecycle"]["preStop"].get(key).is_some(), "{out}");
        prop_assert_eq!(spec.get("shareProcessNamespace").is_some(), shape != Mode::Standalone);
    }

    #[test]
    fn a_second_time_changes_nothing(text in manifests(), shape in shape()) {
        prop_assume!(fits(&text, shape));
        let once = with(&text, &request(shape)).unwrap();
        prop_assert_eq!(&with(&once, &request(shape)).unwrap(), &once);
    }

    #[test]
    fn what_is_there_is_brought_up_to_date_in_its_place(text in manifests(), shape in shape()) {
        prop_assume!(fits(&text, shape));
        let once = with(&text, &request(shape)).unwrap();
        prop_assert_eq!(with(&once, &other(shape)).unwrap(), with(&text, &other(shape)).unwrap());
    }

    #[test]
    fn what_was_put_in_is_taken_out_to_the_byte(text in manifests(), shape in shape()) {
        prop_assume!(fits(&text, shape));
        let out = with(&text, &request(shape)).unwrap();
        let back = remove(&out, &ContainerSelector::default()).unwrap().text;
        prop_assert_eq!(without_ours(&back), without_ours(&text), "{}", back);
        if without_nulls(&text) {
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn another_shape_takes_the_place_of_the_first(text in manifests(), first in shape(), second in shape()) {
        prop_assume!(fits(&text, first) && fits(&text, second) && without_nulls(&text));
        let once = with(&text, &request(first)).unwrap();
        prop_assert_eq!(with(&once, &request(second)).unwrap(), with(&text, &request(second)).unwrap());
    }
}
