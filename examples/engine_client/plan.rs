//! The plan of each stream.

use std::iter;
use std::time::Duration;

use crate::args::{Args, DurationRange};
use crate::audio::Random;
use crate::phases::Phase;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Counted from one.
    pub(crate) number: u32,
    pub(crate) duration: Duration,
    pub(crate) phases: Vec<Phase>,
    pub(crate) random: Random,
}

/// The plans of all streams; infinitely many with arrivals.
pub(crate) fn plans(args: &Args) -> Box<dyn Iterator<Item = Plan> + '_> {
    let mut random = Random::new(args.seed);
    let mut listed = args.durations.iter().copied().cycle();
    let phase_lists = args.streams.iter().flat_map(|group| iter::repeat_n(&group.phases, group.count as usize));
    let plan = move |(number, phases): (u32, &Vec<Phase>)| Plan {
        number,
        duration: match args.duration {
            Some(range) => range.pick(&mut random),
            None => listed.next().unwrap_or_default(),
        },
        phases: phases.clone(),
        random: Random::new(random.next()),
    };
    match args.arrivals {
        Some(_) => Box::new((1..).zip(phase_lists.cycle()).map(plan)),
        None => Box::new((1..).zip(phase_lists).map(plan)),
    }
}

impl DurationRange {
    /// A duration within the range, to the millisecond.
    fn pick(self, random: &mut Random) -> Duration {
        let width = u64::try_from(self.max.saturating_sub(self.min).as_millis()).unwrap_or(u64::MAX - 1);
        self.min + Duration::from_millis(random.next() % (width + 1))
    }
}
