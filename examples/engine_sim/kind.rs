//! The kinds of work that an engine does.

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Batch,
    Stream,
    Tts,
    Flux,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Batch, Self::Stream, Self::Tts, Self::Flux];

    pub(crate) fn from_path(path: &str) -> Option<Self> {
        match path {
            "/batch" => Some(Self::Batch),
            "/v1/listen" => Some(Self::Stream),
            "/v1/speak" => Some(Self::Tts),
            "/v2/listen" => Some(Self::Flux),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Stream => "stream",
            Self::Tts => "tts",
            Self::Flux => "flux",
        }
    }

    /// Whether a stream of this kind must receive data to stay open.
    pub(crate) fn needs_input(self) -> bool {
        match self {
            Self::Stream | Self::Flux => true,
            Self::Batch | Self::Tts => false,
        }
    }
}
