// Makes `validator.wasm` of `src/validator.js`: a component with a JavaScript engine inside.
import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";

const { component } = await componentize({
  sourcePath: "src/validator.js",
  witPath: "wit",
  worldName: "contract",
  // A validator has no output, no clock but `now`, no randomness but `random`, and no network: nothing of the engine's
  // that would need them goes into the component, and the server refuses what imports more than the contract.
  disableFeatures: ["stdio", "random", "clocks", "http", "fetch-event"],
});
await writeFile("validator.wasm", component);
console.log(`validator.wasm: ${component.length} bytes`);
