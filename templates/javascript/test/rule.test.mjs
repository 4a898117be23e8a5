import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, readSettings } from "../src/rule.js";

const NOW = 1_795_694_400n;

function settings(slots) {
  return readSettings(JSON.stringify({ slots_per_hour: slots })).settings;
}

function submission(number, regions = ["US"]) {
  const sha256 = new Uint8Array(32);
  new DataView(sha256.buffer).setUint32(0, number);
  return { regions, transcripts: [{ format: "ens-v1", sha256 }] };
}

async function claims(slots, number, regions, now = NOW) {
  const verdict = await judge(settings(slots), submission(number, regions), now);
  assert.equal(verdict.tag, "accept");
  return verdict.val.commits.map(({ tag, val }) => {
    assert.equal(tag, "claim-once");
    assert.equal(val.digest.length, 32);
    return { digest: Buffer.from(val.digest).toString("hex"), expiresAt: val.expiresAt };
  });
}

test("a thousand submissions never claim more than the slots of the hour, and come to use nearly all", async () => {
  const used = new Set();
  for (let number = 0; number < 1000; number += 1) {
    const [{ digest }] = await claims({ US: 100 }, number);
    used.add(digest);
  }
  assert.ok(used.size <= 100 && used.size > 95, `${used.size}`);
});

test("the same submission claims the same slot within the hour, and another one in the next", async () => {
  const [first] = await claims({ US: 1000 }, 7);
  const [again] = await claims({ US: 1000 }, 7, ["US"], NOW + 3599n);
  const [later] = await claims({ US: 1000 }, 7, ["US"], NOW + 3600n);
  assert.deepEqual(first, again);
  assert.notEqual(first.digest, later.digest);
  assert.equal(first.expiresAt, NOW + 3660n);
});

test("each region with a limit has its own slots, the others have none", async () => {
  assert.equal((await claims({ US: 10, CA: 10 }, 1, ["US", "CA", "MX"])).length, 2);
  assert.equal((await claims({ US: 10 }, 1, ["MX"])).length, 0);
});

test("more limited regions than the server takes claims are refused", async () => {
  const regions = ["A", "B", "C", "D", "E", "F", "G", "H", "I"];
  const verdict = await judge(settings(Object.fromEntries(regions.map((r) => [r, 1]))), submission(1, regions), NOW);
  assert.equal(verdict.val.code, "too-many-regions");
});

test("a bad configuration says what is wrong", () => {
  for (const [json, part] of [
    ["", "no JSON"],
    ["null", "slots_per_hour"],
    ["{}", "slots_per_hour"],
    ['{"slots_per_hour": {}, "slot": 1}', "unknown field slot;"],
    ['{"slots_per_hour": {"US": 0}}', "slots_per_hour.US"],
    ['{"slots_per_hour": {"US": 1.5}}', "slots_per_hour.US"],
  ]) {
    const { rejection } = readSettings(json);
    assert.equal(rejection.code, "config-invalid", json);
    assert.ok(rejection.detail.includes(part), rejection.detail);
  }
});
