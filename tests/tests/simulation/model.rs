//! What must be stored and what must be in the files: the rules in the simplest form there is, with none of the server's
//! code.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use tocsin_domain::exposure::ReportType;

/// One hour in seconds; also the truncation of upload times.
pub(crate) const HOUR: i64 = 3_600;
/// One day in seconds.
pub(crate) const DAY: i64 = 24 * HOUR;
/// What is older goes.
pub(crate) const TTL: i64 = 10 * DAY;
/// A window is cut this long after it closed.
pub(crate) const MIN_WINDOW_AGE: i64 = 2 * HOUR;

/// The bytes of a key.
pub(crate) type Key = [u8; 16];

/// A key as sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentKey {
    /// Its bytes.
    pub(crate) key: Key,
    /// Interval number.
    pub(crate) start: i64,
    /// Intervals.
    pub(crate) period: i64,
}

/// The revision token of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// None.
    Absent,
    /// Not a token of this server.
    Garbage,
    /// One that holds these keys.
    Holds(BTreeSet<Key>),
}

/// A publish as sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Region of the app.
    pub(crate) region: &'static str,
    /// Whether the person travelled.
    pub(crate) traveler: bool,
    /// The certificate's.
    pub(crate) report_type: ReportType,
    /// The keys.
    pub(crate) keys: Vec<SentKey>,
    /// The token.
    pub(crate) token: Token,
}

/// What must be answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expected {
    /// 200, so many keys inserted, so many revised.
    Accepted { inserted: usize, revised: usize },
    /// 400 with this code, and nothing changes.
    Refused(&'static str),
}

/// A key that must be stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Region of the app.
    pub(crate) region: &'static str,
    /// Whether the person travelled.
    pub(crate) traveler: bool,
    /// Truncated time of upload, or when the embargo ends.
    pub(crate) created_at: i64,
    /// Whether it was still valid when it was uploaded.
    pub(crate) embargoed: bool,
    /// Interval number and intervals.
    pub(crate) valid: (i64, i64),
    /// As first reported.
    pub(crate) report_type: ReportType,
    /// Time and report type of the revision.
    pub(crate) revision: Option<(i64, ReportType)>,
}

impl Stored {
    /// Unix seconds at which the key expires.
    pub(crate) fn valid_until(&self) -> i64 {
        (self.valid.0 + self.valid.1) * 600
    }
}

/// What a batch must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    /// New keys with their first report type.
    pub(crate) new: BTreeMap<Key, ReportType>,
    /// Revised keys with their last.
    pub(crate) revised: BTreeMap<Key, ReportType>,
}

/// A file that was listed.
#[derive(Debug)]
pub(crate) struct SeenFile {
    /// Bytes, which never change.
    pub(crate) zip: Vec<u8>,
    /// End of its batch.
    pub(crate) batch_end: i64,
    /// Start, end and region in the file.
    pub(crate) identity: (i64, i64, String),
    /// How far its removal is.
    pub(crate) state: FileState,
}

/// A file is taken out of the index by one purge and deleted by the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FileState {
    Live,
    Expired,
    Deleted,
}

/// An export config.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// Prefix of its files.
    pub(crate) root: &'static str,
    /// The server's id.
    pub(crate) id: u64,
    /// Seconds.
    pub(crate) period: i64,
    /// Region in its files.
    pub(crate) output_region: &'static str,
    /// Regions it selects.
    pub(crate) input_regions: Vec<&'static str>,
    /// Regions it leaves out.
    pub(crate) exclude_regions: Vec<&'static str>,
    /// Selects all travelers too.
    pub(crate) include_travelers: bool,
    /// Selects no traveler.
    pub(crate) only_non_travelers: bool,
    /// Active after this.
    pub(crate) from: i64,
    /// Active before this.
    pub(crate) thru: Option<i64>,
    /// End of its last window.
    pub(crate) last_end: Option<i64>,
    /// Windows with a batch that has not been worked on.
    pub(crate) open: BTreeSet<(i64, i64)>,
    /// Files by name.
    pub(crate) files: BTreeMap<String, SeenFile>,
    /// Keys, padding included, that came out as new.
    pub(crate) new_seen: HashSet<Key>,
    /// Keys that came out as revised.
    pub(crate) revised_seen: HashSet<Key>,
}

