//! The error of a refused setting.

use std::fmt::{self, Display};
use std::time::Duration;

/// A setting that lameduck refuses: what was set, why that cannot work, and what to set instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The flag, such as `--signal`.
    pub setting: String,
    /// The refused value; `None` if the setting is missing, or is refused whatever its value.
    pub value: Option<String>,
    /// Why it is refused.
    pub cause: String,
    /// What to do about it.
    pub fix: String,
    /// What kind of refusal it is.
    pub kind: SettingErrorKind,
}

/// What has to change before a refused setting works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingErrorKind {
    /// The settings themselves.
    Invalid,
    /// A permission of this process.
    NotPermitted,
}

/// A duration as in a setting: zero is `0s`.
#[must_use]
pub fn shown(duration: Duration) -> String {
    if duration.is_zero() { "0s".to_owned() } else { format!("{duration:?}") }
}

impl SettingError {
    /// Refuses a setting because of its value.
    #[must_use]
    pub fn new(
        setting: impl Into<String>,
        value: impl Display,
        cause: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { value: Some(value.to_string()), ..Self::without_value(setting, cause, fix) }
    }

    /// Refuses a setting that is missing, or that cannot be used at all.
    #[must_use]
    pub fn without_value(setting: impl Into<String>, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            value: None,
            cause: cause.into(),
            fix: fix.into(),
            kind: SettingErrorKind::Invalid,
        }
    }

    /// The same refusal, because of a missing permission.
    #[must_use]
    pub fn not_permitted(self) -> Self {
        Self { kind: SettingErrorKind::NotPermitted, ..self }
    }

    /// The setting, its value and the cause, without the fix.
    #[must_use]
    pub fn problem(&self) -> String {
        let Self { setting, value, cause, .. } = self;
        match value {
            Some(value) => format!("{setting} {value}: {cause}"),
            None => format!("{setting} {cause}"),
        }
    }
}

impl Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem(), self.fix)
    }
}

impl std::error::Error for SettingError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_setting_value_cause_and_fix() {
        let error = SettingError::new("--signal", "SIGINT", "there is no target", "name it with --target");
        assert_eq!(error.to_string(), "--signal SIGINT: there is no target; name it with --target");
        assert_eq!(error.problem(), "--signal SIGINT: there is no target");
        let missing = SettingError::without_value("--grace-period", "is required", "set it");
        assert_eq!(missing.to_string(), "--grace-period is required; set it");
    }
}
