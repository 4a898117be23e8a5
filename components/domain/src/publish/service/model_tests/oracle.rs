//! What a publish must store and answer, written from the specification on a map of rows: sections 3.3 (the next
//! token), 3.4 (revising one key) and 3.5 (inserting and revising).

use crate::exposure::{NewExposure, ReportType, Revision, TransmissionRisk};
use crate::health_authority::HealthAuthorityId;
use crate::interval::{IntervalNumber, RollingPeriod, Timestamp};
use crate::ports::verifier::Claims;
use crate::publish::request::PublishRequest;
use crate::publish::revision_token::TokenEntry;
use crate::publish::transform::transform;
use crate::settings::PublishSettings;
use crate::tek::TemporaryExposureKey;
use crate::testing::exposures::FakeRow;
use std::collections::{BTreeMap, BTreeSet};

/// A row without what a store does on its own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) exposure: NewExposure,
    pub(super) revision: Option<Revision>,
    pub(super) health_authority: Option<HealthAuthorityId>,
    pub(super) traveler: bool,
    pub(super) local_provenance: bool,
}

pub(super) type Rows = BTreeMap<TemporaryExposureKey, Row>;

pub(super) fn rows(stored: &[FakeRow]) -> Rows {
    let row = |row: &FakeRow| {
        let FakeRow { exposure, revision, health_authority, traveler, local_provenance, .. } = row;
        Row {
            exposure: *exposure,
            revision: *revision,
            health_authority: *health_authority,
            traveler: *traveler,
            local_provenance: *local_provenance,
        }
    };
    stored.iter().map(|stored| (stored.exposure.key, row(stored))).collect()
}

/// What the token of a request is worth.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Nothing,
    Unreadable,
    Entries(Vec<TokenEntry>),
}

impl Held {
    fn entries(&self) -> Option<&[TokenEntry]> {
        match self {
            Self::Nothing | Self::Unreadable => None,
            Self::Entries(entries) => Some(entries),
        }
    }

    pub(super) fn has(&self, key: TemporaryExposureKey) -> bool {
        self.entries().is_some_and(|entries| entries.iter().any(|entry| entry.key == key))
    }
}

/// A request that passed verification.
pub(super) struct Sent<'a> {
    pub(super) request: &'a PublishRequest<'a>,
    pub(super) claims: Option<Claims>,
    pub(super) held: &'a Held,
    pub(super) require_token: bool,
    pub(super) allow_partial: bool,
    pub(super) settings: &'a PublishSettings,
    pub(super) now: Timestamp,
    pub(super) open_from: Timestamp,
}

#[derive(Debug)]
pub(super) enum Expected {
    /// Nothing changes. Which of several faults is told depends on the order of keys, and that is open.
    Refused { status: u16, codes: BTreeSet<&'static str> },
    Stored {
        rows: Rows,
        inserted: u64,
        /// Entries of the next token that were in this one, in their order.
        kept: Vec<TokenEntry>,
        /// The others, by key.
        added: Vec<TokenEntry>,
        /// Whether some keys could not be imported.
        partial: bool,
    },
}

impl Expected {
    pub(super) fn refused(status: u16, code: &'static str) -> Self {
        Self::Refused { status, codes: BTreeSet::from([code]) }
    }
}

type Times = (IntervalNumber, RollingPeriod);

fn times(exposure: &NewExposure) -> Times {
    (exposure.rolling_start, exposure.rolling_period)
}

pub(super) fn expect(before: &Rows, sent: &Sent<'_>) -> Expected {
    let Ok(transformed) = transform(sent.request, sent.claims.as_ref(), sent.settings, sent.now) else {
        return Expected::refused(400, "bad_request");
    };
    let refused = |codes: BTreeSet<&'static str>| match sent.held {
        Held::Unreadable => Expected::refused(400, "invalid_revision_token"),
        Held::Nothing | Held::Entries(_) => Expected::Refused { status: 400, codes },
    };
    let incoming = transformed.keys.iter().map(|key| {
        // Nothing is stored into a window that has been exported.
        NewExposure { created_at: key.created_at.max(sent.open_from), ..*key }
    });
    let (known, new): (Vec<_>, Vec<_>) = incoming.partition(|key| before.contains_key(&key.key));
    if sent.require_token && sent.held.entries().is_none() && !known.is_empty() {
        return refused(BTreeSet::from(["missing_revision_token"]));
    }
    let mut codes = BTreeSet::new();
    let mut allowed = Vec::new();
    for key in known {
        match may_touch(&key, &before[&key.key], sent) {
            Ok(true) => allowed.push(key),
            Ok(false) => {}
            Err(code) => drop(codes.insert(code)),
        }
    }
    if !codes.is_empty() {
        return refused(codes);
    }
    let mut rows = before.clone();
    let mut output = Vec::new();
    for key in allowed {
        match revised(&before[&key.key], &key) {
            Ok(None) => {}
            Ok(Some(revision)) => {
                // The stored row, changed, and not what was sent.
                output.push(before[&key.key].exposure);
                let row = Row {
                    revision: Some(revision),
                    health_authority: sent.claims.as_ref().map(|claims| claims.health_authority),
                    ..before[&key.key].clone()
                };
                rows.insert(key.key, row);
            }
            Err(code) => drop(codes.insert(code)),
        }
    }
    if !codes.is_empty() {
        return refused(codes);
    }
    for key in new {
        output.push(key);
        if key.report_type != Some(ReportType::Revoked) {
            let row = Row {
                exposure: key,
                revision: None,
                health_authority: sent.claims.as_ref().map(|claims| claims.health_authority),
                traveler: sent.request.traveler,
                local_provenance: true,
            };
            rows.insert(key.key, row);
        }
    }
    let (kept, added) = next_token(sent, &output);
    let inserted = (rows.len() - before.len()) as u64;
    Expected::Stored { rows, inserted, kept, added, partial: !transformed.errors.is_empty() }
}

