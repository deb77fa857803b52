// uWebSockets.js as it is compiled for this Node.js. The package itself would fall back to JavaScript, which is another
// server: without a binary for this machine there is nothing to measure, and this throws.

import { createRequire } from "node:module";

const binary = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;

export default createRequire(import.meta.url)(`@trufflesuite/uws-js-unofficial/binaries/${binary}`);
