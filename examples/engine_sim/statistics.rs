//! What the engine counts: active work, answered requests and latencies.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kind::Kind;

/// The event that a histogram observes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Moment {
    /// From the connection to the answered handshake.
    Opened,
    /// From the last audio to a result.
    Result,
    /// From the handshake to the end.
    Closed,
}

/// A histogram as the page describes it.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) unit: Option<&'static str>,
    pub(crate) labels: &'static str,
    pub(crate) bounds: &'static [f64],
    moment: Moment,
}

#[derive(Debug)]
pub(crate) struct Histogram {
    pub(crate) family: &'static Family,
    /// One per bound, cumulative.
    pub(crate) buckets: Vec<u64>,
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

/// The counts of one kind.
#[derive(Debug)]
pub(crate) struct KindStatistics {
    pub(crate) active: u64,
    /// Requests by class of response status; empty until the first one.
    pub(crate) answered: BTreeMap<&'static str, u64>,
    pub(crate) histograms: Vec<Histogram>,
}

#[derive(Debug)]
pub(crate) struct Statistics {
    batch: KindStatistics,
    stream: KindStatistics,
    tts: KindStatistics,
    flux: KindStatistics,
}

impl Histogram {
    fn new(family: &'static Family) -> Self {
        Self { family, buckets: vec![0; family.bounds.len()], count: 0, sum: 0.0 }
    }

    fn observe(&mut self, seconds: f64) {
        for (bucket, bound) in self.buckets.iter_mut().zip(self.family.bounds) {
            *bucket += u64::from(seconds <= *bound);
        }
        self.count += 1;
        self.sum += seconds;
    }
}

impl KindStatistics {
    fn new(kind: Kind) -> Self {
        let histograms = families(kind).iter().map(Histogram::new).collect();
        Self { active: 0, answered: BTreeMap::new(), histograms }
    }

    /// Whether the lazily registered families of this kind exist by now.
    pub(crate) fn is_registered(&self) -> bool {
        !self.answered.is_empty()
    }
}

impl Statistics {
    pub(crate) fn new() -> Self {
        Self {
            batch: KindStatistics::new(Kind::Batch),
            stream: KindStatistics::new(Kind::Stream),
            tts: KindStatistics::new(Kind::Tts),
            flux: KindStatistics::new(Kind::Flux),
        }
    }

    pub(crate) fn of(&self, kind: Kind) -> &KindStatistics {
        match kind {
            Kind::Batch => &self.batch,
            Kind::Stream => &self.stream,
            Kind::Tts => &self.tts,
            Kind::Flux => &self.flux,
        }
    }

    pub(crate) fn active(&self) -> u64 {
        Kind::ALL.into_iter().map(|kind| self.of(kind).active).sum()
    }

    pub(crate) fn enter(&mut self, kind: Kind) {
        self.of_mut(kind).active += 1;
    }

    pub(crate) fn leave(&mut self, kind: Kind) {
        let active = &mut self.of_mut(kind).active;
        *active = active.saturating_sub(1);
    }

    pub(crate) fn answered(&mut self, kind: Kind, status: &'static str) {
        *self.of_mut(kind).answered.entry(status).or_default() += 1;
    }

    pub(crate) fn observe(&mut self, kind: Kind, moment: Moment, took: Duration) {
        let histograms = self.of_mut(kind).histograms.iter_mut();
        histograms.filter(|histogram| histogram.family.moment == moment).for_each(|h| h.observe(took.as_secs_f64()));
    }

    fn of_mut(&mut self, kind: Kind) -> &mut KindStatistics {
        match kind {
            Kind::Batch => &mut self.batch,
            Kind::Stream => &mut self.stream,
            Kind::Tts => &mut self.tts,
            Kind::Flux => &mut self.flux,
        }
    }
}

fn families(kind: Kind) -> &'static [Family] {
    match kind {
        Kind::Batch => &BATCH,
        Kind::Stream => &STREAM,
        Kind::Tts => &TTS,
        Kind::Flux => &FLUX,
    }
}

const LONG: &[f64] = &[1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const SHORT: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0];

static BATCH: [Family; 2] = [
    Family {
        name: "engine_batch_response_time_seconds",
        help: "Response time of batch requests.",
        unit: Some("seconds"),
        labels: "",
        bounds: LONG,
        moment: Moment::Closed,
    },
    Family {
        name: "engine_asr_per_batch_wall_time_seconds",
        help: "Wall time of inference per batch.",
        unit: Some("seconds"),
        labels: "",
        bounds: LONG,
        moment: Moment::Closed,
    },
];

static STREAM: [Family; 2] = [
    Family {
        name: "engine_stream_connection_latency_seconds",
        help: "Time to establish a stream.",
        unit: Some("seconds"),
        labels: "",
        bounds: &[0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
        moment: Moment::Opened,
    },
    Family {
        name: "engine_stream_latency",
        help: "Latency of streaming results, in seconds.",
        unit: None,
        labels: "",
        bounds: SHORT,
        moment: Moment::Result,
    },
];

static TTS: [Family; 1] = [Family {
    name: "engine_tts_first_raw_byte_latency",
    help: "Time to the first raw byte of speech, in seconds.",
    unit: None,
    labels: r#"tier="aura-2""#,
    bounds: SHORT,
    moment: Moment::Opened,
}];

static FLUX: [Family; 1] = [Family {
    name: "engine_flux_cursor_latency_seconds",
    help: "How far results are behind the audio, measured after transcoding and rate-limiting.",
    unit: Some("seconds"),
    labels: "",
    bounds: SHORT,
    moment: Moment::Result,
}];
