//! Placeholders: what differs from run to run, such as keys and times.

use super::token::Token;
use super::{Problem, base64, problem};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tocsin_host::signing::random_bytes;

const INTERVAL_SECONDS: i64 = 600;
const INTERVALS_PER_DAY: i64 = 144;

/// What the placeholders of one case stand for. The same placeholder means the same in all its steps.
#[derive(Debug)]
pub(super) struct Context {
    now: i64,
    keys: BTreeMap<String, [u8; 16]>,
    hmac_key: String,
    certificate: Option<String>,
    statistics_token: Option<String>,
    named: BTreeMap<String, String>,
    tokens: BTreeMap<String, String>,
}

/// What a placeholder stands for.
enum Meaning {
    Text(String),
    Number(i64),
}

impl Meaning {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

impl Context {
    /// For a case that begins at `now`, unix seconds.
    pub(super) fn new(now: i64) -> Self {
        Self {
            now,
            keys: BTreeMap::new(),
            hmac_key: base64::encode(&random_bytes::<32>()),
            certificate: None,
            statistics_token: None,
            named: BTreeMap::new(),
            tokens: BTreeMap::new(),
        }
    }

    /// When the case began.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// The HMAC key of the case, base64.
    pub(super) fn hmac_key(&self) -> &str {
        &self.hmac_key
    }

    /// Forgets the certificates of the last step that have no name.
    pub(super) fn begin_step(&mut self) {
        self.certificate = None;
        self.statistics_token = None;
    }

    /// Sets what `{{certificate}}` stands for, and `{{certificate:NAME}}` if it has a name.
    pub(super) fn set_certificate(&mut self, name: Option<&str>, text: String) {
        if let Some(name) = name {
            self.named.insert(name.to_owned(), text.clone());
        }
        self.certificate = Some(text);
    }

    /// Sets what `{{statistics_token}}` stands for.
    pub(super) fn set_statistics_token(&mut self, text: String) {
        self.statistics_token = Some(text);
    }

    /// Saves a revision token.
    pub(super) fn save_token(&mut self, name: &str, text: &str) {
        self.tokens.insert(name.to_owned(), text.to_owned());
    }

    /// A saved revision token.
    pub(super) fn token(&self, name: &str) -> Result<&str, Problem> {
        match self.tokens.get(name) {
            Some(token) => Ok(token),
            None => problem(format!("no step before has saved a revision token {name:?}")),
        }
    }

    /// A JSON value with its placeholders replaced. A string that is nothing but a placeholder of a number becomes that
    /// number. Names are left as they are.
    pub(super) fn value(&mut self, value: &Value) -> Result<Value, Problem> {
        Ok(match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
            Value::String(text) => match whole(text) {
                Some(placeholder) => match self.meaning(placeholder)? {
                    Meaning::Text(text) => Value::String(text),
                    Meaning::Number(number) => Value::from(number),
                },
                None => Value::String(self.text(text)?),
            },
            Value::Array(items) => Value::Array(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?),
            Value::Object(fields) => Value::Object(self.object(fields)?),
        })
    }

    /// The same for the fields of an object.
    pub(super) fn object(&mut self, fields: &Map<String, Value>) -> Result<Map<String, Value>, Problem> {
        fields.iter().map(|(name, value)| Ok((name.clone(), self.value(value)?))).collect()
    }

