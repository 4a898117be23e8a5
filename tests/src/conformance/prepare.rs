//! The commands that prepare a Tocsin server with the suite's state.

use super::{App, Authority, AuthorityKey, State};

/// Arguments of `tocsin`, command by command.
pub fn commands(state: &State) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for authority in &state.health_authorities {
        let Authority { about: _, issuer, audience, name, statistics, keys } = authority;
        commands.push(command(
            &["health-authority", "add"],
            &[("--issuer", issuer), ("--audience", audience), ("--name", name)],
        ));
        if !statistics {
            let off = &"false".to_owned();
            commands.push(command(&["health-authority", "update"], &[("--issuer", issuer), ("--statistics", off)]));
        }
        for AuthorityKey { version, key, from_unix, thru_unix } in keys {
            let file = state.public_key_file(key).display().to_string();
            let (from, thru) = (from_unix.to_string(), thru_unix.map(|thru| thru.to_string()));
            let mut options =
                vec![("--issuer", issuer), ("--version", version), ("--public-key", &file), ("--from", &from)];
            options.extend(thru.as_ref().map(|thru| ("--thru", thru)));
            commands.push(command(&["health-authority", "key", "add"], &options));
        }
    }
    for app in &state.apps {
        let App { about: _, name, regions, health_authorities, bypass_verification, bypass_revision_token } = app;
        let mut options: Vec<(&str, &String)> = regions.iter().map(|region| ("--region", region)).collect();
        options.extend(health_authorities.iter().map(|issuer| ("--health-authority", issuer)));
        let mut arguments = command(&["app", "add", name], &options);
        for (wanted, flag) in
            [(bypass_verification, "--bypass-verification"), (bypass_revision_token, "--bypass-revision-token")]
        {
            if *wanted {
                arguments.push(flag.to_owned());
            }
        }
        commands.push(arguments);
    }
    commands
}

fn command(words: &[&str], options: &[(&str, &String)]) -> Vec<String> {
    let mut arguments: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    for (option, value) in options {
        arguments.extend([(*option).to_owned(), (*value).clone()]);
    }
    arguments
}

/// The same as a shell script.
pub fn script(state: &State) -> String {
    let mut script = "\
#!/bin/sh
# Prepares a Tocsin server for the conformance suite. Not for a server that real phones use: some of these apps bypass
# checks, and everybody has the private keys. TOCSIN_DATA names the server's folder.
set -eu
"
    .to_owned();
    for arguments in commands(state) {
        script.push_str("tocsin");
        for argument in arguments {
            script.push(' ');
            script.push_str(&quoted(&argument));
        }
        script.push('\n');
    }
    script
}

/// One word to a shell.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
    if text.bytes().all(is_plain) && !text.is_empty() {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_command_as_they_are() {
        for (text, expect) in [("a-b.pem", "a-b.pem"), ("Health office", "'Health office'"), ("it's", r"'it'\''s'")] {
            assert_eq!(quoted(text), expect);
        }
        assert_eq!(quoted(""), "''");
    }
}
