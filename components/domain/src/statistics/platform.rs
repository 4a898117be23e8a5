//! What kind of phone publishes, as far as its `User-Agent` tells.

/// Kind of phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Anything else.
    Unknown,
    /// Android.
    Android,
    /// iOS.
    Ios,
}

impl Platform {
    /// By the rules of the reference: apps use the system's HTTP client, which on iOS names itself by its libraries.
    pub fn of_user_agent(user_agent: Option<&str>) -> Self {
        let agent = user_agent.unwrap_or_default().to_lowercase();
        if agent.contains("android") {
            Self::Android
        } else if agent.contains("iphone") || (agent.contains("bluetoothd") && agent.contains("cfnetwork")) {
            Self::Ios
        } else {
            Self::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_is_told_by_the_user_agent() {
        for (agent, platform) in [
            ("Dalvik/2.1.0 (Linux; U; Android 10; Pixel 3)", Platform::Android),
            ("okhttp ANDROID iphone", Platform::Android),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 13_5 like Mac OS X)", Platform::Ios),
            ("bluetoothd (unknown version) CFNetwork/1197 Darwin/20.0.0", Platform::Ios),
            ("CFNetwork/1197 Darwin/20.0.0", Platform::Unknown),
            ("bluetoothd", Platform::Unknown),
            ("", Platform::Unknown),
        ] {
            assert_eq!(Platform::of_user_agent(Some(agent)), platform, "{agent}");
        }
        assert_eq!(Platform::of_user_agent(None), Platform::Unknown);
    }
}
