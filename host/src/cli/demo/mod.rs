//! `tocsin demo`: everything at work, with nothing but the commands that everybody else has.
//!
//! Only time is shortened, by the configuration: a batch lasts 5 seconds instead of hours, and "two weeks later" is a
//! restart with a TTL of one second.

mod stage;

use super::Global;
use super::arguments::show_time;
use super::failure::{Failure, failed};
use super::init::{SIGNING_KEY, config_text, write_config};
use super::output::{Progress, count, counted, say, seconds};
use super::phones::per_key;
use crate::config::FILE_NAME;
use crate::phone::download::{DownloadReport, Matching};
use crate::phone::publish::PublishReport;
use crate::services::SystemClock;
use crate::signing::random_bytes;
use clap::Args;
use serde_json::{Value, json};
use stage::{RunningServer, Stage, unexpected};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::Clock;

const ISSUER: &str = "gov.example.health";
const AUDIENCE: &str = "keys.example.org";
const APP: &str = "org.example.app";
const REGION: &str = "US";
const ROOT: &str = "us";
/// Length of a batch; divides a day.
const PERIOD_SECONDS: i64 = 5;
/// A batch is cut this long after its time is over.
const WINDOW_AGE_SECONDS: i64 = 1;
const DAYS: u64 = 14;
const CONCURRENCY: u64 = 32;

#[derive(Args)]
#[command(after_help = "\
Makes a server in a fresh folder, has simulated phones publish to it, exports, downloads and verifies as a phone does, and
purges. Takes about half a minute, needs no network but its own loopback, and exits with 1 if anything is not as it must
be. The folder stays, for a look.

Examples:
  tocsin demo
  tocsin demo --phones 10000 --dir my-demo")]
pub(super) struct DemoArgs {
    /// How many phones publish
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    phones: u64,
    /// The folder to make [default: a new one among the temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(global: &Global, args: &DemoArgs) -> Result<(), Failure> {
    let folder = make_folder(args.dir.as_deref())?;
    let mut demo = Demo {
        stage: Stage::new(folder.join("data"), &folder)?,
        components: global.components.as_deref().map(std::path::absolute).transpose().map_err(failed)?,
        folder,
        phones: args.phones,
        is_quiet: global.json,
    };
    if !demo.is_quiet {
        say(&format!(
            "Tocsin demo: {} publish, and what becomes of their keys",
            counted(args.phones, "phone", "phones")
        ));
    }
    let server = demo.set_up()?;
    let published = demo.publish(&server)?;
    let waited = demo.export()?;
    let downloaded = demo.download(&server)?;
    server.stop()?;
    let purged = demo.purge(&downloaded)?;
    demo.go_on()?;
    if global.json {
        let matching = downloaded.matching;
        say(&json!({
            "folder": demo.folder, "published": published, "waited_seconds": waited.as_secs_f64(),
            "downloaded": downloaded, "matching": matching, "purged": purged,
        })
        .to_string());
    }
    Ok(())
}

/// A new folder of the caller's name, or among the temporary files.
fn make_folder(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = match asked {
        Some(folder) => std::path::absolute(folder).map_err(failed)?,
        None => {
            let number = u64::from_be_bytes(random_bytes());
            std::env::temp_dir().join(format!("tocsin-demo-{number:016x}"))
        }
    };
    DirBuilder::new().mode(0o700).create(&folder).map_err(|error| {
        Failure::new(
            format!("cannot make the folder {}: {error}", folder.display()),
            "Name a folder that does not exist yet, in one that does: `tocsin demo --dir DIR`.",
        )
    })?;
    Ok(folder)
}

struct Demo {
    stage: Stage,
    folder: PathBuf,
    components: Option<PathBuf>,
    phones: u64,
    is_quiet: bool,
}

/// What makes the configuration of the demo different from the default.
fn settings(more: &[(&str, &str)], components: Option<&Path>) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut settings: Vec<_> =
        [("publish.truncate_window_seconds", "1"), ("export.min_window_age_seconds", &*WINDOW_AGE_SECONDS.to_string())]
            .iter()
            .chain(more)
            .map(own)
            .collect();
    if let Some(folder) = components {
        settings.push(("folders.components".to_owned(), toml::Value::String(folder.display().to_string()).to_string()));
    }
    settings
}

