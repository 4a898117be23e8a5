// The rule: never more than N submissions an hour for a region.
//
// A validator has no memory and cannot count. What it has is the claim: a value that the server lets be used once. So each
// hour of each region has N slots, numbered from 0, and a submission claims one of them, which its own hash chooses:
//
//   claim = SHA-256("hour 495123, region US, slot 17")
//
// If another submission has that slot already, the server stores nothing and refuses. Two things follow, and both matter
// when N is chosen:
//
// - Never more than N submissions of an hour are stored, however many come at once.
// - Some are refused before there are N: the next one with probability (used slots) / N. Take about 50 times the usual
//   number for N: then about 1 in 100 is refused on a usual day, and a flood is still cut off at N.
//
// The slot follows from the submission, so that a phone that sends the same submission again in that hour (because it did
// not get the answer, say) claims the same slot, which the server knows as no second use. In the next hour it takes a new one.

const HOUR_SECONDS = 3600n;
const MAX_SLOTS = 1_000_000;
/** The server takes at most 8 commits of one validator. */
const MAX_COMMITS = 8;

function rejection(code, stage, detail, retryable = false) {
  return { code, stage, retryable, detail };
}

/**
 * Reads the operator's JSON: `{ "slots_per_hour": { "US": 500 } }`. Regions that are not named have no limit. A bad
 * configuration refuses every submission with stage `config`, so that it is noticed.
 */
export function readSettings(json) {
  const invalid = (detail) => ({ rejection: rejection("config-invalid", "config", detail) });
  let settings;
  try {
    settings = JSON.parse(json);
  } catch {
    return invalid("the configuration is no JSON");
  }
  for (const name of Object.keys(settings ?? {})) {
    if (name !== "slots_per_hour") {
      return invalid(`unknown field ${name}; there is slots_per_hour`);
    }
  }
  const slots = settings?.slots_per_hour;
  if (typeof slots !== "object" || slots === null || Array.isArray(slots)) {
    return invalid("slots_per_hour is missing: a number for each region");
  }
  for (const [region, number] of Object.entries(slots)) {
    if (!Number.isInteger(number) || number < 1 || number > MAX_SLOTS) {
      return invalid(`slots_per_hour.${region} is not a whole number from 1 to ${MAX_SLOTS}`);
    }
  }
  return { settings: { slotsPerHour: new Map(Object.entries(slots)) } };
}

/** Judges a submission. `now` is in seconds since 1970, a BigInt. */
export async function judge(settings, submission, now) {
  const limited = submission.regions.filter((region) => settings.slotsPerHour.has(region));
  if (limited.length > MAX_COMMITS) {
    const detail = `more than ${MAX_COMMITS} regions with a limit in one submission`;
    return { tag: "reject", val: rejection("too-many-regions", "policy", detail) };
  }
  const transcript = submission.transcripts[0];
  if (!transcript) {
    return { tag: "reject", val: rejection("transcript-missing", "parse", "the submission has no hash to go by") };
  }
  const hour = now / HOUR_SECONDS;
  const commits = [];
  for (const region of limited) {
    const slots = settings.slotsPerHour.get(region);
    const slot = await chooseSlot(transcript.sha256, hour, region, slots);
    const claim = {
      space: "slots",
      digest: await sha256(new TextEncoder().encode(`hour ${hour}, region ${region}, slot ${slot}`)),
      // When the hour is over nobody claims it any more. A minute is for clocks.
      expiresAt: (hour + 1n) * HOUR_SECONDS + 60n,
    };
    commits.push({ tag: "claim-once", val: claim });
  }
  // Signals are counted by the server. Few values each: nothing here may identify a device or a person.
  const signals = [["limited", limited.length > 0 ? "yes" : "no"]];
  return { tag: "accept", val: { score: 100, signals, commits } };
}

/** The slot of a submission in an hour: as good as random, and the same when the same submission comes again. */
async function chooseSlot(transcript, hour, region, slots) {
  const text = new TextEncoder().encode(`hour ${hour}, region ${region}, submission `);
  const digest = await sha256(new Uint8Array([...text, ...transcript]));
  // 48 bits of the hash: the remainder is as good as uniform for so few slots.
  const number = digest.slice(0, 6).reduce((number, byte) => number * 256 + byte, 0);
  return number % slots;
}

async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
