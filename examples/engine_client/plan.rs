//! What each stream is going to do.

use std::time::Duration;

use crate::args::{Args, Span};
use crate::audio::Random;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Counted from one.
    pub(crate) number: u32,
    pub(crate) duration: Duration,
    /// Whether it stops sending audio half-way.
    pub(crate) idles: bool,
    pub(crate) random: Random,
}

pub(crate) fn plans(args: &Args) -> Vec<Plan> {
    let mut random = Random::new(args.seed);
    let mut listed = args.durations.iter().copied().cycle();
    let plan = |number| Plan {
        number,
        duration: match args.duration {
            Some(span) => span.pick(&mut random),
            None => listed.next().unwrap_or_default(),
        },
        idles: number <= args.idle,
        random: Random::new(random.next()),
    };
    (1..=args.streams).map(plan).collect()
}

impl Span {
    /// A duration within the span, to the millisecond.
    fn pick(self, random: &mut Random) -> Duration {
        let width = u64::try_from(self.max.saturating_sub(self.min).as_millis()).unwrap_or(u64::MAX - 1);
        self.min + Duration::from_millis(random.next() % (width + 1))
    }
}