impl Config {
    fn selects(&self, key: &Stored) -> bool {
        let by_region = self.input_regions.contains(&key.region) || (self.include_travelers && key.traveler);
        by_region && !self.exclude_regions.contains(&key.region) && !(self.only_non_travelers && key.traveler)
    }

    fn is_active(&self, at: i64) -> bool {
        self.from < at && self.thru.is_none_or(|thru| thru > at)
    }

    /// The windows to cut now: one to begin with, then every one that is closed and old enough, but none whose files would
    /// be too old to be listed.
    fn due(&self, now: i64) -> Vec<(i64, i64)> {
        let old_enough = floor(now - MIN_WINDOW_AGE, HOUR);
        if !self.is_active(now - MIN_WINDOW_AGE) {
            return Vec::new();
        }
        let Some(last) = self.last_end else {
            let end = floor(old_enough, self.period);
            return vec![(end - self.period, end)];
        };
        let mut windows = Vec::new();
        let mut start = last;
        while start + self.period <= old_enough {
            if start + self.period >= now - TTL {
                windows.push((start, start + self.period));
            }
            start += self.period;
        }
        windows
    }
}

fn floor(time: i64, step: i64) -> i64 {
    time.div_euclid(step) * step
}

/// The whole.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// What is stored now.
    pub(crate) stored: HashMap<Key, Stored>,
    /// Keys that were purged.
    pub(crate) purged: HashSet<Key>,
    /// Keys of requests that were refused, and reported negative before they were known: nobody may ever see them.
    pub(crate) never_stored: HashSet<Key>,
    /// Latest end of any batch.
    pub(crate) exported_until: i64,
    /// What was created before this is gone.
    pub(crate) purged_until: i64,
    /// The export configs.
    pub(crate) configs: Vec<Config>,
}

impl Model {
    /// Decides a publish and, if it is accepted, stores it.
    pub(crate) fn publish(&mut self, sent: &Sent, now: i64) -> Expected {
        let mut keys = sent.keys.clone();
        keys.sort_by_key(|key| key.key);
        let revised = match self.revisable(sent, &keys) {
            Ok(revised) => revised,
            Err(code) => {
                let unknown = keys.iter().map(|key| key.key).filter(|key| !self.stored.contains_key(key));
                self.never_stored.extend(unknown);
                return Expected::Refused(code);
            }
        };
        let mut inserted = 0;
        for sent_key in &keys {
            let SentKey { key, start, period } = *sent_key;
            let valid_until = (start + period) * 600;
            let still_valid = valid_until > floor(now, 600);
            let time = if still_valid { floor(valid_until + HOUR, HOUR) } else { floor(now, HOUR) };
            // What was exported stays as it is.
            let time = time.max(self.exported_until);
            if revised.contains(&key) {
                if let Some(stored) = self.stored.get_mut(&key) {
                    // Never before the key itself, which may be held back longer.
                    stored.revision = Some((time.max(stored.created_at), sent.report_type));
                }
            } else if !self.stored.contains_key(&key) {
                if sent.report_type == ReportType::Revoked {
                    self.never_stored.insert(key);
                    continue;
                }
                let stored = Stored {
                    region: sent.region,
                    traveler: sent.traveler,
                    created_at: time,
                    embargoed: still_valid,
                    valid: (start, period),
                    report_type: sent.report_type,
                    revision: None,
                };
                self.stored.insert(key, stored);
                inserted += 1;
            }
        }
        Expected::Accepted { inserted, revised: revised.len() }
    }

