// The job of the soak. `at`: when it was enqueued, in milliseconds of the machine's clock, which all processes share.

import { defineJob } from "../../../dist/index.js";

export const soaked = defineJob({ type: "soaked" });
export const windowMs = 10_000;
export const now = () => performance.timeOrigin + performance.now();
