// What postcommit is told. Environment variables (and .env) go before what stands here; README.md lists them.

import { defineConfig } from "postcommit";

export default defineConfig({
  endpoints: {
    // The demo's: where its proposals are copied to. Delete it with the demo.
    "proposal-copies": { kind: "table", table: "demo_proposal_copy", key: "id", version: "version", columns: { id: "id", customer: "customer", title: "title", amountCents: "amount_cents", version: "version" } },
  },
});
