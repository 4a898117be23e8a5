//! The rule: reports of certain types need a symptom date, and submissions that leave the home regions may not be long.

use crate::tocsin::validator::types::{Acceptance, Rejection, ReportType, Stage, Submission};
use serde::Deserialize;

/// An interval number counts 10 minutes since 1970.
const INTERVAL_SECONDS: i64 = 600;
const DAY_SECONDS: i64 = 86_400;

/// What the operator can set. A field that is not here is an error, so that a typo cannot switch a rule off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Report types that need a symptom date: `confirmed-test`, `confirmed-clinical-diagnosis`, `self-report`.
    #[serde(default)]
    require_onset_for: Vec<String>,
    /// How long ago the symptoms may have begun.
    #[serde(default = "two_weeks")]
    max_onset_age_days: u16,
    /// Regions in which any number of keys is fine.
    home_regions: Vec<String>,
    /// Most keys of a submission for other regions.
    #[serde(default = "two_weeks")]
    max_keys_elsewhere: u16,
}

fn two_weeks() -> u16 {
    14
}

impl Settings {
    /// Reads the operator's JSON. A bad configuration refuses every submission with stage `config`, so that it is noticed.
    pub fn read(json: &str) -> Result<Self, Rejection> {
        let invalid = |detail: String| refusal("config-invalid", Stage::Config, detail);
        let settings: Self =
            serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
        for name in &settings.require_onset_for {
            if ![
                ReportType::ConfirmedTest,
                ReportType::ConfirmedClinicalDiagnosis,
                ReportType::SelfReport,
            ]
            .into_iter()
            .any(|known| name_of(known) == name)
            {
                return Err(invalid(format!(
                    "require_onset_for: {name:?} is no report type"
                )));
            }
        }
        Ok(settings)
    }
}

/// Judges a submission. `now` is in seconds since 1970.
pub fn judge(
    settings: &Settings,
    submission: &Submission,
    now: i64,
) -> Result<Acceptance, Rejection> {
    let onset = check_onset(settings, submission, now)?;
    let home = check_regions(settings, submission)?;
    Ok(Acceptance {
        score: 100,
        // Counted by the server. Few values each: nothing here may identify a device or a person.
        signals: vec![
            ("onset".to_owned(), onset.to_owned()),
            ("home".to_owned(), home.to_owned()),
        ],
        // Nothing to remember. See `commit` in wit/validator.wit for what a validator can ask the server to remember.
        commits: vec![],
    })
}

fn check_onset(
    settings: &Settings,
    submission: &Submission,
    now: i64,
) -> Result<&'static str, Rejection> {
    let Some(onset) = submission.symptom_onset else {
        let needs_one = |report_type| {
            settings
                .require_onset_for
                .iter()
                .any(|name| name == name_of(report_type))
        };
        return match submission.report_type {
            Some(report_type) if needs_one(report_type) => Err(refusal(
                "onset-missing",
                Stage::Policy,
                format!(
                    "a report of type {} needs a symptom date",
                    name_of(report_type)
                ),
            )),
            _ => Ok("absent"),
        };
    };
    let age = now - i64::from(onset) * INTERVAL_SECONDS;
    // A date begins up to 14 hours earlier elsewhere than in Greenwich.
    if age < -DAY_SECONDS || age > i64::from(settings.max_onset_age_days) * DAY_SECONDS {
        let detail = format!(
            "the symptom date is in the future or over {} days ago",
            settings.max_onset_age_days
        );
        return Err(refusal("onset-implausible", Stage::Policy, detail));
    }
    Ok("given")
}

fn check_regions(settings: &Settings, submission: &Submission) -> Result<&'static str, Rejection> {
    let is_home = submission
        .regions
        .iter()
        .all(|region| settings.home_regions.contains(region));
    if is_home {
        return Ok("yes");
    }
    if submission.keys.len() > usize::from(settings.max_keys_elsewhere) {
        let detail = format!(
            "over {} keys for other than the home regions",
            settings.max_keys_elsewhere
        );
        return Err(refusal("too-many-keys", Stage::Policy, detail));
    }
    Ok("no")
}

