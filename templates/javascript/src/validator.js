// A validator for a Tocsin key server: `flood-brake`.
//
// This file is the connection to the server, the contract in `wit/validator.wit`; the rule itself is in `rule.js`, which
// knows nothing of WebAssembly and is tested like any other JavaScript. For each submission the server makes a fresh
// instance of this component and calls `validate` once. Variables do not outlive the call.
//
// How WIT becomes JavaScript: names in camelCase, records as objects, `s64` as BigInt, `list<u8>` as Uint8Array, `option` as
// the value or undefined, an enum as its name, a variant as `{ tag, val }`.

import { configuration, now } from "tocsin:validator/services@0.1.0";
import { judge, readSettings } from "./rule.js";

export const validator = {
  /** Name and version, for the server's log. */
  identity() {
    return "flood-brake 0.1.0";
  },

  /** Judges one submission. This rule needs no evidence from the phone. */
  async validate(submission, _evidence) {
    // What the operator wrote under `[validators.NAME.configuration]`, as JSON.
    const { settings, rejection } = readSettings(configuration());
    if (rejection) {
      return { tag: "reject", val: rejection };
    }
    return await judge(settings, submission, now());
  },

  /** Called with the answer after `validate` returned `{ tag: "ask", ... }`, which this validator never does. */
  resume() {
    const detail = "this validator asks nobody";
    return { tag: "reject", val: { code: "nothing-asked", stage: "upstream", retryable: false, detail } };
  },
};
