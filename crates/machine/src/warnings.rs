//! The warnings of a drain: caveats that a reader of its record must know.

/// A warning in a record. The names are part of the contract with users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Warning {
    /// No reading after the signal shows the target still serving: it ended, or its streams did, too soon after it.
    EndedWithSignal,
    /// The target closed a listener, or ended, before lameduck sent its signal: something else stopped it.
    ToldByOthers,
    /// The target ended, and then SIGTERM came, without a hook call.
    NoHook,
    /// A page counted streams that had no connection, and its count was overruled.
    GaugeLeak,
    /// The sources gave different counts for longer than the quiet period.
    SourcesDisagreed,
    /// The deadline was shortened: the pod has less time than its grace period.
    DeadlineShortened,
}

impl Warning {
    /// Every warning.
    pub const ALL: [Self; 6] = [
        Self::EndedWithSignal,
        Self::ToldByOthers,
        Self::NoHook,
        Self::GaugeLeak,
        Self::SourcesDisagreed,
        Self::DeadlineShortened,
    ];

    /// The code that users see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EndedWithSignal => "ended_with_signal",
            Self::ToldByOthers => "told_by_others",
            Self::NoHook => "no_hook",
            Self::GaugeLeak => "gauge_leak",
            Self::SourcesDisagreed => "sources_disagreed",
            Self::DeadlineShortened => "deadline_shortened",
        }
    }

    /// The warning with this code.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|warning| warning.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of warnings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Warnings(u8);

impl Warnings {
    /// Adds a warning, and returns whether it is new.
    pub fn insert(&mut self, warning: Warning) -> bool {
        let is_new = !self.contains(warning);
        self.0 |= warning.bit();
        is_new
    }

    /// These warnings and another one, if `applies`.
    #[must_use]
    pub fn with_if(mut self, warning: Warning, applies: bool) -> Self {
        if applies {
            self.insert(warning);
        }
        self
    }

    /// Whether it contains this warning.
    #[must_use]
    pub const fn contains(self, warning: Warning) -> bool {
        self.0 & warning.bit() != 0
    }

    /// The warnings, in the order of [`Warning::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Warning> {
        Warning::ALL.into_iter().filter(move |warning| self.contains(*warning))
    }
}

impl FromIterator<Warning> for Warnings {
    fn from_iter<I: IntoIterator<Item = Warning>>(warnings: I) -> Self {
        let mut set = Self::default();
        for warning in warnings {
            set.insert(warning);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_parsed_back() {
        assert_eq!(
            Warning::ALL.map(Warning::name),
            ["ended_with_signal", "told_by_others", "no_hook", "gauge_leak", "sources_disagreed", "deadline_shortened"]
        );
        assert_eq!(Warning::ALL.map(|warning| Warning::from_name(warning.name())), Warning::ALL.map(Some));
        assert_eq!(Warning::from_name("drained"), None);
    }

    #[test]
    fn each_warning_is_kept_once() {
        let mut set = Warnings::default();
        assert!(set.insert(Warning::NoHook) && !set.insert(Warning::NoHook) && set.insert(Warning::EndedWithSignal));
        assert_eq!(set.iter().collect::<Vec<_>>(), [Warning::EndedWithSignal, Warning::NoHook]);
        assert_eq!(set.iter().collect::<Warnings>(), set);
        assert_eq!(Warnings::default().with_if(Warning::NoHook, false), Warnings::default());
    }
}