    /// A text with its placeholders replaced.
    pub(super) fn text(&mut self, text: &str) -> Result<String, Problem> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once("{{") {
            let Some((placeholder, tail)) = tail.split_once("}}") else {
                return problem(format!("a placeholder is not closed in {text:?}"));
            };
            expanded.push_str(before);
            expanded.push_str(&self.meaning(placeholder)?.into_text());
            rest = tail;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn meaning(&mut self, placeholder: &str) -> Result<Meaning, Problem> {
        let (kind, argument) = placeholder.split_once(':').unwrap_or((placeholder, ""));
        let given = |text: &Option<String>| match text {
            Some(text) => Ok(text.clone()),
            None => problem(format!("the step describes no {kind}")),
        };
        Ok(match kind {
            "interval" => Meaning::Number(self.interval(argument)?),
            "day" => Meaning::Number(self.day(argument)?),
            "unix" => Meaning::Number(self.now + offset(argument, "now")?),
            "key" => Meaning::Text(self.key(argument)?),
            "hmac_key" => Meaning::Text(self.hmac_key.clone()),
            "certificate" if argument.is_empty() => Meaning::Text(given(&self.certificate)?),
            "certificate" => match self.named.get(argument) {
                Some(text) => Meaning::Text(text.clone()),
                None => return problem(format!("no step before has a certificate named {argument:?}")),
            },
            "statistics_token" => Meaning::Text(given(&self.statistics_token)?),
            "token" => Meaning::Text(self.spelt_token(argument)?),
            "repeat" => Meaning::Text(repeated(argument)?),
            // Filled last, when the length of everything else is known.
            "fill" => Meaning::Text(format!("{{{{{placeholder}}}}}")),
            _ => return problem(format!("there is no placeholder {{{{{placeholder}}}}}")),
        })
    }

    fn interval(&self, argument: &str) -> Result<i64, Problem> {
        Ok(self.now.div_euclid(INTERVAL_SECONDS) + offset(argument, "now")?)
    }

    /// `-3`: the first interval of the UTC day three days ago. `-3+7`: seven intervals later.
    fn day(&self, argument: &str) -> Result<i64, Problem> {
        let (days, intervals) = match argument.char_indices().skip(1).find(|(_, character)| *character == '+') {
            Some((at, _)) => (&argument[..at], &argument[at..]),
            None => (argument, ""),
        };
        let day = self.now.div_euclid(INTERVAL_SECONDS * INTERVALS_PER_DAY) + number(days)?;
        Ok(day * INTERVALS_PER_DAY + if intervals.is_empty() { 0 } else { number(intervals)? })
    }

    fn key(&mut self, argument: &str) -> Result<String, Problem> {
        let (name, spelling) = argument.split_once(':').unwrap_or((argument, ""));
        let Some(rank) = rank(name) else {
            return problem(format!("the name of a key is a letter a to z, a digit or +, and more: not {name:?}"));
        };
        let bytes = *self.keys.entry(name.to_owned()).or_insert_with(|| {
            let mut bytes = [0xfb, 0xff, 0xfe, rank << 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            bytes[4..].copy_from_slice(&random_bytes::<12>());
            bytes
        });
        spelt_key(&bytes, spelling)
    }

    fn spelt_token(&self, argument: &str) -> Result<String, Problem> {
        let (name, spelling) = argument.split_once(':').unwrap_or((argument, ""));
        let text = self.token(name)?.to_owned();
        Ok(match spelling {
            "" => text,
            "url" => text.trim_end_matches('=').replace('+', "-").replace('/', "_"),
            "flipped" => Token::parse(&text)?.flipped().text(),
            "short" => Token::parse(&text)?.cut(11).text(),
            "unknown-kid" => Token::parse(&text)?.with_kid("4000000000").text(),
            "no-number-kid" => Token::parse(&text)?.with_kid("first").text(),
            _ => return problem(format!("there is no spelling {spelling:?} of a token")),
        })
    }
}

/// The placeholder that a text consists of.
fn whole(text: &str) -> Option<&str> {
    let placeholder = text.strip_prefix("{{")?.strip_suffix("}}")?;
    (!placeholder.contains("}}")).then_some(placeholder)
}

/// The value in base64 of the fifth character of a key of that name, so that names sort keys.
fn rank(name: &str) -> Option<u8> {
    match name.bytes().next()? {
        letter @ b'a'..=b'z' => Some(letter - b'a'),
        digit @ b'0'..=b'9' => Some(digit - b'0' + 26),
        // Before the letters in ASCII, behind them in value.
        b'+' => Some(62),
        _ => None,
    }
}

fn spelt_key(bytes: &[u8; 16], spelling: &str) -> Result<String, Problem> {
    let standard = base64::encode(bytes);
    let url = || standard.replace('+', "-").replace('/', "_");
    Ok(match spelling {
        "" => standard,
        "unpadded" => standard.trim_end_matches('=').to_owned(),
        "url" => url().trim_end_matches('=').to_owned(),
        "padded-url" => url(),
        "mixed" => standard.replacen('+', "-", 1),
        "overpadded" => standard + "===",
        "line-break" => format!("{}\r\n{}", &standard[..8], &standard[8..]),
        "unused-bits" => with_unused_bits(&standard),
        _ => return problem(format!("there is no spelling {spelling:?} of a key")),
    })
}

/// The last character of 16 bytes has four bits that mean nothing; here they are set.
fn with_unused_bits(standard: &str) -> String {
    let (start, last) = standard.trim_end_matches('=').split_at(21);
    let set = match last {
        "A" => "P",
        "Q" => "f",
        "g" => "v",
        // 16 bytes end in one of four characters.
        _ => "/",
    };
    format!("{start}{set}==")
}

/// `now`, `now-3`, `now+3` or the same without `now` for another word.
fn offset(text: &str, from: &str) -> Result<i64, Problem> {
    match text.strip_prefix(from) {
        Some("") => Ok(0),
        Some(offset) if offset.starts_with(['+', '-']) => number(offset),
        Some(_) | None => problem(format!("{text:?} is no time; write {from}, {from}-144 or {from}+3")),
    }
}

fn number(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| Problem(format!("{text:?} is no number")))
}

/// `TEXT:TIMES`.
fn repeated(argument: &str) -> Result<String, Problem> {
    match argument.rsplit_once(':').and_then(|(text, times)| Some((text, times.parse().ok()?))) {
        Some((text, times)) => Ok(text.repeat(times)),
        None => problem(format!("{argument:?} is nothing to repeat; write TEXT:TIMES")),
    }
}

/// Replaces the first `{{fill:LENGTH}}` by as many `p` as make the body that long.
pub(super) fn filled(body: Vec<u8>) -> Result<Vec<u8>, Problem> {
    const START: &[u8] = b"{{fill:";
    let Some(at) = body.windows(START.len()).position(|window| window == START) else { return Ok(body) };
    let (before, rest) = body.split_at(at);
    let Some(end) = rest.windows(2).position(|window| window == b"}}") else {
        return problem("a placeholder is not closed in the body");
    };
    let length: Option<usize> = std::str::from_utf8(&rest[START.len()..end]).ok().and_then(|text| text.parse().ok());
    let after = &rest[end + 2..];
    match length.and_then(|length| length.checked_sub(before.len() + after.len())) {
        Some(missing) => Ok([before, &vec![b'p'; missing], after].concat()),
        None => problem("the length of a fill is no number, or the body is longer without it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // 2026-11-02T12:05:00Z.
    const NOW: i64 = 1_793_621_100;

    #[test]
    fn times_are_intervals_and_seconds_from_now() {
        let mut context = Context::new(NOW);
        let check = |context: &mut Context, text: &str, expect: i64| {
            assert_eq!(context.value(&json!(text)), Ok(json!(expect)), "{text}");
        };
        check(&mut context, "{{interval:now}}", 2_989_368);
        check(&mut context, "{{interval:now-144}}", 2_989_224);
        check(&mut context, "{{day:0}}", 2_989_296);
        check(&mut context, "{{day:-3}}", 2_989_296 - 432);
        check(&mut context, "{{day:-3+143}}", 2_989_296 - 432 + 143);
        check(&mut context, "{{unix:now-60}}", NOW - 60);
        assert_eq!(context.text("from {{day:0}} on"), Ok("from 2989296 on".to_owned()));
    }

    #[test]
    fn wrong_placeholders_are_refused() {
        let mut context = Context::new(NOW);
        for text in [
            "{{interval:then}}",
            "{{interval:now3}}",
            "{{day:x}}",
            "{{key:A}}",
            "{{key:}}",
            "{{key:a:upside-down}}",
            "{{token:t}}",
            "{{certificate}}",
            "{{certificate:c}}",
            "{{repeat:a}}",
            "{{surprise}}",
            "{{interval:now",
        ] {
            assert!(context.value(&json!(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn key_is_the_same_in_every_spelling_and_sorts_by_its_name() {
        let mut context = Context::new(NOW);
        let mut key = |text: &str| context.text(&format!("{{{{key:{text}}}}}")).expect("a key");
        let bytes = base64::decode(&key("b")).expect("base64");
        assert_eq!(bytes.len(), 16);
        for spelling in ["", ":unpadded", ":url", ":padded-url", ":mixed", ":overpadded", ":unused-bits"] {
            assert_eq!(base64::decode(&key(&format!("b{spelling}"))), Some(bytes.clone()), "{spelling}");
        }
        assert_eq!(key("b:line-break").replace("\r\n", ""), key("b"));
        assert!(key("b:unused-bits") != key("b") && key("b:mixed").starts_with("-//+"));
        assert!(key("a") < key("b") && key("b") < key("z") && key("+") < key("a"));
        let value = |text: &str| base64::decode(text).expect("base64");
        assert!(value(&key("+")) > value(&key("z")));
        assert_ne!(key("b2"), key("b"));
    }

    #[test]
    fn values_keep_their_types() {
        let mut context = Context::new(NOW);
        let value = json!({"a": [1, null, "{{day:0}}", true], "{{b}}": "x{{repeat:ab:3}}"});
        let expect = json!({"a": [1, null, 2_989_296, true], "{{b}}": "xababab"});
        assert_eq!(context.value(&value), Ok(expect));
    }

    #[test]
    fn fill_makes_the_body_as_long_as_it_says() {
        let mut context = Context::new(NOW);
        let text = context.text("{\"padding\":\"{{fill:40}}\"}").expect("expanded");
        let body = filled(text.into_bytes()).expect("filled");
        assert_eq!(body.len(), 40);
        assert!(body.starts_with(b"{\"padding\":\"ppp") && body.ends_with(b"p\"}"));
        assert!(filled(b"123456789{{fill:3}}".to_vec()).is_err());
        assert_eq!(filled(b"x".to_vec()), Ok(b"x".to_vec()));
    }
}