/// 3.5, step 4c.
fn may_touch(incoming: &NewExposure, stored: &Row, sent: &Sent<'_>) -> Result<bool, &'static str> {
    if !sent.require_token {
        return Ok(true);
    }
    if times(incoming) != times(&stored.exposure) {
        return Err("internal_error");
    }
    let allowed: BTreeMap<TemporaryExposureKey, Times> = sent
        .held
        .entries()
        .unwrap_or_default()
        .iter()
        .map(|entry| (entry.key, (entry.rolling_start, entry.rolling_period)))
        .collect();
    match allowed.get(&incoming.key) {
        Some(told) if *told == times(&stored.exposure) => Ok(true),
        Some(_) => Err("invalid_revision_token"),
        None if sent.allow_partial => Ok(false),
        None => Err("invalid_revision_token"),
    }
}

/// 3.4. The time is ours: a revision is not exported before the key.
fn revised(stored: &Row, incoming: &NewExposure) -> Result<Option<Revision>, &'static str> {
    let wire = |report_type: Option<ReportType>| report_type.map_or("", ReportType::wire);
    let (from, to) = (wire(stored.exposure.report_type), wire(incoming.report_type));
    let now_is = stored.revision.map(|revision| revision.report_type.wire());
    if from == to || now_is == Some(to) {
        return Ok(None);
    }
    if !stored.local_provenance {
        return Err("internal_error");
    }
    if now_is.is_some() {
        return Err("key_already_revised");
    }
    let ways: &[&str] = match from {
        "" | "likely" => &["confirmed", "negative"],
        "user-report" => &["confirmed", "likely", "negative"],
        _ => &[],
    };
    let report_type = incoming.report_type.filter(|_| ways.contains(&to)).ok_or("invalid_report_type_transition")?;
    let backfill = match (incoming.transmission_risk.get(), to) {
        (0, "confirmed") => 2,
        (0, "likely") => 4,
        (0, "negative") => 6,
        (risk, _) => risk,
    };
    Ok(Some(Revision {
        report_type,
        revised_at: incoming.created_at.max(stored.exposure.created_at),
        days_since_onset: incoming.days_since_onset,
        transmission_risk: TransmissionRisk::try_from(i64::from(backfill)).expect("0 to 8"),
    }))
}

/// 3.3. `output`: inserted, revised, and negative ones that were never stored.
fn next_token(sent: &Sent<'_>, output: &[NewExposure]) -> (Vec<TokenEntry>, Vec<TokenEntry>) {
    let age = i64::try_from(sent.settings.max_key_age_seconds).expect("small");
    let oldest = (sent.now.unix() - age).div_euclid(600);
    let end = |entry: &TokenEntry| i64::from(entry.rolling_start.get()) + i64::from(entry.rolling_period.get());
    let mut kept = sent.held.entries().unwrap_or_default().to_vec();
    kept.retain(|entry| end(entry) >= oldest);
    let mut added: Vec<TokenEntry> = output
        .iter()
        .filter(|exposure| kept.iter().all(|entry| entry.key != exposure.key))
        .map(|exposure| TokenEntry {
            key: exposure.key,
            rolling_start: exposure.rolling_start,
            rolling_period: exposure.rolling_period,
        })
        .collect();
    added.sort_by_key(|entry| entry.key);
    (kept, added)
}