/// The code is for counts and logs and should never change its meaning; the detail tells the operator which rule it was.
fn refusal(code: &str, stage: Stage, detail: String) -> Rejection {
    Rejection {
        code: code.to_owned(),
        stage,
        retryable: false,
        detail,
    }
}

fn name_of(report_type: ReportType) -> &'static str {
    match report_type {
        ReportType::ConfirmedTest => "confirmed-test",
        ReportType::ConfirmedClinicalDiagnosis => "confirmed-clinical-diagnosis",
        ReportType::SelfReport => "self-report",
        ReportType::Recursive => "recursive",
        ReportType::Revoked => "revoked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tocsin::validator::types::KeyMetadata;

    const NOW: i64 = 1_795_694_400;

    fn settings() -> Settings {
        Settings::read(r#"{"require_onset_for": ["confirmed-test"], "home_regions": ["US"], "max_keys_elsewhere": 2}"#)
            .expect("good settings")
    }

    fn submission(onset_days_ago: Option<i64>, keys: usize, region: &str) -> Submission {
        let onset = onset_days_ago.map(|days| (NOW - days * DAY_SECONDS) / INTERVAL_SECONDS);
        Submission {
            app: "org.example.app".to_owned(),
            issuer: None,
            report_type: Some(ReportType::ConfirmedTest),
            symptom_onset: onset.map(|onset| u32::try_from(onset).expect("after 1970")),
            keys: vec![
                KeyMetadata {
                    rolling_start: 2_992_608,
                    rolling_period: 144,
                    transmission_risk: 0
                };
                keys
            ],
            regions: vec![region.to_owned()],
            traveler: false,
            transcripts: vec![],
            challenge: None,
        }
    }

    fn check(submission: &Submission, expect: Result<[&str; 2], &str>) {
        let judged = judge(&settings(), submission, NOW);
        match (&judged, expect) {
            (Ok(acceptance), Ok(values)) => {
                let signals: Vec<&str> = acceptance
                    .signals
                    .iter()
                    .map(|(_, value)| value.as_str())
                    .collect();
                assert_eq!(signals, values);
            }
            (Err(rejection), Err(code)) => assert_eq!(rejection.code, code),
            _ => panic!("{judged:?}"),
        }
    }

    #[test]
    fn confirmed_test_needs_a_plausible_symptom_date() {
        check(&submission(Some(3), 14, "US"), Ok(["given", "yes"]));
        check(&submission(None, 14, "US"), Err("onset-missing"));
        check(&submission(Some(15), 14, "US"), Err("onset-implausible"));
        check(&submission(Some(-2), 14, "US"), Err("onset-implausible"));
    }

    #[test]
    fn other_report_types_need_none() {
        let self_report = Submission {
            report_type: Some(ReportType::SelfReport),
            ..submission(None, 14, "US")
        };
        check(&self_report, Ok(["absent", "yes"]));
    }

    #[test]
    fn submission_for_another_region_may_not_be_long() {
        check(&submission(Some(3), 2, "CA"), Ok(["given", "no"]));
        check(&submission(Some(3), 3, "CA"), Err("too-many-keys"));
    }

    #[test]
    fn bad_configuration_says_what_is_wrong() {
        for (json, part) in [
            ("{}", "home_regions"),
            (
                r#"{"home_regions": [], "max_key_elsewhere": 1}"#,
                "max_key_elsewhere",
            ),
            (
                r#"{"home_regions": [], "require_onset_for": ["likely"]}"#,
                "likely",
            ),
        ] {
            let rejection = Settings::read(json).expect_err(json);
            assert_eq!(rejection.code, "config-invalid");
            assert!(rejection.detail.contains(part), "{}", rejection.detail);
        }
    }
}
