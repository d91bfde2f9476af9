// What the commands are told of this app: every file of handlers/ is a job type.

import { defineConfig } from "postcommit";

export default defineConfig({ handlers: "./handlers" });
