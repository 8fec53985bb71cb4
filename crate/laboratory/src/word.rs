//! The words of a run, as in `store-quick.alarm.run.3.cancel-2.30s.end`.

use worker_sentry::laboratory::Ending;

/// The most words in one run. Further words are ignored.
pub const MOST_WORDS: usize = 400;

/// One word of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// From now on, each handler also runs under the obvious guard.
    Naive,
    /// A handler is called and fails.
    Start(Way),
    /// Sets how the store answers from now on.
    Store(Store),
    /// Sets how the receiver answers from now on.
    Receiver(Receiver),
    /// The runtime cancels a handler.
    Cancel(usize),
    /// This many steps are taken.
    Steps(usize),
    /// Time passes, in seconds.
    Pass(u64),
    /// Steps are taken until no event is left.
    End,
}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Alarm,
    Fetch,
    Socket,
    Run,
    Panic,
}

/// How the secret store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Quick,
    Slow,
    FailsOnce,
    Never,
    /// There is no store: no DSN is bound.
    Unbound,
}

/// How the receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    Takes,
    Pause,
    PauseSeconds,
    PauseDate,
    PauseLimits,
    Fails,
    Hangs,
    CutsOff,
}

const WAYS: [(&str, Way); 5] = [
    ("alarm", Way::Alarm),
    ("fetch", Way::Fetch),
    ("socket", Way::Socket),
    ("run", Way::Run),
    ("panic", Way::Panic),
];

const STORES: [(&str, Store); 5] = [
    ("store-quick", Store::Quick),
    ("store-slow", Store::Slow),
    ("store-fails-once", Store::FailsOnce),
    ("store-never", Store::Never),
    ("store-unbound", Store::Unbound),
];

const RECEIVERS: [(&str, Receiver); 8] = [
    ("receiver-200", Receiver::Takes),
    ("receiver-429", Receiver::Pause),
    ("receiver-429-seconds", Receiver::PauseSeconds),
    ("receiver-429-date", Receiver::PauseDate),
    ("receiver-429-limits", Receiver::PauseLimits),
    ("receiver-500", Receiver::Fails),
    ("receiver-hangs", Receiver::Hangs),
    ("receiver-cuts-off", Receiver::CutsOff),
];

impl Word {
    /// Reads a word. `None` if the text is not a word.
    pub fn of(text: &str) -> Option<Self> {
        fn find<T: Copy>(table: &[(&str, T)], text: &str) -> Option<T> {
            let found = table.iter().find(|(name, _)| *name == text);
            found.map(|(_, value)| *value)
        }
        let number = |text: &str| text.parse().ok().filter(|it| (1..=9_999).contains(it));
        match text {
            "naive" => Some(Word::Naive),
            "end" => Some(Word::End),
            _ => find(&WAYS, text)
                .map(Word::Start)
                .or_else(|| find(&STORES, text).map(Word::Store))
                .or_else(|| find(&RECEIVERS, text).map(Word::Receiver))
                .or_else(|| Some(Word::Cancel(number(text.strip_prefix("cancel-")?)?)))
                .or_else(|| Some(Word::Pass(number(text.strip_suffix('s')?)? as u64)))
                .or_else(|| number(text).map(Word::Steps)),
        }
    }
}

/// The words of a run.
pub fn words(text: &str) -> impl Iterator<Item = (&str, Word)> {
    let words = text
        .split('.')
        .filter_map(|text| Some((text, Word::of(text)?)));
    words.take(MOST_WORDS)
}

/// The secret in the store.
pub const DSN: &str = "https://key@sentry.example.com/1";

impl Store {
    /// After how many milliseconds the store answers, and how. `None` if it never answers.
    pub fn answer(self) -> Option<(u64, Ending)> {
        match self {
            Store::Quick => Some((20, Ending::Secret(Some(DSN)))),
            Store::Slow => Some((3_000, Ending::Secret(Some(DSN)))),
            Store::FailsOnce => Some((20, Ending::Secret(None))),
            Store::Never | Store::Unbound => None,
        }
    }

    /// How the store answers the next time.
    pub fn next(self) -> Self {
        match self {
            Store::FailsOnce => Store::Quick,
            other => other,
        }
    }
}

impl Receiver {
    /// After how many milliseconds the receiver answers, and how. `None` if it never answers.
    pub fn answer(self) -> Option<(u64, Ending)> {
        let status = |status, retry_after, rate_limits| Ending::Answered {
            status,
            retry_after,
            rate_limits,
        };
        let ending = match self {
            Receiver::Takes => status(200, None, None),
            Receiver::Pause => status(429, None, None),
            Receiver::PauseSeconds => status(429, Some("30"), None),
            // One minute after the start of the clock of every run.
            Receiver::PauseDate => status(429, Some("Fri, 02 Jan 2026 03:05:05 GMT"), None),
            Receiver::PauseLimits => status(429, None, Some("45:error:organization")),
            Receiver::Fails => status(500, None, None),
            Receiver::CutsOff => Ending::CutOff,
            Receiver::Hangs => return None,
        };
        Some((80, ending))
    }
}
