use super::*;

#[test]
fn empty_file_gives_the_defaults_of_the_reference_server() {
    let config = Config::parse("").expect("defaults are valid");
    assert_eq!(config.publish.max_keys, 30);
    assert_eq!(config.publish.max_key_age_seconds, 360 * 3600);
    assert_eq!(config.export.truncate_window_seconds, 3600);
    assert_eq!(config.export.ttl_seconds, 336 * 3600);
    assert_eq!(config.verification.clock_skew_seconds, 10);
}

#[test]
fn unknown_field_is_refused_and_named() {
    let error = Config::parse("[purge]\nttl_secs = 3\n").expect_err("a typing error must not disable purging");
    assert!(error.to_string().contains("ttl_secs"), "{error}");
    assert!(Config::parse("[export]\nttl_seconds = 3\n").is_err(), "the TTL has one place");
}

#[test]
fn impossible_values_are_refused_with_the_name_of_the_field() {
    for (text, field) in [
        ("[publish]\nmax_keys = 0", "publish.max_keys"),
        ("[publish]\ntruncate_window_seconds = 7", "publish.truncate_window_seconds"),
        ("[purge]\nttl_seconds = 9999999999", "purge.ttl_seconds"),
        ("[public]\nmax_body_bytes = 10", "public.max_body_bytes"),
        ("[statistics]\nupload_minimum = 9", "statistics.upload_minimum"),
        ("[statistics]\nembargo_seconds = 172799", "statistics.embargo_seconds"),
        ("[verification]\nstatistics_audience = \"\"", "verification.statistics_audience"),
        ("[key_rotation]\nnew_key_period_seconds = 0", "key_rotation.new_key_period_seconds"),
        ("[key_rotation]\ndelete_old_key_period_seconds = 9999999999", "key_rotation.delete_old_key_period_seconds"),
        ("[jobs]\nrotate_keys_every_seconds = 0", "jobs.rotate_keys_every_seconds"),
        ("[public]\nmax_concurrent_requests = 5000", "public.max_concurrent_requests"),
        ("[chaff]\nsamples = 0", "chaff.samples"),
        ("[chaff]\nsamples = 100001", "chaff.samples"),
    ] {
        let error = Config::parse(text).expect_err(text);
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[test]
fn revision_keys_must_live_as_long_as_the_keys_they_let_a_phone_revise() {
    for text in ["[key_rotation]\ndelete_old_key_period_seconds = 1295999", "[publish]\nmax_key_age_seconds = 1296001"]
    {
        let error = Config::parse(text).expect_err(text).to_string();
        for field in ["key_rotation.delete_old_key_period_seconds", "publish.max_key_age_seconds"] {
            assert!(error.contains(field), "{error}");
        }
    }
    let text = "[publish]\nmax_key_age_seconds = 60\n[key_rotation]\ndelete_old_key_period_seconds = 60";
    assert!(Config::parse(text).is_ok());
}

#[test]
fn every_field_that_the_guide_for_movers_names_exists() {
    let guide = include_str!("../../../docs/moving-from-the-reference.md");
    let config = toml::Value::try_from(Config::parse("").expect("valid")).expect("TOML");
    let mut fields = 0;
    for row in guide.lines().filter(|line| line.starts_with("| `")) {
        let column = row.split('|').nth(2).unwrap_or_default();
        for name in column.split('`').skip(1).step_by(2).filter(|name| name.contains('.')) {
            let found = name.split('.').try_fold(&config, |value, part| value.get(part));
            assert!(found.is_some(), "{name} in {row}");
            fields += 1;
        }
    }
    assert!(fields > 40, "{fields} fields found: the table looks different");
}

#[test]
fn example_file_parses_and_states_the_defaults() {
    let example = include_str!("../../../docs/tocsin.example.toml");
    assert_eq!(Config::parse(example).expect("the example is valid"), Config::parse("").expect("valid"));
}
