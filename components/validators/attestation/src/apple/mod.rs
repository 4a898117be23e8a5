//! Apple: App Attest, which proves that an app on a device made evidence for this submission, and DeviceCheck, which
//! proves only that some device of Apple's runs some app of the team.

pub mod app_attest;
pub mod device_check;

/// Whether that is a team or key id as Apple gives them out: ten upper-case letters and digits.
fn is_apple_id(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}
