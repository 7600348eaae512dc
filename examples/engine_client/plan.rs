//! What each stream is going to do.

use std::iter;
use std::time::Duration;

use crate::args::{Args, Span};
use crate::audio::Random;
use crate::course::Phase;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Counted from one.
    pub(crate) number: u32,
    pub(crate) duration: Duration,
    pub(crate) course: Vec<Phase>,
    pub(crate) random: Random,
}

/// The plans of all streams; with arrivals there is no end of them.
pub(crate) fn plans(args: &Args) -> Box<dyn Iterator<Item = Plan> + '_> {
    let mut random = Random::new(args.seed);
    let mut listed = args.durations.iter().copied().cycle();
    let courses = args.streams.iter().flat_map(|group| iter::repeat_n(&group.course, group.count as usize));
    let plan = move |(number, course): (u32, &Vec<Phase>)| Plan {
        number,
        duration: match args.duration {
            Some(span) => span.pick(&mut random),
            None => listed.next().unwrap_or_default(),
        },
        course: course.clone(),
        random: Random::new(random.next()),
    };
    match args.arrivals {
        Some(_) => Box::new((1..).zip(courses.cycle()).map(plan)),
        None => Box::new((1..).zip(courses).map(plan)),
    }
}

impl Span {
    /// A duration within the span, to the millisecond.
    fn pick(self, random: &mut Random) -> Duration {
        let width = u64::try_from(self.max.saturating_sub(self.min).as_millis()).unwrap_or(u64::MAX - 1);
        self.min + Duration::from_millis(random.next() % (width + 1))
    }
}
