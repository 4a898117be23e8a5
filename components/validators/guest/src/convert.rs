//! Between the records of the bindings and those of `tocsin-attestation`.

use tocsin_attestation::contract;

use crate::bindings::tocsin::types::types::ReportType;
use crate::bindings::tocsin::validator::types::{
    Acceptance, AttestedKey, Claim, Commit, CounterStep, Evidence, Exchange, HttpRequest, HttpResponse, KeyMetadata,
    Rejection, Stage, Submission, Transcript, Verdict,
};

pub(crate) fn submission_from_wit(submission: Submission) -> contract::Submission {
    let Submission { app, issuer, report_type, symptom_onset, keys, regions, traveler, transcripts, challenge } =
        submission;
    contract::Submission {
        app,
        issuer,
        report_type: report_type.map(report_type_from_wit),
        symptom_onset,
        keys: keys.into_iter().map(key_from_wit).collect(),
        regions,
        traveler,
        transcripts: transcripts.into_iter().filter_map(transcript_from_wit).collect(),
        challenge,
    }
}

fn report_type_from_wit(report_type: ReportType) -> contract::ReportType {
    match report_type {
        ReportType::ConfirmedTest => contract::ReportType::ConfirmedTest,
        ReportType::ConfirmedClinicalDiagnosis => contract::ReportType::ConfirmedClinicalDiagnosis,
        ReportType::SelfReport => contract::ReportType::SelfReport,
        ReportType::Recursive => contract::ReportType::Recursive,
        ReportType::Revoked => contract::ReportType::Revoked,
    }
}

fn key_from_wit(key: KeyMetadata) -> contract::KeyMetadata {
    let KeyMetadata { rolling_start, rolling_period, transmission_risk } = key;
    contract::KeyMetadata { rolling_start, rolling_period, transmission_risk }
}

/// A hash of another length is none, so that nothing is bound to it.
fn transcript_from_wit(transcript: Transcript) -> Option<contract::Transcript> {
    let Transcript { format, sha256 } = transcript;
    Some(contract::Transcript { format, sha256: sha256.try_into().ok()? })
}

pub(crate) fn evidence_from_wit(evidence: Evidence) -> contract::Evidence {
    let Evidence { method, token, chain, key_id } = evidence;
    contract::Evidence { method, token, chain, key_id }
}

pub(crate) fn attested_key_from_wit(key: AttestedKey) -> contract::AttestedKey {
    let AttestedKey { key_id, app, public_key, development, counter, attested_at } = key;
    contract::AttestedKey { key_id, app, public_key, development, counter, attested_at }
}

pub(crate) fn answer_from_wit(response: Option<HttpResponse>) -> contract::HttpAnswer {
    match response {
        Some(HttpResponse { status, body }) => contract::HttpAnswer::Response { status, body },
        None => contract::HttpAnswer::None,
    }
}

pub(crate) fn verdict_to_wit(outcome: contract::Outcome) -> Verdict {
    match outcome {
        contract::Outcome::Accept(acceptance) => Verdict::Accept(acceptance_to_wit(acceptance)),
        contract::Outcome::Reject(rejection) => Verdict::Reject(rejection_to_wit(rejection)),
        contract::Outcome::Exchange(exchange) => Verdict::Ask(exchange_to_wit(exchange)),
    }
}

fn acceptance_to_wit(acceptance: contract::Acceptance) -> Acceptance {
    let contract::Acceptance { score, signals, commits } = acceptance;
    Acceptance { score: score.get(), signals, commits: commits.into_iter().map(commit_to_wit).collect() }
}

fn commit_to_wit(commit: contract::Commit) -> Commit {
    match commit {
        contract::Commit::ClaimOnce { space, digest, expires_at } => {
            Commit::ClaimOnce(Claim { space, digest: digest.to_vec(), expires_at })
        }
        contract::Commit::AdvanceCounter { key_id, expected, next } => {
            Commit::AdvanceCounter(CounterStep { key_id, expected, next })
        }
        contract::Commit::StoreKey(key) => {
            let contract::AttestedKey { key_id, app, public_key, development, counter, attested_at } = key;
            Commit::StoreKey(AttestedKey { key_id, app, public_key, development, counter, attested_at })
        }
    }
}

fn rejection_to_wit(rejection: contract::Rejection) -> Rejection {
    let contract::Rejection { code, stage, retryable, detail } = rejection;
    Rejection { code: code.to_owned(), stage: stage_to_wit(stage), retryable, detail }
}

fn stage_to_wit(stage: contract::Stage) -> Stage {
    match stage {
        contract::Stage::Config => Stage::Config,
        contract::Stage::Parse => Stage::Parse,
        contract::Stage::Chain => Stage::Chain,
        contract::Stage::Signature => Stage::Signature,
        contract::Stage::Binding => Stage::Binding,
        contract::Stage::Identity => Stage::Identity,
        contract::Stage::Freshness => Stage::Freshness,
        contract::Stage::Integrity => Stage::Integrity,
        contract::Stage::State => Stage::State,
        contract::Stage::Upstream => Stage::Upstream,
        contract::Stage::Policy => Stage::Policy,
    }
}

fn exchange_to_wit(exchange: contract::Exchange) -> Exchange {
    let contract::Exchange { request, continuation } = exchange;
    let contract::HttpRequest { method, url, headers, body, credential } = request;
    Exchange { request: HttpRequest { method, url, headers, body, credential }, continuation }
}

#[cfg(test)]
mod tests;
