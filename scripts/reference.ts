// npm run docs: writes the pages of docs/reference that are made from the code.
import { writeFile } from "node:fs/promises";
import { referencePages } from "./reference/pages.ts";

for (const [path, text] of await referencePages()) await writeFile(path, text);
