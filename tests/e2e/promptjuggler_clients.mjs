// Follows a thread with the vendor's browser client while its server client runs prompts on it; says what both have seen.
import { randomUUID } from "node:crypto";
import { PromptJuggler, verifyWebhookSignature } from "@promptjuggler/sdk";
import { PromptJugglerStream } from "@promptjuggler/browser";

const [baseUrl, key, ...slugs] = process.argv.slice(2);
const client = new PromptJuggler(key, { baseUrl });
const thread = randomUUID();
const stream = new PromptJugglerStream({ getToken: () => client.createStreamToken(thread) });
const seen = {};
const over = {};
const wake = [];
stream.on("text", ({ runId, text }) => ((seen[runId] ??= {}).text = text));
stream.on("transcript", ({ runId, transcript }) => ((seen[runId] ??= {}).transcript = transcript));
stream.on("done", (event) => ((over[event.runId] = { status: "done", gapped: event.gapped }), wake.forEach((each) => each())));
stream.on("failure", (event) => ((over[event.runId] = { status: "failed", ...event }), wake.forEach((each) => each())));
const connected = new Promise((resolve) => stream.on("connected", resolve));
stream.connect();
await connected;

const found = [];
for (const slug of slugs) {
  const { id } = await client.runPrompt(slug, "__latest__", { topic: "cats" }, { thread });
  while (!over[id]) await new Promise((resolve) => wake.push(resolve));
  found.push({ slug, live: { ...seen[id], ...over[id] }, run: await client.getPromptRun(id) });
}
stream.disconnect();

const error = await client.getPrompt("none", 1).catch((each) => ({ status: each.statusCode, message: each.message }));
const revision = await client.getPrompt(slugs[0], 1);
const [document] = await client.uploadDocuments("kb_manuals", [new File(["Lamps are replaced."], "a.txt")]);
const base = await client.getKnowledgeBase("manuals");
await client.deleteKnowledgeDocument(document.id);
console.log(JSON.stringify({ found, error, revision, document, base, verifies: typeof verifyWebhookSignature }));
process.exit(0);