/// While the demo runs: any free port, and no timer, so that each job runs when the demo says so.
const DURING: [(&str, &str); 2] = [("public.listen", "\"127.0.0.1:0\""), ("jobs.timer", "false")];
/// "Two weeks later": what is older than a second is too old.
const LATER: [(&str, &str); 2] = [("purge.ttl_seconds", "1"), ("purge.allow_short_ttl", "true")];
/// What is left to play with: the timer works on a batch every few seconds.
const AFTER: [(&str, &str); 2] = [("jobs.create_batches_every_seconds", "5"), ("jobs.do_work_every_seconds", "5")];

impl Demo {
    fn title(&self, title: &str, explanation: &str) {
        if !self.is_quiet {
            let explanation = if explanation.is_empty() { String::new() } else { format!("\n  {explanation}") };
            say(&format!("\n{title}{explanation}"));
        }
    }

    fn line(&self, name: &str, text: &str) {
        if !self.is_quiet {
            say(&format!("  {name:<14}{text}"));
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn set_up(&mut self) -> Result<RunningServer, Failure> {
        self.title("A new server", "");
        self.line("folder", &self.folder.display().to_string());
        let mut init = vec!["init".to_owned()];
        for (name, value) in settings(&DURING, self.components.as_deref()) {
            init.extend(["--set".to_owned(), format!("{name}={value}")]);
        }
        self.stage.do_run(&init)?;
        self.line("keys", &format!("a root key, a revision key, and {SIGNING_KEY:?} to sign export files"));

        let (private, public) = (self.file("authority.pem"), self.file("authority.pub.pem"));
        self.stage.do_run(&["keys", "create-file", &private, "--public", &public])?;
        let names = ["--issuer", ISSUER, "--audience", AUDIENCE, "--name", "Example Health"];
        self.stage.do_run(&[&["health-authority", "add"], &names[..]].concat())?;
        let key = ["--issuer", ISSUER, "--version", "v1", "--public-key", &public];
        self.stage.do_run(&[&["health-authority", "key", "add"], &key[..]].concat())?;
        self.line("authority", &format!("{ISSUER} may vouch for a diagnosis, and signs with its key v1"));
        self.stage.do_run(&["app", "add", APP, "--region", REGION, "--health-authority", ISSUER])?;
        self.line("app", &format!("{APP} may publish, for region {REGION}"));

        let server = self.stage.serve(&self.folder.join("server.log"))?;
        let ready = seconds(server.ready_after.as_secs_f64());
        self.line("server", &format!("{}, ready in {ready} (the first start compiles the components)", server.url));

        // From yesterday, so that it is active for the batch that is cut now, before anybody publishes: an export config
        // starts with the newest batch whose time is over, and has no history to fill.
        let yesterday = show_time(SystemClock.now().unix() - 86_400);
        let yesterday = yesterday.split(' ').next().unwrap_or_default();
        let period = format!("{PERIOD_SECONDS}s");
        let config = ["--root", ROOT, "--region", REGION, "--period", &period, "--from", yesterday];
        let signer = ["--signing-key", SIGNING_KEY, "--key-id", "310", "--key-version", "v1"];
        self.stage.do_run(&[&["export-config", "add"], &config[..], &signer[..]].concat())?;
        self.line("export", &format!("a batch every {PERIOD_SECONDS} s, signed as key id 310, version v1"));
        self.run_jobs()?;
        Ok(server)
    }

    /// Cuts the batches that are due and works on all of them.
    fn run_jobs(&mut self) -> Result<Value, Failure> {
        self.stage.do_run(&["job", "run", "create-batches"])?;
        self.stage.run(&["job", "run", "do-work"])
    }

    fn publish(&mut self, server: &RunningServer) -> Result<PublishReport, Failure> {
        self.title(
            "Phones publish",
            "Each has its keys certified by the health authority and sends them. The server answers each request in a \
             fresh\n  sandbox that holds the publish and verification components and sees nothing but that request.",
        );
        let (key, keys) = (self.file("authority.pem"), self.file("published-keys.jsonl"));
        let (phones, concurrency) = (self.phones.to_string(), CONCURRENCY.to_string());
        let authority = ["--health-authority-key", &key, "--issuer", ISSUER, "--audience", AUDIENCE];
        let many = ["--count", &phones, "--concurrency", &concurrency, "--keys-out", &keys];
        let command = [&["phone", "publish", "--url", &server.url, "--app", APP], &authority[..], &many[..]].concat();
        let report: PublishReport = self.stage.run(&command)?;
        if report.accepted != self.phones || report.keys != self.phones * DAYS {
            return Err(unexpected(format!("{} of {} phones were accepted", report.accepted, self.phones)));
        }
        self.line("accepted", &counted(report.accepted, "phone", "phones"));
        self.line("keys", &format!("{}, one for each of the last {DAYS} days of each phone", count(report.keys)));
        self.line(
            "speed",
            &format!(
                "{} phones a second for {}, on one machine with the phones",
                count((report.accepted as f64 / report.seconds) as u64),
                seconds(report.seconds)
            ),
        );
        let (p50, p99) = (seconds(report.p50_seconds), seconds(report.p99_seconds));
        self.line("answers", &format!("half within {p50}, 99 of 100 within {p99}, each one durable before it is sent"));
        if let Some(memory) = server.memory_bytes() {
            self.line("memory", &format!("{:.0} MB in the server", memory as f64 / 1e6));
        }
        Ok(report)
    }

    fn export(&mut self) -> Result<Duration, Failure> {
        self.title(
            "Export",
            "A batch is cut when its time is over. Files are padded if they hold few keys, and signed.",
        );
        let published = SystemClock.now();
        let due = published.truncate(PERIOD_SECONDS).plus_seconds(PERIOD_SECONDS + WINDOW_AGE_SECONDS);
        wait_until(due);
        let waited = u64::try_from(due.unix() - published.unix()).unwrap_or(0);
        let report = self.run_jobs()?;
        let number = |name: &str| report[name].as_u64().unwrap_or(0);
        self.line("waited", &format!("{waited} s for the last batch's time to be over"));
        self.line("batches", &count(number("batches")));
        let padding = number("padding_keys");
        let of_padding = if padding == 0 { String::new() } else { format!(", {} of them padding", count(padding)) };
        self.line("keys", &format!("{}{of_padding}", count(number("new_keys"))));
        Ok(Duration::from_secs(waited))
    }

    fn download(&mut self, server: &RunningServer) -> Result<DownloadReport, Failure> {
        self.title(
            "A phone downloads",
            "It reads the index, checks each file's signature over all its bytes, and looks for the keys it met.",
        );
        let public = self.file("export.pub.pem");
        let key: Value = self.stage.run(&["keys", "public", SIGNING_KEY])?;
        std::fs::write(&public, key["public_key_pem"].as_str().unwrap_or_default()).map_err(failed)?;
        let base = format!("{}/exports/", server.url);
        let index = format!("{base}{ROOT}/index.txt");
        let (keys, files) = (self.file("published-keys.jsonl"), self.file("downloaded"));
        let source = ["--index", &index, "--base", &base, "--key", &public];
        let command = [&["phone", "download"], &source[..], &["--match", &keys, "--save", &files]].concat();
        let report: DownloadReport = self.stage.run(&command)?;
        let expect = Matching { looked_for: self.phones * DAYS, found: self.phones * DAYS };
        if report.matching != Some(expect) || report.files.is_empty() {
            return Err(unexpected("not every published key was found in a verified file".to_owned()));
        }
        for file in &report.files {
            let keys = file.keys + file.revised_keys;
            let size =
                format!("{} bytes, {} keys, {} bytes a key", count(file.bytes), count(keys), per_key(file.bytes, keys));
            self.line("file", &format!("{}: {size}", file.name));
        }
        let number = u64::try_from(report.files.len()).unwrap_or(0);
        let verified = counted(number, "file", "files");
        self.line("verified", &format!("{verified} in {}, all with a valid signature", seconds(report.seconds)));
        self.line("found", &format!("all {} published keys", count(expect.found)));
        Ok(report)
    }

    fn purge(&mut self, downloaded: &DownloadReport) -> Result<Value, Failure> {
        self.title("Two weeks later", "Played by a restart with a TTL of 1 second. What is older than the TTL goes.");
        let last_end = downloaded.files.iter().map(|file| file.end_unix).max().unwrap_or(0);
        self.configure(&[DURING, LATER].concat())?;
        let log = self.folder.join("server.log");
        let server = self.stage.serve(&log)?;
        let ready = seconds(server.ready_after.as_secs_f64());
        self.line("restarted", &format!("ready in {ready}, with the compiled components from the cache"));
        // More than a second after the end of the last batch.
        wait_until(Timestamp::from_unix(last_end).plus_seconds(3));
        // The first run takes files out of the index, the second deletes them: a phone that has just read the index still
        // finds what it names.
        let first: Value = self.stage.run(&["job", "run", "purge"])?;
        let second: Value = self.stage.run(&["job", "run", "purge"])?;
        let sum = |name: &str| first[name].as_u64().unwrap_or(0) + second[name].as_u64().unwrap_or(0);
        let (exposures, files) = (sum("exposures_deleted"), sum("files_deleted"));
        let status: Value = self.stage.run(&["status"])?;
        server.stop()?;
        let left = zip_files(&self.stage.data.join("exports")).map_err(failed)?;
        if status["store"]["exposures"] != 0 || left > 0 || exposures == 0 || files == 0 {
            let exposures = &status["store"]["exposures"];
            return Err(unexpected(format!("{exposures} exposures and {left} files are left after purging")));
        }
        self.line(
            "deleted",
            &format!(
                "{} and {}; none is left",
                counted(exposures, "exposure", "exposures"),
                counted(files, "export file", "export files")
            ),
        );
        Ok(json!({ "exposures": exposures, "files": files }))
    }

    /// Writes the configuration anew, as an operator would with an editor.
    fn configure(&mut self, more: &[(&str, &str)]) -> Result<(), Failure> {
        let changes: Vec<String> = more.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        self.stage.note(&format!("# in {FILE_NAME}: {}", changes.join(", ")))?;
        let text = config_text(&settings(more, self.components.as_deref()))?;
        write_config(&self.stage.data.join(FILE_NAME), &text)
    }

    fn go_on(&mut self) -> Result<(), Failure> {
        self.configure(&AFTER)?;
        if self.is_quiet {
            return Ok(());
        }
        let program = std::env::args().next().unwrap_or_else(|| "tocsin".to_owned());
        let data = self.stage.data.display();
        let downloaded = self.folder.join("downloaded");
        let first =
            std::fs::read_dir(&downloaded).map_err(failed)?.filter_map(Result::ok).map(|entry| entry.path()).min();
        let first = first.unwrap_or(downloaded);
        let (first, folder) = (first.display(), self.folder.display());
        say(&format!(
            "
It all works. Everything is in {folder}
  commands.txt             each command this demo ran
  server.log               what the server said
  downloaded/              the export files, as the phone got them
  published-keys.jsonl     the keys of the phones
  data/{FILE_NAME}         the configuration, every setting explained
  data/                    keys, database, files: what `tocsin init` makes

Go on
  {program} serve --data {data}
  {program} status --data {data}
  {program} export inspect {first}
  {program} export verify {first} --key {folder}/export.pub.pem
  {program} init --help"
        ));
        Ok(())
    }
}

fn wait_until(due: Timestamp) {
    let progress = Progress::new();
    while SystemClock.now() < due {
        progress.show(&format!("  waiting for {} s", due.unix() - SystemClock.now().unix()));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How many zip files a folder holds, at any depth.
fn zip_files(folder: &Path) -> std::io::Result<u64> {
    let mut found = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found += zip_files(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "zip") {
            found += 1;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config(more: &[(&str, &str)]) -> Config {
        let text = config_text(&settings(more, Some(Path::new("/components")))).expect("fields exist");
        Config::parse(&text).expect("a valid configuration")
    }

    #[test]
    fn demo_shortens_times_and_changes_no_rule() {
        let during = config(&DURING);
        assert_eq!((during.publish.truncate_window_seconds, during.export.min_window_age_seconds), (1, 1));
        assert_eq!(during.folders.components.as_deref(), Some(Path::new("/components")));
        assert!(!during.publish.release_same_day_keys && !during.jobs.timer);
        assert_eq!(during.export.min_records, Config::default().export.min_records);
        assert_eq!(during.purge, Config::default().purge);
        assert_eq!(86_400 % PERIOD_SECONDS, 0);
    }

    #[test]
    fn short_ttl_is_gone_when_the_demo_is_over() {
        assert_eq!(config(&[DURING, LATER].concat()).purge.ttl_seconds, 1);
        let after = config(&AFTER);
        assert_eq!(after.purge, Config::default().purge);
        assert!(after.jobs.timer);
        assert_eq!(after.public.listen, Config::default().public.listen);
    }

    #[test]
    fn zip_files_are_counted_at_any_depth() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir_all(folder.path().join("a/b")).expect("made");
        for name in ["x.zip", "a/b/y.zip", "a/index.txt"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        assert_eq!(zip_files(folder.path()).expect("read"), 2);
    }
}
