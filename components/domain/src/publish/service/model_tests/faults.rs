//! A failure of any port, at any call of a publish.

use super::*;
use crate::testing::faults::Faults;

type Port = fn(&World) -> &Faults;

const PORTS: [(&str, Port); 4] = [
    ("authorized apps", |world| &world.apps.faults),
    ("verifier", |world| &world.verifier.faults),
    ("exposures", |world| &world.exposures.faults),
    ("sealing", |world| &world.sealing.faults),
];

/// Fails each call of each port in turn, and publishes again when it works.
fn check_every_fault(history: &History, request: &PublishRequest<'_>) -> Result<(), TestCaseError> {
    let without = history.copy();
    let answer = without.world.publish(request);
    for (name, faults) in PORTS {
        let calls = faults(&without.world).calls();
        for (call, error) in (1..=calls).flat_map(|call| {
            let errors = [PortError::Unavailable, PortError::Internal("secret".into()), PortError::Conflict];
            errors.into_iter().map(move |error| (call, error))
        }) {
            let with = history.copy();
            faults(&with.world).fail_nth(call, error.clone());
            let (status, body) = with.world.publish(request);
            let case = format!("{error:?} at call {call} of {name}: {body}");
            if name == "exposures" && error == PortError::Conflict {
                // Others were faster; decided anew, with the same result here.
                prop_assert_eq!(&(status, body), &answer, "{}", case);
                prop_assert_eq!(with.rows(), without.rows(), "{}", case);
                continue;
            }
            if name == "sealing" && call == calls && !answer.1["revisionToken"].is_null() {
                // All is stored when the next token is sealed, so the answer goes out without.
                let mut no_token = answer.1.clone();
                no_token.as_object_mut().and_then(|fields| fields.remove("revisionToken"));
                prop_assert_eq!((status, body), (200, no_token), "{}", case);
                prop_assert_eq!(with.rows(), without.rows(), "{}", case);
                continue;
            }
            prop_assert_eq!(status, 500, "{}", case);
            prop_assert!(!body.to_string().contains("secret"));
            prop_assert_eq!(with.rows(), history.rows(), "{}", case);
            // What failed was harmless: the repetition is the first publish.
            prop_assert_eq!(&with.world.publish(request), &answer, "{}", case);
            prop_assert_eq!(with.rows(), without.rows(), "{}", case);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_failure_leaves_a_trace(steps in prop::collection::vec(any_step(), 0..8), last in any_step()) {
        let mut history = History::new();
        for step in &steps {
            history.play(step)?;
        }
        let (request, _) = history.prepare(&last);
        check_every_fault(&history, &request)?;
    }
}
