//! Challenges: random bytes of the server that evidence answers, so that it is known to be new. The transcript covers
//! them; that a challenge is the server's, has not expired and was not used is for the host to check, before it is given
//! as [`Submission::challenge`].

use serde::{Deserialize, Serialize};

use crate::contract::{Rejection, Stage, Submission};

/// Whether evidence must answer a challenge of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChallengeRule {
    /// It must.
    Required,
    /// It may.
    Optional,
}

impl ChallengeRule {
    /// Refuses a submission that lacks its challenge.
    pub(crate) fn check(self, submission: &Submission) -> Result<(), Rejection> {
        match self {
            Self::Required if submission.challenge.as_ref().is_none_or(Vec::is_empty) => {
                Err(Rejection::new("challenge-missing", Stage::Freshness, "the submission answers no challenge"))
            }
            Self::Required | Self::Optional => Ok(()),
        }
    }
}