    /// The keys that a request revises.
    fn revisable(&self, sent: &Sent, keys: &[SentKey]) -> Result<HashSet<Key>, &'static str> {
        let known: Vec<(&SentKey, &Stored)> =
            keys.iter().filter_map(|key| Some((key, self.stored.get(&key.key)?))).collect();
        if known.is_empty() {
            return Ok(HashSet::new());
        }
        let held = match &sent.token {
            Token::Absent => return Err("missing_revision_token"),
            Token::Garbage => return Err("invalid_revision_token"),
            Token::Holds(held) => held,
        };
        for (key, stored) in &known {
            if (key.start, key.period) != stored.valid {
                // The reference calls it that, with the status 400.
                return Err("internal_error");
            }
            if !held.contains(&key.key) {
                return Err("invalid_revision_token");
            }
        }
        let mut revised = HashSet::new();
        for (key, stored) in known {
            let (from, to) = (stored.report_type, sent.report_type);
            if from == to || stored.revision.is_some_and(|(_, last)| last == to) {
                continue;
            }
            if stored.revision.is_some() {
                return Err("key_already_revised");
            }
            use ReportType::{ConfirmedClinicalDiagnosis, ConfirmedTest, Revoked, SelfReport};
            let allowed: &[ReportType] = match from {
                ConfirmedClinicalDiagnosis => &[ConfirmedTest, Revoked],
                SelfReport => &[ConfirmedTest, ConfirmedClinicalDiagnosis, Revoked],
                ConfirmedTest | Revoked | ReportType::Recursive => &[],
            };
            if !allowed.contains(&to) {
                return Err("invalid_report_type_transition");
            }
            revised.insert(key.key);
        }
        Ok(revised)
    }

    /// Creates batches; how many.
    pub(crate) fn create_batches(&mut self, now: i64) -> u64 {
        let mut created = 0;
        for config in &mut self.configs {
            for (start, end) in config.due(now) {
                assert!(config.open.insert((start, end)), "no window twice");
                config.last_end = Some(end);
                self.exported_until = self.exported_until.max(end);
                created += 1;
            }
        }
        created
    }

    /// Works on the batches; what must have come out, by config and window.
    pub(crate) fn do_work(&mut self, now: i64) -> BTreeMap<(usize, (i64, i64)), Content> {
        let mut contents = BTreeMap::new();
        for (place, config) in self.configs.iter_mut().enumerate() {
            let due: Vec<_> = config.open.iter().copied().filter(|(_, end)| *end < now).collect();
            for window in due {
                config.open.remove(&window);
                let is_in = |time: i64| window.0 <= time && time < window.1;
                let mut content = Content::default();
                for (key, stored) in self.stored.iter().filter(|(_, stored)| config.selects(stored)) {
                    if is_in(stored.created_at) {
                        content.new.insert(*key, stored.report_type);
                    }
                    if let Some((_, report_type)) = stored.revision.filter(|(time, _)| is_in(*time)) {
                        content.revised.insert(*key, report_type);
                    }
                }
                contents.insert((place, window), content);
            }
        }
        contents
    }

    /// Purges; how many keys went.
    pub(crate) fn purge(&mut self, now: i64) -> usize {
        let cutoff = now - TTL;
        self.purged_until = self.purged_until.max(cutoff);
        let before = self.stored.len();
        let purged = &mut self.purged;
        self.stored.retain(|key, stored| {
            let stays = stored.created_at >= cutoff;
            if !stays {
                purged.insert(*key);
            }
            stays
        });
        for file in self.configs.iter_mut().flat_map(|config| config.files.values_mut()) {
            file.state = match file.state {
                FileState::Live if file.batch_end < cutoff => FileState::Expired,
                FileState::Live => FileState::Live,
                FileState::Expired | FileState::Deleted => FileState::Deleted,
            };
        }
        before - self.stored.len()
    }
}
